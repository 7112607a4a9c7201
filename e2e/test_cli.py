"""The commands that need no traffic: `inspect`, `init`, `demo`, and what they say when used wrongly."""

import json
import re
import subprocess
import threading
import time

import pytest
from harness.door import Door
from harness.process import binary
from harness.words import EVIL


@pytest.fixture
def home(tmp_path):
    """A home in which nothing has run yet; only its commands are used."""
    return Door(tmp_path, "http://127.0.0.1:9", "anthropic", start=False)


def inspect(home, *lines, check=True):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    done = home.command("inspect", "-", stdin=text + "\n", check=check)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def test_inspect_answers_line_by_line(home):
    _, answers = inspect(
        home,
        {"id": "a", "kind": "command", "text": EVIL},
        {"id": "b", "kind": "command", "text": "cargo test --workspace"},
        {"id": 7, "kind": "tool_call", "text": json.dumps({"name": "Bash", "arguments": {"command": EVIL}})},
        {"id": "d", "kind": "tool_call", "text": json.dumps({"name": "Bash", "arguments": json.dumps({"command": "ls"})})},
        {"id": "e", "kind": "tool_result", "text": "12 tests passed"},
        {"id": "f", "kind": "outbound", "text": "hello"},
        {"id": "g", "kind": "url", "text": "http://169.254.169.254/latest/meta-data/", "more": {"ignored": [1]}},
    )
    assert [answer["id"] for answer in answers] == ["a", "b", 7, "d", "e", "f", "g"]
    verdicts = {str(answer["id"]): answer["verdict"] for answer in answers}
    assert verdicts["a"] == verdicts["7"] == verdicts["g"] == "block"
    for harmless in ("b", "d", "e", "f"):
        assert verdicts[harmless] in ("allow", "audit"), harmless
    for answer in answers:
        assert set(answer) >= {"id", "verdict", "risk", "coverage", "reasons", "micros"}
        assert 0 <= answer["risk"] <= 100
        for reason in answer["reasons"]:
            assert set(reason) >= {"rule", "layer", "severity", "message"}
            assert reason["layer"] in ("floor", "policy", "detect", "session", "budget")
    assert answers[0]["reasons"]


def test_inspect_judges_the_rest_after_a_bad_line(home):
    done, answers = inspect(
        home,
        {"id": 1, "kind": "command", "text": "ls"},
        "{not json",
        {"id": 3, "kind": "nonsense", "text": "x"},
        {"id": 4, "kind": "command"},
        '{"id": 5, "kind": "command", "text": "ls", "text": "id"}',
        {"id": 6, "kind": "command", "text": EVIL},
        check=False,
    )
    assert done.returncode == 1
    assert [answer.get("line") for answer in answers] == [None, 2, 3, 4, 5, None]
    assert all(answer["id"] is None and answer["error"] for answer in answers[1:5])
    assert answers[0]["verdict"] in ("allow", "audit") and answers[5]["verdict"] == "block"


def test_inspect_streams_in_bounded_memory(home):
    """Its memory must not grow with its input. (20,000 lines: the binary is a debug build.)"""
    count = 20_000
    line = json.dumps({"id": 1, "kind": "command", "text": "git status && ls -la"}) + "\n"
    running = subprocess.Popen(
        [str(binary("DOORWARD_BIN", "doorward")), "inspect", "-"],
        env=home.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def feed():
        for _ in range(count // 100):
            running.stdin.write(line * 100)
        running.stdin.close()

    def peak():
        with open(f"/proc/{running.pid}/status") as status:
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
            return int(found.group(1)) if found else None

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    sizes = []
    for number, answer in enumerate(running.stdout):
        assert '"verdict"' in answer
        if number % 1_000 == 0:
            sizes.append(peak())
    feeder.join()
    assert number + 1 == count and running.wait(10) == 0
    running.stdout.close()
    sizes = [size for size in sizes if size]
    print(f"peak {sizes[0]} kB near the beginning, {sizes[-1]} kB near the end")
    assert len(sizes) > 10 and sizes[-1] < sizes[0] + 16_000


def test_init_writes_private_commented_files_that_run_accepts(home, provider, tmp_path):
    home.command("init")
    folder = tmp_path / ".doorward"
    for name in ("doorward.yaml", "policy.yaml"):
        file = folder / name
        assert "#" in file.read_text(), "it explains itself"
        assert file.stat().st_mode & 0o077 == 0
    before = (folder / "policy.yaml").read_text()
    (folder / "policy.yaml").write_text(before + "\n# mine\n")
    home.command("init", check=False)
    assert (folder / "policy.yaml").read_text().endswith("# mine\n"), "what a user wrote is kept"
    with Door(tmp_path, provider.url, "anthropic"):
        pass


def test_a_broken_configuration_is_refused_with_its_place(home, tmp_path):
    home.command("init")
    file = tmp_path / ".doorward" / "doorward.yaml"
    file.write_text(file.read_text() + "\nlisten_adress: 127.0.0.1:1\n")
    done = home.command("run", check=False, seconds=10)
    assert done.returncode != 0
    assert "listen_adress" in done.stderr and "doorward.yaml" in done.stderr
    assert "panicked" not in done.stderr


def test_nothing_is_loaded_from_the_working_directory(home, tmp_path):
    """An agent's project must not bring its own policy."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("doorward.yaml", "policy.yaml", ".doorward.yaml"):
        (project / name).write_text("this: [is not a configuration")
    done = subprocess.run(
        [str(binary("DOORWARD_BIN", "doorward")), "inspect", "-"],
        cwd=project,
        env=home.env,
        input=json.dumps({"id": 1, "kind": "command", "text": "ls"}) + "\n",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


def test_the_demo_shows_a_block_and_verifies(home):
    begin = time.monotonic()
    done = home.command("demo", seconds=60)
    assert time.monotonic() - begin < 60
    text = done.stdout.lower()
    assert "block" in text and "verif" in text
    assert "export anthropic_base_url" in text or "doorward run" in text, "it ends with what to do next"


def test_the_demo_for_scripts(home):
    done = home.command("demo", "--json", seconds=60)
    shown = json.loads(done.stdout)
    assert "block" in json.dumps(shown)


def test_mistakes_on_the_command_line(home):
    for arguments in (["rnu"], ["run", "--protocl", "anthropic"], ["receipts", "show"], ["run", "--mode", "lenient"]):
        done = home.command(*arguments, check=False, seconds=10)
        assert done.returncode == 2, arguments
        assert done.stderr and "panicked" not in done.stderr
    assert re.search(r"\d+\.\d+", home.command("--version").stdout)

