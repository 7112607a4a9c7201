"""Each agent finishes a benign task through the door, and survives a blocked call: the command never runs,
the agent is told why, and goes on.

What the provider says stands in `crates/testkit/src/provider/agents.rs`.
"""

import pytest
from harness.door import Door

RULE = "exec.download-and-run"
KEYS = ".ssh/authorized_keys"


def refused(scene):
    """The rules by which anything was blocked. That Codex is told to do without a WebSocket is no block."""
    blocked = [
        receipt["decision"]
        for receipt in scene.door.receipts()
        if receipt.get("decision", {}).get("verdict") == "block"
    ]
    return [
        reason["rule"]
        for decision in blocked
        if decision["coverage"] != "none(websocket)"
        for reason in decision["reasons"]
    ]


@pytest.mark.needs("calls")
def test_benign(scene):
    """A task of several steps, with nothing in it to stop."""
    scene.open()
    done = scene.task("benign")
    assert scene.made("made.txt") == "made\n", done
    assert "Done: the file is there." in done.out, done
    assert refused(scene) == []
    assert bool(named_sessions(scene)) == scene.agent.names_sessions, named_sessions(scene)


def named_sessions(scene):
    """The sessions that the agent has named in one way or another."""
    sessions = {receipt.get("session") for receipt in scene.door.receipts()} - {None}
    return {session for session in sessions if not session.endswith("/-")}


@pytest.mark.needs("text")
def test_benign_text(scene):
    """An edit told in plain text."""
    scene.open()
    done = scene.task("edit")
    assert scene.made("made.txt") == "made\n", done
    assert refused(scene) == []


@pytest.mark.needs("edits")
def test_edit(scene):
    """The client's own editing tool."""
    scene.open()
    done = scene.task("patch")
    assert scene.made("made.txt") == "patched\n", done
    assert "Done: the file is there." in done.out, done
    assert refused(scene) == []


@pytest.mark.needs("several")
def test_blocked_beside_another(scene):
    """Of two calls in one turn one is blocked: the other runs, and the same turn goes on with the notice."""
    scene.open()
    done = scene.task("beside")
    assert (scene.hits(), scene.made("ran.txt")) == (0, None), done
    assert (scene.made("first.txt"), scene.made("second.txt")) == ("first\n", "second\n"), done
    assert "Done despite the block." in done.out, done
    assert RULE in refused(scene)


@pytest.mark.needs("calls")
def test_blocked_alone(scene):
    """The only call of a turn is blocked: the agent shows why, and its session goes on with the next task."""
    scene.open()
    done = scene.task("alone")
    assert (scene.hits(), scene.made("ran.txt")) == (0, None), done
    assert "[doorward] Blocked" in done.out or "Done despite the block." in done.out, done
    assert RULE in refused(scene)
    if "resumes" not in scene.agent.abilities:
        return
    done = scene.next_task("after")
    assert scene.made("after.txt") == "after\n", done
    assert "Done after the block." in done.out, done
    assert scene.hits() == 0


@pytest.mark.needs("calls")
def test_unguarded(scene):
    """The same without enforcement: the payload runs. What the others assert can fail."""
    scene.open("monitor")
    done = scene.task("alone")
    assert (scene.hits(), scene.made("ran.txt")) == (1, "ran\n"), done
    assert "Done, nothing was blocked." in done.out, done


@pytest.mark.needs("text")
def test_blocked_text(scene):
    """Of two edits in plain text one is blocked: the other is made, and the session goes on."""
    scene.open()
    done = scene.task("edit_evil")
    assert (scene.made("made.txt"), scene.made(KEYS)) == ("made\n", None), done
    assert "[doorward] Blocked" in done.out, done
    assert set(refused(scene)) == {"persist.ssh-key"}
    done = scene.next_task("edit_after")
    assert scene.made("after.txt") == "after\n", done


@pytest.mark.needs("text")
def test_unguarded_text(scene):
    scene.open("monitor")
    done = scene.task("edit_evil")
    assert "ssh-ed25519" in (scene.made(KEYS) or ""), done


STAYS = "version: 1\ndefault: allow\nrules:\n  - { name: stay, redact: { finding: secret.registered, direction: out } }\n"
SECRET = "Winter-Kayak-42-loom"


@pytest.mark.needs("calls")
def test_a_registered_secret_stays_here(scene):
    """The agent reads a registered secret and keeps it in another file; the provider sees what stands for it."""
    home = scene.door_home / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(STAYS)
    Door(scene.door_home, scene.provider.url, scene.agent.protocol, start=False).command(
        "secrets", "add", "deploy-key", stdin=SECRET
    )
    (scene.project / "secret.txt").write_text(f"key={SECRET}\n")
    scene.open()
    done = scene.task("secret")
    assert scene.made("kept.txt") == SECRET, done
    assert "doorward_secret_" in done.out, done
    assert not any(SECRET in entry["body"] for entry in scene.provider.log())
    assert refused(scene) == []
