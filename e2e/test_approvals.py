"""What a person decides: a call is held while the published SDKs wait, and goes on, or not, as the person says with
the real commands. Nobody there, no answer in time, a client that gives up and asks again."""

import json
import subprocess
import threading
import time

import anthropic
import openai
import pytest
from harness import words
from harness.door import Door
from harness.process import binary

CARE = "version: 1\ndefault: allow\nrules:\n  - name: care\n    ask: { tool: Bash }\n    reason: someone has to look\n"
USER = [{"role": "user", "content": "List the files, please."}]


@pytest.fixture
def door(protocol, fresh_provider, tmp_path):
    """A door whose policy asks about every call of Bash."""
    home = tmp_path / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(CARE)
    with Door(tmp_path, fresh_provider.url, protocol, env={"DOORWARD_APPROVAL_TIMEOUT": "60"}) as running:
        running.provider = fresh_provider
        yield running


class Person:
    """Somebody who watches: `doorward approvals watch --json`."""

    def __init__(self, door):
        self.door = door
        self.lines = []
        command = [str(binary("DOORWARD_BIN", "doorward")), "approvals", "watch", "--json"]
        self.process = subprocess.Popen(command, env=door.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        begin = time.monotonic()
        while not self.overview()["attended"]:
            assert time.monotonic() - begin < 10, "nobody is there"
            time.sleep(0.05)

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def overview(self):
        return json.loads(self.door.command("approvals", "list", "--json").stdout)

    def asked(self, seconds=10):
        """The question that waits, as it was told to who watches."""
        begin = time.monotonic()
        while True:
            states = {line["id"]: line for line in self.lines}
            waiting = [line for line in states.values() if line["state"] == "waiting"]
            if waiting:
                return waiting[-1]
            assert time.monotonic() - begin < seconds, f"nothing was asked: {self.lines}"
            time.sleep(0.02)


class Asking(threading.Thread):
    """A client that asks in the background, with the protocol's own SDK."""

    def __init__(self, door, stream=True, **options):
        super().__init__(daemon=True)
        self.door, self.stream, self.options = door, stream, options
        self.calls, self.text, self.error = None, "", None
        self.start()

    def run(self):
        try:
            (self._anthropic if self.door.protocol == "anthropic" else self._openai)()
        except Exception as error:  # told to the test
            self.error = error

    def done(self, seconds=20):
        self.join(seconds)
        assert not self.is_alive(), "the client still waits"
        if self.error:
            raise self.error
        return self

    def _anthropic(self):
        options = {"max_retries": 0, "timeout": 30.0, "api_key": "none", **self.options}
        client = anthropic.Anthropic(base_url=self.door.base_url, **options)
        request = {"model": "scripted:text_tool", "max_tokens": 64, "messages": USER, "tools": words.tools("anthropic")}
        if self.stream:
            with client.messages.stream(**request) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**request)
        self.calls = [block.input["command"] for block in message.content if block.type == "tool_use"]
        self.text = "".join(block.text for block in message.content if block.type == "text")

    def _openai(self):
        options = {"max_retries": 0, "timeout": 30.0, "api_key": "none", **self.options}
        client = openai.OpenAI(base_url=self.door.base_url, **options)
        request = {"model": "scripted:text_tool", "messages": USER, "tools": words.tools("openai")}
        if self.stream:
            with client.chat.completions.stream(**request) as stream:
                for _ in stream:
                    pass
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(**request).choices[0].message
        self.calls = [json.loads(call.function.arguments)["command"] for call in message.tool_calls or []]
        self.text = message.content or ""


