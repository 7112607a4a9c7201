"""Starting a program of this workspace and reading what it prints."""

import os
import queue
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def binary(variable, name):
    """The path of a built program: from the environment, else from cargo's usual place."""
    path = Path(os.environ.get(variable) or ROOT / "target" / "debug" / name)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `cargo build --workspace`, or set {variable}")
    return path


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A child process whose output lines are read as they come."""

    def __init__(self, arguments, env):
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.lines = queue.Queue()
        self.printed = []
        self.complaints = []
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._print), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.complaints.append), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _print(self, line):
        self.printed.append(line)
        self.lines.put(line)

    @staticmethod
    def _read(pipe, keep):
        for line in pipe:
            keep(line.rstrip("\n"))

    def until(self, wanted, seconds):
        """The first result of `wanted(line)` that is not None."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            try:
                found = wanted(self.lines.get(timeout=max(0.0, min(left, 0.05))))
                if found is not None:
                    return found
            except queue.Empty:
                if left <= 0 or (self.process.poll() is not None and self.lines.empty()):
                    raise AssertionError(f"it did not say what was awaited\n{self.transcript()}") from None

    def transcript(self):
        """Everything it printed, for a failure report."""
        state = self.process.poll()
        return "\n".join(
            [f"exit status: {'running' if state is None else state}", "--- stdout"]
            + self.printed[-60:]
            + ["--- stderr"]
            + self.complaints[-60:]
        )

    def kill(self):
        """SIGKILL, and wait."""
        self.process.kill()
        self.wait()

    def terminate(self):
        """SIGTERM, and SIGKILL if that is not heard."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.wait()

    def wait(self):
        self.process.wait(10)
        for thread in self._threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()
