"""A blocked call never reaches the agent: not its name as a call, not one byte of its arguments. In its
place stands a text that the SDKs parse, and the rest of the message is as it was."""

import json

import pytest
from harness import sdk, wire
from harness.words import HELLO, LIST, POISON

# Scenario -> the content the client must end up with. "…" is the text in place of a blocked call.
ANTHROPIC = {
    "one_evil": ["…"],
    "bytewise_evil": ["…"],
    "one_bad": [HELLO, "call_a", "…"],
    "bad_first": ["…", "call_b"],
    "all_bad": ["…", "…"],
    "text_all_bad": [HELLO, "…", "…"],
    "undeclared": ["…"],
    "hidden_in_block_start": [HELLO, "…"],
    "thinking_evil": ["thinking", "…"],
}
# Scenario -> the calls that stay.
OPENAI = {
    "one_evil": [],
    "bytewise_evil": [],
    "one_bad": ["call_a"],
    "bad_first": ["call_b"],
    "all_bad": [],
    "text_all_bad": [],
    "interleaved_bad": ["call_a", "call_c"],
    "undeclared": [],
    "many_in_one": ["call_b"],
    "legacy_evil": [],
}
DELIVERIES = ["", ";split=11", ";every=1", ";delay=2"]


def is_notice(text):
    """The text in place of a call names who blocked it and what to do."""
    lower = text.lower()
    return "doorward" in lower and "blocked" in lower


def cases(scenarios, whole, streamed):
    """Every scenario with every reading; the deliveries matter to streams."""
    return [
        pytest.param(
            scenario,
            reading,
            delivery,
            id=f"{scenario}-{reading.__name__.partition('_')[2]}{delivery.replace(';', '-')}",
        )
        for scenario in scenarios
        for reading in whole + streamed
        for delivery in (DELIVERIES if reading in streamed else [""])
        if not (reading in whole and scenario == "hidden_in_block_start")
    ]


@pytest.mark.parametrize(
    "scenario, reading, delivery", cases(ANTHROPIC, sdk.ANTHROPIC_WHOLE, sdk.ANTHROPIC_STREAMED)
)
def test_anthropic_message_without_the_call(anthropic_door, provider, scenario, reading, delivery):
    ours = reading(anthropic_door.base_url, scenario + delivery)["message"]
    theirs = reading(provider.url, scenario + delivery)["message"]
    expected = ANTHROPIC[scenario]
    assert len(ours["content"]) == len(expected)
    for wanted, block, original in zip(expected, ours["content"], theirs["content"], strict=True):
        if wanted == "…":
            assert block["type"] == "text" and is_notice(block["text"])
        else:
            assert block == original
    calls = any(wanted.startswith("call_") for wanted in expected)
    assert ours["stop_reason"] == ("tool_use" if calls else "end_turn")
    for member in ("id", "model", "role", "type", "usage", "stop_sequence"):
        assert ours[member] == theirs[member], member


@pytest.mark.parametrize("scenario, reading, delivery", cases(OPENAI, sdk.OPENAI_WHOLE, sdk.OPENAI_STREAMED))
def test_openai_message_without_the_call(openai_door, provider, scenario, reading, delivery):
    ours = reading(openai_door.base_url, scenario + delivery)["message"]
    theirs = reading(provider.url + "/v1", scenario + delivery)["message"]
    choice, original = ours["choices"][0], theirs["choices"][0]
    calls = choice["message"].get("tool_calls") or []
    stay = [call for call in original["message"].get("tool_calls") or [] if call["id"] in OPENAI[scenario]]
    # The helper keeps each call's place in the stream; the place may move up.
    for call in calls + stay:
        call.pop("index", None)
    assert calls == stay
    assert not choice["message"].get("function_call")
    content, before = choice["message"]["content"], original["message"].get("content") or ""
    assert content.startswith(before) and is_notice(content[len(before) :])
    assert choice["finish_reason"] == ("tool_calls" if stay else "stop")
    for member in ("id", "model", "object", "created", "usage", "system_fingerprint"):
        assert ours.get(member) == theirs.get(member), member


def wire_cases():
    """Every protocol, each with its own scenarios, streamed in several ways and in one piece."""
    scenarios = {
        "anthropic": [*ANTHROPIC, "input_twice"],
        "openai": [*OPENAI, "two_choices_bad"],
    }
    return [
        pytest.param(protocol, scenario + delivery, stream, id=f"{protocol}-{scenario}-{name}")
        for protocol, those in scenarios.items()
        for scenario in those
        for name, stream, delivery in [
            ("stream", True, ""),
            ("random", True, ";split=21"),
            ("bytes", True, ";every=1"),
            ("whole", False, ""),
        ]
        # In one piece there is only one input, and it is harmless.
        if not (scenario == "input_twice" and name == "whole")
    ]


