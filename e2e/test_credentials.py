"""Keys: the client's pass untouched, a configured one goes to its upstream and nowhere else, and none is
ever written down."""

import json

import pytest
from harness import sdk, wire
from harness.door import Door
from harness.provider import header

KEY = "sk-configured-0123456789abcdef"
CLIENT = "dummy-client-key"


def door_with_key(home, provider, protocol, how):
    """A door that has a key of its own for the upstream."""
    if how == "env":
        return Door(home, provider.url, protocol, arguments=["--key-env", "MY_KEY", "-vvv"], env={"MY_KEY": KEY})
    file = home / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    return Door(home, provider.url, protocol, arguments=["--key-file", str(file), "-vvv"])


def keys(entry):
    return header(entry, "x-api-key") + header(entry, "authorization")


@pytest.mark.parametrize("how", ["file", "env"])
def test_a_configured_key_takes_the_place_of_the_clients(fresh_provider, tmp_path, protocol, how):
    with door_with_key(tmp_path, fresh_provider, protocol, how) as door:
        for scenario in ("text", "one_evil", "error_401"):
            wire.ask(door, scenario)
        for entry in fresh_provider.log():
            assert len(keys(entry)) == 1 and keys(entry)[0].removeprefix("Bearer ") == KEY
            assert CLIENT not in json.dumps(entry), "the client's key is not mixed in"
        running = door.running
    written = "\n".join(running.printed + running.complaints)
    assert KEY not in written and CLIENT not in written and door.token not in "\n".join(running.complaints)
    for file in (tmp_path / ".doorward").rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file


def test_a_redirect_does_not_carry_the_key_away(fresh_provider, tmp_path, protocol):
    with door_with_key(tmp_path, fresh_provider, protocol, "file") as door:
        answer = wire.ask(door, "redirect_307")
        assert answer.status == 502 and KEY.encode() not in answer.raw
        assert len(fresh_provider.log()) == 1


@pytest.mark.parametrize(
    "name, value",
    [
        ("x-api-key", "client-api-key"),
        ("authorization", "Bearer sk-ant-oat01-client-oauth"),
        ("anthropic-beta", "oauth-2025-04-20,fine-grained-tool-streaming-2025-05-14"),
        ("openai-organization", "org-client"),
    ],
)
def test_client_credentials_pass_untouched(own_door, name, value):
    headers = [(name, value), ("anthropic-version", "2023-06-01")]
    body = wire.conversation(own_door.protocol, "text")
    assert wire.send(own_door.address, own_door.messages_path(), body, headers=headers).status == 200
    (entry,) = own_door.provider.log()
    assert header(entry, name) == [value]
    assert all(key == value for key in keys(entry)), "nothing was added"


def test_the_sdks_credentials_arrive(own_door):
    whole = sdk.anthropic_whole if own_door.protocol == "anthropic" else sdk.openai_whole
    whole(own_door.base_url, "text")
    (entry,) = own_door.provider.log()
    assert keys(entry) in ([CLIENT], [f"Bearer {CLIENT}"])


def test_a_key_on_the_command_line_is_not_accepted(tmp_path):
    door = Door(tmp_path, "http://127.0.0.1:9", "anthropic", start=False)
    done = door.command("run", "--upstream-key", KEY, check=False, seconds=10)
    assert done.returncode == 2


def test_a_key_file_that_others_can_read_is_warned_of(fresh_provider, tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    with Door(tmp_path, fresh_provider.url, "anthropic", arguments=["--key-file", str(file)]) as door:
        wire.ask(door, "text")
        running = door.running
    assert str(file) in "\n".join(running.printed + running.complaints)


def test_a_missing_key_file_stops_the_start(fresh_provider, tmp_path):
    door = Door(tmp_path, fresh_provider.url, "anthropic", arguments=["--key-file", str(tmp_path / "none")], start=False)
    with pytest.raises(AssertionError) as error:
        door.start()
    assert str(tmp_path / "none") in str(error.value) and "panicked" not in str(error.value)


def test_settings_from_the_environment(fresh_provider, tmp_path):
    """Everything that can be typed can be a variable."""
    from harness.process import Running, binary, free_port

    port = free_port()
    env = {
        **Door(tmp_path, "", "anthropic", start=False).env,
        "DOORWARD_UPSTREAM": fresh_provider.url,
        "DOORWARD_PROTOCOL": "anthropic",
        "DOORWARD_LISTEN": f"127.0.0.1:{port}",
        "DOORWARD_CONTROL": f"127.0.0.1:{free_port()}",
        "DOORWARD_MODE": "monitor",
    }
    running = Running([binary("DOORWARD_BIN", "doorward"), "run"], env)
    try:
        line = running.until(lambda line: line if "ANTHROPIC_BASE_URL=" in line else None, 20)
        base = line.partition("ANTHROPIC_BASE_URL=")[2].strip("'\"")
        got = sdk.anthropic_whole(base, "one_evil")
        assert [block["type"] for block in got["message"]["content"]] == ["tool_use"], "monitor alters nothing"
    finally:
        running.terminate()
