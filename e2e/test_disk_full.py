"""A disk that is full: all traffic stops and says so, the kill switch is still recorded, and it heals.

On a file system of its own (tmpfs, 3 MiB), which takes root; the checks run as root, elsewhere this is skipped.
"""

import http.client
import itertools
import json
import os
import subprocess
import time

import pytest
from harness import wire
from harness.door import Door
from sphyr_sdk.errors import SphyrError
from test_egress import POLICY, client, key, site  # noqa: F401


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk):
    """Leaves no room on it, and returns the file that takes it."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return filler


def ready(door):
    connection = http.client.HTTPConnection("127.0.0.1", door.control, timeout=5)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status


def eventually(what, check, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def test_a_full_disk_stops_traffic_and_heals(small_disk, fresh_provider):
    with Door(small_disk, fresh_provider.url, "anthropic") as door:
        assert wire.ask(door, "text").status == 200
        assert ready(door) == 200
        filler = fill(small_disk)

        def refused():
            return wire.ask(door, "text").status == 503

        eventually("a refusal", refused)
        before = len(fresh_provider.log())
        answer = wire.ask(door, "text")
        assert answer.status == 503 and b"cannot be recorded" in answer.body
        assert len(fresh_provider.log()) == before, "nothing reached the provider"
        assert ready(door) == 503
        # In force at once; on a full disk it may not be written for a restart, and then the command says so.
        killed = door.command("kill", "--all", "--reason", "full", "--json", check=False)
        if killed.returncode == 0:
            assert json.loads(killed.stdout)["kill"]["all"] is True
        else:
            assert "refused" in killed.stderr
        assert wire.ask(door, "text").status in (403, 503)

        os.remove(filler)
        eventually("being ready again", lambda: ready(door) == 200)
        door.command("resume", "--all")
        eventually("an answer", lambda: wire.ask(door, "text").status == 200)
        events = [r["control"]["event"] for r in door.receipts() if r["kind"] == "control"]
        # Whichever of ledger and side store met the full disk first has stopped the traffic.
        assert "kill" in events and "resume" in events, events
        door.command("receipts", "verify")


def test_a_full_disk_stops_the_egress_door_and_it_says_so(small_disk, fresh_provider, site):
    """With the SDK: `DB_OVERLOAD`, to be tried again; `DEGRADED`, to who asks how it is."""
    home = small_disk / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(POLICY)
    with Door(small_disk, fresh_provider.url, "anthropic", env={"SSL_CERT_FILE": str(site.pem)}) as door:
        door.mcp = f"http://{door.address}/mcp"
        plain = client(door, key(door, "--set", "rate_agent=1000")[1])
        assert plain.agent_guard_up()["status"] == "ACTIVE"
        count = itertools.count()

        def code():
            try:
                return plain.sphyr_net(f"{site.url}/{next(count)}", "GET")["outcome"]
            except SphyrError as refused:
                return refused.code

        assert code() == "ALLOWED"
        filler = fill(small_disk)
        eventually("a refusal", lambda: code() == "DB_OVERLOAD")
        before = len(site.asked)
        assert code() == "DB_OVERLOAD" and len(site.asked) == before, "nothing reached the site"
        told = plain.agent_guard_up()
        assert told["status"] == "DEGRADED" and told["message"]

        os.remove(filler)
        eventually("being active again", lambda: plain.agent_guard_up()["status"] == "ACTIVE")
        eventually("an answer", lambda: code() == "ALLOWED")
        door.command("receipts", "verify")
