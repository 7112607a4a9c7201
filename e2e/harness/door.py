"""The real binary: `doorward run` and the commands beside it."""

import json
import os
import re
import subprocess
import time

from .process import Running, binary, free_port

EXPORT = re.compile(r"export (?:GOOGLE_)?(ANTHROPIC|OPENAI|GEMINI)_BASE_URL=['\"]?(http://([^/\s]+)/t/([^/\s]+)/[^\s'\"]+)")


class Door:
    """A firewall process with a home of its own; `with` stops it."""

    def __init__(self, home, upstream, protocol, *, arguments=(), env=None, start=True):
        self.home = home
        self.upstream = upstream
        self.protocol = protocol
        self.port = free_port()
        self.control = free_port()
        self.arguments = list(arguments)
        # Clean: what is not set here, the firewall cannot depend on.
        self.env = {
            "HOME": str(home),
            "DOORWARD_HOME": str(home / ".doorward"),
            "PATH": os.environ.get("PATH", ""),
            **(env or {}),
        }
        self.running = None
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        """Starts it and waits until it serves; returns the seconds that took."""
        begin = time.monotonic()
        self.running = Running(
            [
                *(binary("DOORWARD_BIN", "doorward"), "run", "--upstream", self.upstream),
                *("--protocol", self.protocol, "--listen", self.address),
                *("--control", f"127.0.0.1:{self.control}", *self.arguments),
            ],
            env=self.env,
        )
        try:
            found = self.running.until(self._wanted, 20)
        except AssertionError:
            self.stop()
            raise
        self.base_url, self.token = found.group(2), found.group(4)
        self.path = self.base_url.removeprefix(f"http://{found.group(3)}")
        return time.monotonic() - begin

    def _wanted(self, line):
        found = EXPORT.search(line)
        return found if found and found.group(1).lower() == self.protocol else None

    def stop(self):
        if self.running is not None:
            self.running.terminate()
            self.running = None

    def kill_9(self):
        """What a crash or an impatient operator does."""
        self.running.kill()
        self.running = None

    def command(self, *arguments, check=True, stdin=None, env=None, seconds=60):
        """Runs another command of the binary on the same home."""
        done = subprocess.run(
            [str(binary("DOORWARD_BIN", "doorward")), *arguments],
            env={**self.env, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"doorward {' '.join(arguments)}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def receipts(self):
        """Every receipt of the log, once those are written that nobody waits for: outcomes, within 10 ms."""
        time.sleep(0.1)
        text = self.command("receipts", "export", "--json", seconds=600).stdout
        return [json.loads(line) for line in text.splitlines() if line]

    def messages_path(self):
        """Where a client posts a conversation."""
        return self.path + ("/v1/messages" if self.protocol == "anthropic" else "/chat/completions")