def controls(door):
    """What the ledger says people were asked and said."""
    receipts = door.receipts()
    return [receipt["control"]["event"] for receipt in receipts if "approval" in receipt.get("control", {}).get("event", "")]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_person_says_yes(door, stream):
    with Person(door) as person:
        asking = Asking(door, stream)
        asked = person.asked()
        assert asked["tool"] == "Bash" and words.LIST in asked["commands"][0]
        assert asked["whole"] and json.loads(asked["content"])["command"] == words.LIST
        assert any(reason["rule"] == "policy.care" for reason in asked["reasons"])
        # Long enough for a keep-alive, which both SDKs have to pass over.
        time.sleep(6)
        assert asking.is_alive()
        shown = door.command("approvals", "show", asked["id"]).stdout
        assert f"  | {words.LIST}" in shown and "policy.care" in shown
        done = door.command("approvals", "approve", asked["id"], "--reason", "fine")
        assert "approved" in done.stdout
        assert asking.done().calls == [words.LIST]
    assert controls(door) == ["approval_requested", "approval_granted"]
    receipts = door.receipts()
    granted = next(receipt for receipt in receipts if receipt.get("control", {}).get("event") == "approval_granted")
    assert granted["of"] == asked["id"] and granted["control"]["by"] == "unauthenticated"
    assert granted["control"]["message"] == "once: fine"
    decided = [receipt for receipt in receipts if receipt["kind"] == "decision" and receipt.get("of") == asked["id"]]
    assert [receipt["decision"]["verdict"] for receipt in decided] == ["audit"]
    door.command("receipts", "verify")


def test_a_person_says_no(door):
    with Person(door) as person:
        asking = Asking(door)
        asked = person.asked()
        door.command("approvals", "deny", asked["id"], "--reason", "not on a Friday")
        assert asking.done().calls == []
        assert "said no: not on a Friday" in asking.text
        again = door.command("approvals", "approve", asked["id"], "--scope", "session", "--json")
        assert json.loads(again.stdout)["waited"] is False
        # A late yes for the session: the next try passes, and nobody is asked.
        assert Asking(door).done().calls == [words.LIST]
        unknown = door.command("approvals", "approve", "01JUNKNOWN", check=False)
        assert unknown.returncode == 1 and "there is no question" in unknown.stderr
        grants = person.overview()["grants"]
        assert [grant["scope"] for grant in grants] == ["session"]
        door.command("approvals", "revoke", grants[0]["id"])
        assert person.overview()["grants"] == []
    assert controls(door)[:2] == ["approval_requested", "approval_denied"]


def test_nobody_is_there(door):
    begin = time.monotonic()
    asking = Asking(door).done()
    assert time.monotonic() - begin < 5 and asking.calls == []
    assert "nobody is there to be asked" in asking.text and controls(door) == ["approval_missed"]
    assert door.command("approvals", "list").stdout.startswith("0 actions wait for a person; nobody watches")


@pytest.mark.parametrize("protocol", ["anthropic"])
def test_somebody_always_looks_but_not_in_time(fresh_provider, tmp_path, protocol):
    home = tmp_path / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(CARE)
    arguments = ["--approvals", "always", "--approval-timeout", "2"]
    with Door(tmp_path, fresh_provider.url, protocol, arguments=arguments) as door:
        asking = Asking(door).done()
        assert asking.calls == [] and "nobody answered within 2 s" in asking.text
        assert controls(door) == ["approval_requested", "approval_ended"]
        listed = door.command("approvals", "list", "--all").stdout
        assert "timed_out" in listed


def test_a_client_gives_up_and_its_retry_gets_the_one_reply(door):
    """The SDK's own retry: it gives up after two seconds, closes its connection and sends the same again."""
    with Person(door) as person:
        door.provider.forget()
        asking = Asking(door, stream=False, timeout=2.0, max_retries=4)
        asked = person.asked()
        time.sleep(4)
        assert asking.is_alive()
        door.command("approvals", "approve", asked["id"])
        assert asking.done(30).calls == [words.LIST]
        assert len(door.provider.log()) == 1, "the provider was asked again"
        assert sum(event == "approval_requested" for event in controls(door)) == 1


@pytest.mark.parametrize("protocol", ["anthropic"])
def test_after_kill_9_nothing_waits_and_the_session_grant_holds(door, protocol):
    with Person(door) as person:
        asking = Asking(door)
        asked = person.asked()
        door.command("approvals", "approve", asked["id"], "--scope", "session")
        assert asking.done().calls == [words.LIST]
    door.kill_9()
    door.start()
    assert Asking(door).done().calls == [words.LIST]
    gone = door.command("approvals", "approve", asked["id"], check=False)
    assert gone.returncode == 1 and "gone" in gone.stderr


@pytest.mark.parametrize("protocol", ["anthropic"])
def test_without_a_process_there_is_nothing_to_approve(door, protocol):
    door.stop()
    for command in (["list"], ["show", "01J"], ["approve", "01J"], ["watch", "--json"]):
        done = door.command("approvals", *command, check=False)
        assert done.returncode == 1 and "no Doorward runs" in done.stderr, command
