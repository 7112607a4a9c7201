"""An upstream that lies: what two parsers could read differently is refused, and says whose fault it is."""

import json

import pytest
from harness import sdk, wire
from harness.door import Door
from harness.process import free_port
from harness.words import POISON

# Faults a parser can see; each must be refused, streaming or not.
EVERYWHERE = ["bom", "invalid_utf8", "duplicate_key", "truncated", "reset"]
STREAMS = ["bare_cr"]
ANTHROPIC_STREAMS = ["out_of_order", "index_reuse", "interleaved", "interleaved_bad"]


def refused(answer, protocol):
    """Before byte one a 502 in the protocol's shape; after it the protocol's error event. No call either way."""
    if answer.status == 200:
        last = answer.events()[-1]
        assert "error" in json.loads(last[1]), last
        if protocol == "anthropic":
            assert last[0] == "error"
    else:
        assert answer.status == 502
        assert answer.header("x-should-retry") == "false"
        error = answer.json()["error"]
        assert "doorward" in error["message"].lower()
        if protocol == "anthropic":
            assert answer.json()["type"] == "error"
    assert answer.end == "clean", "an ended stream ends as HTTP ends"
    assert b'"tool_use"' not in answer.body and b'"tool_calls"' not in answer.body
    return True


@pytest.mark.parametrize("scenario", EVERYWHERE)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_fault_is_refused(protocol, door, scenario, stream):
    assert refused(wire.ask(door, scenario, stream), protocol)


@pytest.mark.parametrize("scenario", STREAMS)
@pytest.mark.parametrize("delivery", ["", ";every=1"])
def test_a_fault_of_streams_is_refused(protocol, door, scenario, delivery):
    assert refused(wire.ask(door, scenario + delivery), protocol)


@pytest.mark.parametrize("scenario", ANTHROPIC_STREAMS)
def test_an_impossible_order_is_refused(anthropic_door, scenario):
    assert refused(wire.ask(anthropic_door, scenario), "anthropic")


def test_an_answer_that_is_no_message_is_refused(protocol, door):
    for scenario in ("html", "empty"):
        for stream in (True, False):
            assert refused(wire.ask(door, scenario, stream), protocol), scenario


@pytest.mark.parametrize("scenario", ["unknown_block", "unknown_event"])
def test_what_is_unknown_and_could_be_a_call_is_blocked(anthropic_door, scenario):
    answer = wire.ask(anthropic_door, scenario)
    for poison in POISON:
        assert poison not in answer.body


def test_a_custom_tool_call_is_judged_or_blocked(openai_door):
    for stream in (True, False):
        answer = wire.ask(openai_door, "custom_tool", stream)
        for poison in POISON:
            assert poison not in answer.body


@pytest.mark.parametrize("path", ["/v1/experimental", "/v1/threads/runs"])
def test_an_unknown_endpoint_is_blocked(own_door, path):
    base = own_door.path.removesuffix("/v1")
    headers = wire.client_headers(own_door.protocol)
    answer = wire.send(own_door.address, base + path, {"model": "x"}, headers=headers)
    assert answer.status in (400, 403, 404, 502)
    for poison in POISON:
        assert poison not in answer.body


@pytest.mark.parametrize("scenario", ["redirect_301", "redirect_307"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_redirect_is_never_relayed(protocol, door, scenario, stream):
    answer = wire.ask(door, scenario, stream)
    assert answer.status == 502
    assert answer.header("location") is None
    assert b"203.0.113.9" not in answer.body


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_dead_upstream_is_a_502_and_not_retried(protocol, tmp_path, stream):
    with Door(tmp_path, f"http://127.0.0.1:{free_port()}", protocol) as door:
        answer = wire.ask(door, "text", stream)
        assert answer.status == 502
        assert answer.header("x-should-retry") == "false"
        assert answer.header("content-type").startswith("application/json")
        client = sdk.anthropic_client if protocol == "anthropic" else sdk.openai_client
        reading = sdk.anthropic_whole if protocol == "anthropic" else sdk.openai_whole
        assert sdk.failure(reading, door.base_url, "text")["status"] == 502
        assert client


def test_a_truncated_stream_raises_in_the_sdks(anthropic_door, openai_door):
    import anthropic
    import openai

    for reading in (sdk.anthropic_events, sdk.anthropic_helper, sdk.anthropic_async_helper):
        with pytest.raises(anthropic.APIError):
            reading(anthropic_door.base_url, "truncated")
    for reading in (sdk.openai_events, sdk.openai_helper, sdk.openai_async_helper):
        with pytest.raises(openai.APIError):
            reading(openai_door.base_url, "truncated")
