"""The Node SDKs: one process that reads answers as `node/readings.mjs` says."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from .process import ROOT

SOURCES = ROOT / "e2e" / "node"


def packages():
    """Where the packages are installed; None if they are not. `cargo xtask test` installs them."""
    home = Path(os.environ.get("E2E_NODE") or ROOT / "target" / "node")
    return home if (home / "node_modules").exists() and shutil.which("node") else None


class Node:
    """A running process; `with` stops it."""

    def __init__(self):
        home = packages()
        # A module looks for packages beside itself and above.
        program = shutil.copy(SOURCES / "readings.mjs", home)
        self.process = subprocess.Popen(
            [shutil.which("node"), program],
            env={"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def read(self, reading, base, scenario):
        """What this reading of this scenario yields."""
        line = json.dumps({"reading": reading, "base": base, "scenario": scenario})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"{reading} of {scenario}: {answer['error']}")
        return answer["ok"]
