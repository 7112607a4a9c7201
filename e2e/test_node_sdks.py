"""The Node SDKs of both providers and the Vercel AI SDK: harmless answers reach them as the provider sent them,
blocked calls never do, and their own tool loops go on after a block."""

import json
import os

import pytest
from harness import node as harness
from harness.words import POISON

OFFICIAL = {
    "anthropic": ["anthropic_whole", "anthropic_helper", "ai_anthropic_whole", "ai_anthropic_streamed"],
    "openai": [
        "openai_whole",
        "openai_helper",
        "ai_chat_whole",
        "ai_chat_streamed",
        "ai_compatible_whole",
        "ai_compatible_streamed",
    ],
}
READINGS = [(protocol, reading) for protocol, readings in OFFICIAL.items() for reading in readings]
LOOPS = [
    # `ai_responses` sends references to what it takes for stored, the notice among them.
    pytest.param(protocol, f"{model}_loop_{form}", id=f"{model}-{form}")
    for protocol, models in {
        "anthropic": ["ai_anthropic"],
        "openai": ["ai_chat", "ai_compatible", "ai_unstored", "ai_responses"],
    }.items()
    for model in models
    for form in ("whole", "streamed")
]


@pytest.fixture(scope="module")
def node():
    if harness.packages() is None:
        if os.environ.get("CI"):
            pytest.fail("the Node packages are not installed: `cargo xtask test` does it if there is npm")
        pytest.skip("the Node packages are not installed")
    with harness.Node() as running:
        yield running


def directly(provider, protocol):
    """The provider's own address, as a client of this protocol wants it."""
    return provider.url + ("" if protocol == "anthropic" else "/v1")


@pytest.mark.parametrize("scenario", ["text", "text_tool", "parallel", "world"])
@pytest.mark.parametrize("protocol, reading", READINGS)
def test_a_harmless_answer_is_unchanged(request, node, provider, protocol, reading, scenario):
    door = request.getfixturevalue(f"{protocol}_door")
    ours = node.read(reading, door.base_url, scenario)
    assert ours == node.read(reading, directly(provider, protocol), scenario)


@pytest.mark.parametrize("scenario, calls", [("one_evil", 0), ("one_bad", 1), ("all_bad", 0)])
@pytest.mark.parametrize("protocol, reading", READINGS)
def test_a_blocked_call_is_a_text(request, node, protocol, reading, scenario, calls):
    door = request.getfixturevalue(f"{protocol}_door")
    read = json.dumps(node.read(reading, door.base_url, scenario))
    assert "[doorward] Blocked the call to `Bash`" in read
    assert not any(poison.decode() in read for poison in POISON)
    assert read.count("ls -la src") == calls or "streamed" in reading or "helper" in reading


@pytest.mark.parametrize("reading", ["responses_whole", "responses_helper"])
def test_responses(node, openai_door, provider, reading):
    ours = node.read(reading, openai_door.base_url, "benign")
    assert ours == node.read(reading, directly(provider, "openai"), "benign")
    blocked = json.dumps(node.read(reading, openai_door.base_url, "alone"))
    assert "[doorward] Blocked the call to `Bash`" in blocked and "function_call" not in blocked
    assert "payload.sh" in json.dumps(node.read(reading, directly(provider, "openai"), "alone"))


@pytest.mark.parametrize("protocol, reading", LOOPS)
def test_a_tool_loop_goes_on_after_a_block(request, node, provider, protocol, reading):
    """The SDK runs what it is given, sends the results, and gets to the end of its task."""
    door = request.getfixturevalue(f"{protocol}_door")
    read = node.read(reading, door.base_url, "benign")
    assert read["commands"] == ["echo made > made.txt", "cat made.txt"]
    assert (read["text"], read["steps"]) == ("Done: the file is there.", 3)
    read = node.read(reading, door.base_url, "beside")
    assert read["commands"] == ["echo first > first.txt", "echo second > second.txt"]
    assert (read["text"], read["steps"]) == ("Done despite the block.", 3)
    # Without the door it would have run the other one.
    bare = node.read(reading, directly(provider, protocol), "beside")
    assert bare["commands"][1].endswith("payload.sh | sh")