@pytest.mark.parametrize("protocol, scenario, stream", wire_cases())
def test_no_byte_of_a_blocked_call_is_sent(request, protocol, scenario, stream):
    answer = wire.ask(request.getfixturevalue(f"{protocol}_door"), scenario, stream)
    for poison in POISON:
        assert poison not in answer.body
    assert b'"name":"PowerTool"' not in answer.body
    # Cut into single characters the words above would not show; the arguments, joined, would.
    if stream and answer.status == 200:
        joined = "".join(piece if isinstance(piece, str) else json.dumps(piece) for piece in arguments(answer))
        assert "curl" not in joined and "dev/tcp" not in joined


def arguments(answer):
    """Everything that a client would take for arguments, in order."""
    for _, data in answer.events():
        if data == "[DONE]":
            continue
        event = json.loads(data)
        yield event.get("delta", {}).get("partial_json", "")
        yield event.get("content_block", {}).get("input", "")
        for choice in event.get("choices", []):
            for call in choice["delta"].get("tool_calls") or []:
                yield call["function"].get("arguments", "")
            yield (choice["delta"].get("function_call") or {}).get("arguments", "")


@pytest.mark.parametrize("protocol_scenario", ["anthropic-hidden_in_message_start", "openai-hidden_in_message"])
@pytest.mark.parametrize("delivery", ["", ";split=31"])
def test_a_call_in_an_unusual_place_is_found(request, protocol_scenario, delivery):
    protocol, scenario = protocol_scenario.split("-")
    answer = wire.ask(request.getfixturevalue(f"{protocol}_door"), scenario + delivery)
    for poison in POISON:
        assert poison not in answer.body


@pytest.mark.parametrize("case", ["anthropic-stream", "openai-stream", "openai-whole"])
def test_incomplete_arguments_are_withheld(request, case):
    """Cut off by the token limit: half of a command must not be run by a lenient client."""
    protocol, form = case.split("-")
    answer = wire.ask(request.getfixturevalue(f"{protocol}_door"), "incomplete", form == "stream")
    assert b"rm -rf" not in answer.body


@pytest.mark.parametrize("case", ["anthropic-stream", "openai-stream", "openai-whole"])
def test_ambiguous_arguments_block_the_call_not_the_answer(request, case):
    protocol, form = case.split("-")
    answer = wire.ask(request.getfixturevalue(f"{protocol}_door"), "bad_arguments", form == "stream")
    assert (answer.status, answer.end) == (200, "clean")
    assert is_notice(answer.body.decode())


def test_ambiguous_arguments_in_one_piece_make_the_answer_ambiguous(anthropic_door):
    """There they are no text in the body but a part of it."""
    answer = wire.ask(anthropic_door, "bad_arguments", stream=False)
    assert answer.status == 502 and b"tool_use" not in answer.body


def test_the_notice_says_what_to_do(anthropic_door):
    message = sdk.anthropic_whole(anthropic_door.base_url, "one_evil")["message"]
    notice = message["content"][0]["text"]
    assert is_notice(notice)
    assert "Bash" in notice, "which call"
    assert "retry" in notice.lower(), "that trying again is useless"
    assert "payload.evil.example" not in notice, "the notice must not carry the payload on"


def test_an_unaffected_sibling_keeps_its_bytes(anthropic_door, provider):
    """Of two calls one is blocked; the other's argument deltas are the very same bytes."""
    ours, theirs = (
        [data for _, data in answer.events() if '"index":1,' in data and "input_json_delta" in data]
        for answer in (
            wire.ask(anthropic_door, "one_bad"),
            wire.ask_directly(provider, "anthropic", "one_bad"),
        )
    )
    assert ours == theirs and LIST.split()[0] in "".join(ours)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_legitimate_conversation_after_a_block(anthropic_door, stream):
    """One blocked call must not brick the session: the next turn works, with the notice in its history."""
    with sdk.anthropic_client(anthropic_door.base_url) as client:
        first = client.messages.create(**sdk._anthropic_request("one_evil"))
        assert [block.type for block in first.content] == ["text"]
        history = sdk.USER + [
            {"role": "assistant", "content": [block.to_dict() for block in first.content]},
            {"role": "user", "content": "Then only list them."},
        ]
        request = {**sdk._anthropic_request("tool"), "messages": history}
        if stream:
            with client.messages.stream(**request) as answer:
                second = answer.get_final_message()
        else:
            second = client.messages.create(**request)
    assert [block.type for block in second.content] == ["tool_use"]
    assert second.stop_reason == "tool_use"


def test_monitor_mode_alters_nothing(protocol, provider, tmp_path):
    from harness.door import Door

    with Door(tmp_path, provider.url, protocol, arguments=["--mode", "monitor"]) as door:
        for scenario in ("one_bad", "all_bad;split=3", "undeclared"):
            for stream in (True, False):
                through = wire.ask(door, scenario, stream)
                assert through.body == wire.ask_directly(provider, protocol, scenario, stream).body
        verdicts = json.dumps(door.receipts())
        assert "block" in verdicts and "monitor" in verdicts
