"""The ledger after real traffic: what it holds, and what two independent verifiers say when it is altered."""

import json
import shutil
import subprocess
import sys

import pytest
from harness import wire
from harness.door import Door
from harness.process import ROOT
from harness.words import EVIL

SECOND = ROOT / "spec" / "verify.py"


@pytest.fixture(scope="module")
def recorded(provider, tmp_path_factory):
    """A stopped door with some traffic behind it, and the receipt ids that its client saw."""
    home = tmp_path_factory.mktemp("recorded")
    with Door(home, provider.url, "anthropic") as door:
        door.seen = {
            scenario: wire.ask(door, scenario).header("doorward-receipt")
            for scenario in ("text", "tool", "one_evil", "one_bad", "error_429", "truncated", "bare_cr")
        }
    door.key = door.command("receipts", "key").stdout.strip()
    door.log = next(folder.parent for folder in (home / ".doorward").rglob("segments"))
    return door


def second_opinion(path, key, *more):
    """The verifier in Python, which shares no code with the first."""
    return subprocess.run(
        [sys.executable, str(SECOND), str(path), "--key", key, *map(str, more)], capture_output=True, text=True
    )


def both(door, path, *more):
    """The exit status of both verifiers, which must agree, and what the first one says."""
    first = door.command("receipts", "verify", str(path), "--key", door.key, *map(str, more), check=False)
    second = second_opinion(path, door.key, *more)
    assert "panicked" not in first.stderr
    assert "Traceback" not in second.stderr
    assert first.returncode == second.returncode, f"{first.stdout}{first.stderr}\n---\n{second.stdout}{second.stderr}"
    return first.returncode, first.stdout + first.stderr


@pytest.fixture
def copy(recorded, tmp_path):
    """The log, to be altered."""
    return shutil.copytree(recorded.log, tmp_path / "log")


def segment(log):
    return max((log / "segments").glob("*.seg"), key=lambda file: file.stat().st_size)


def test_every_answer_and_every_decision_is_there(recorded):
    receipts = recorded.receipts()
    ids = {receipt["id"] for receipt in receipts}
    assert set(recorded.seen.values()) <= ids
    text = json.dumps(receipts)
    assert EVIL not in text, "content is kept by digest"
    verdicts = [receipt["decision"]["verdict"] for receipt in receipts if "decision" in receipt]
    assert verdicts.count("block") >= 2 and "allow" in verdicts
    blocked = next(r for r in receipts if r.get("decision", {}).get("verdict") == "block")
    assert blocked["decision"]["reasons"][0]["rule"]


def test_the_log_verifies_twice(recorded):
    status, _ = both(recorded, recorded.log)
    assert status == 0


def test_a_bundle_verifies_twice_and_away_from_home(recorded, tmp_path):
    for scenario, receipt in recorded.seen.items():
        bundle = tmp_path / f"{scenario}.json"
        recorded.command("receipts", "export", receipt, "--out", str(bundle))
        status, said = both(recorded, bundle)
        assert status == 0, said


def test_an_altered_bundle_is_found(recorded, tmp_path):
    bundle = tmp_path / "bundle.json"
    recorded.command("receipts", "export", recorded.seen["one_evil"], "--out", str(bundle))
    whole = bundle.read_text()
    for old, new in (('\\"allow\\"', '\\"block\\"'), ("anthropic", "anthropoc")):
        if old in whole:
            bundle.write_text(whole.replace(old, new, 1))
            status, _ = both(recorded, bundle)
            assert status == 1


@pytest.mark.parametrize("place", [0.1, 0.35, 0.5, 0.75, 0.95])
def test_a_flipped_byte_is_found(recorded, copy, place):
    file = segment(copy)
    data = bytearray(file.read_bytes())
    data[int(len(data) * place)] ^= 0x20
    file.write_bytes(data)
    status, said = both(recorded, copy)
    assert status == 1 and said.strip()


def test_a_cut_log_is_found_against_a_remembered_checkpoint(recorded, copy, tmp_path):
    """A shorter log is a genuine log; only who remembers a later checkpoint can tell."""
    exported = tmp_path / "exported"
    recorded.command("receipts", "export", "--out", str(exported))
    remembered = exported / "checkpoint"
    status, said = both(recorded, copy, "--since", remembered)
    assert status == 0, said
    file = segment(copy)
    data = file.read_bytes()
    checkpoints = [at for at in range(len(data)) if data.startswith(b"\n\n\xe2\x80\x94 ", at)]
    assert len(checkpoints) > 2
    # Up to and with the first checkpoint's signature line, and nothing behind it.
    end = data.index(b"\n", checkpoints[0] + 3) + 1
    file.write_bytes(data[:end])
    for index in (copy / "segments").glob("*.idx"):
        index.unlink()
    status, said = both(recorded, copy, "--since", remembered)
    assert status == 1, said


def test_a_foreign_key_is_refused(recorded, provider, tmp_path):
    with Door(tmp_path, provider.url, "anthropic") as other:
        wire.ask(other, "text")
    key = other.command("receipts", "key").stdout.strip()
    assert key != recorded.key
    done = recorded.command("receipts", "verify", str(recorded.log), "--key", key, check=False)
    assert done.returncode == 1 and second_opinion(recorded.log, key).returncode == 1


def test_a_second_process_on_the_same_home_is_refused(own_door):
    other = Door(own_door.home, own_door.provider.url, own_door.protocol, start=False)
    with pytest.raises(AssertionError) as error:
        other.start()
    assert "panicked" not in str(error.value)
    assert wire.ask(own_door, "text").status == 200, "the first one is not disturbed"


def test_reading_works_beside_a_running_process(own_door):
    receipt = wire.ask(own_door, "text").header("doorward-receipt")
    assert receipt in own_door.command("receipts", "list", "--json").stdout
    assert receipt in own_door.command("receipts", "show", receipt).stdout
    assert own_door.command("receipts", "verify").returncode == 0
