"""One agent at work: an empty home, an empty project, a clean environment, and the real firewall."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.door import Door

# What an agent may hold: enough for a slow machine, little enough to notice one that hangs.
SECONDS = 100
# Nothing listens there. Agents ask the internet for news, prices and model lists; here none gets through.
NOWHERE = "http://127.0.0.1:9"


def installed(*parts):
    """The path of something that `cargo xtask agents` has installed."""
    home = os.environ.get("AGENTS_HOME")
    if not home:
        raise RuntimeError("AGENTS_HOME is not set: run `cargo xtask agents`")
    path = Path(home).joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `cargo xtask agents`")
    return path


@dataclass
class Done:
    """How an agent's run ended."""

    status: int
    out: str
    errors: str

    def __str__(self):
        return f"status {self.status}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.errors[-3000:]}"


class Scene:
    """What one test works with; `with` stops the door."""

    def __init__(self, agent, provider, place):
        self.agent = agent
        self.provider = provider
        self.home = place / "home"
        self.project = place / "project"
        self.door_home = place / "doorward"
        for folder in (self.home, self.project, self.door_home):
            folder.mkdir()
        self.door = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.door is not None:
            self.door.stop()
        self._stop_what_stays()

    def _stop_what_stays(self):
        """Some agents leave a daemon behind (Cline's hub), which would live on without home and door."""
        ours = f"HOME={self.home}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if ours in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                pass

    def open(self, mode="block"):
        """Starts the door and writes the agent's settings."""
        arguments = ["--mode", mode, *self.agent.door_arguments]
        self.door = Door(self.door_home, self.provider.url, self.agent.protocol, arguments=arguments)
        self.agent.settle(self)
        return self

    def env(self):
        """All of the agent's environment."""
        node = shutil.which("node")
        return {
            "HOME": str(self.home),
            "PATH": ":".join(dict.fromkeys(([str(Path(node).parent)] if node else []) + ["/usr/bin", "/bin"])),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
            **self.agent.env(self),
        }

    def run(self, command):
        """Runs one command of the agent to its end."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.project,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def task(self, play, words="Work on the file of this project, then say that you are done."):
        """Gives the agent a task; it must end well."""
        return self._ended(self.run(self.agent.task(self, f"{words} (play: {play})")))

    def next_task(self, play, words="Go on with the work."):
        """Gives it another one, in the same session."""
        return self._ended(self.run(self.agent.next_task(self, f"{words} (play: {play})")))

    def _ended(self, done):
        assert done.status == 0, f"{self.agent.name} did not end well: {done}\n{self.door.running.transcript()}"
        return done

    def made(self, name):
        """A file's content in the project; None if it is not there."""
        path = self.project / name
        return path.read_text() if path.exists() else None

    def hits(self):
        """How often the payload was fetched."""
        return sum(entry["target"] == "/payload.sh" for entry in self.provider.log())
