"""What is not blocked arrives untouched: byte for byte on the wire, and equal in every SDK's hands."""

import pytest
from harness import sdk, wire

# Scenarios in which nothing is blocked.
BOTH = ["text", "tool", "weather", "text_tool", "parallel", "interleaved", "empty_args", "world", "huge", "huge_tool"]
BOTH += ["surrogates", "bytewise"]
STREAM_ONLY = ["crlf", "comments"]
ANTHROPIC_ONLY = ["thinking", "citations"]
OPENAI_ONLY = ["two_choices", "legacy_function_call", "no_done", "repeated_id", "stop_beside_calls", "refusal"]
DELIVERIES = ["text_tool;split=1", "parallel;split=2", "interleaved;split=3", "world;split=4", "world;every=1"]
DELIVERIES += ["parallel;delay=3", "bytewise;split=5;delay=1", "text_tool;first=150"]

# Anthropic's blocks do not overlap: `interleaved` is a hostile stream there (test_hostile_upstream.py).
ANTHROPIC = [s for s in BOTH + STREAM_ONLY + ANTHROPIC_ONLY + DELIVERIES if not s.startswith("interleaved")]
OPENAI = BOTH + STREAM_ONLY + OPENAI_ONLY + DELIVERIES


def cases(scenarios, readings):
    """Every scenario with every reading, without those that make no sense together."""
    return [
        pytest.param(scenario, reading, id=f"{scenario}-{reading.__name__.partition('_')[2]}")
        for scenario in scenarios
        for reading in readings
        if not (scenario in STREAM_ONLY and reading.__name__.endswith("whole"))
    ]


@pytest.mark.parametrize("scenario, reading", cases(ANTHROPIC, sdk.ANTHROPIC))
def test_the_anthropic_sdk_reads_the_same(anthropic_door, provider, scenario, reading):
    through = reading(anthropic_door.base_url, scenario)
    directly = reading(provider.url, scenario)
    assert through == directly


@pytest.mark.parametrize("scenario, reading", cases(OPENAI, sdk.OPENAI))
def test_the_openai_sdk_reads_the_same(openai_door, provider, scenario, reading):
    through = reading(openai_door.base_url, scenario)
    directly = reading(provider.url + "/v1", scenario)
    assert through == directly


def wire_cases():
    """Every protocol, each with its own scenarios, streamed and in one piece."""
    return [
        pytest.param(protocol, scenario, stream, id=f"{protocol}-{scenario}-{'stream' if stream else 'whole'}")
        for protocol, scenarios in (("anthropic", ANTHROPIC), ("openai", OPENAI))
        for scenario in scenarios
        for stream in (True, False)
        if stream or scenario not in STREAM_ONLY
    ]


@pytest.mark.parametrize("protocol, scenario, stream", wire_cases())
def test_the_bytes_are_the_same(request, provider, protocol, scenario, stream):
    through = wire.ask(request.getfixturevalue(f"{protocol}_door"), scenario, stream)
    directly = wire.ask_directly(provider, protocol, scenario, stream)
    assert (through.status, through.end) == (200, "clean")
    assert through.body == directly.body
    assert through.header("content-type") == directly.header("content-type")
    name = "request-id" if protocol == "anthropic" else "x-request-id"
    assert through.header(name) == directly.header(name)


def test_missing_index_is_tolerated(openai_door, provider):
    """Some compatible servers leave it out when there is one call; the meaning is plain."""
    through = sdk.openai_events(openai_door.base_url, "missing_index")
    assert through == sdk.openai_events(provider.url + "/v1", "missing_index")


def test_text_streams_on_at_once(door):
    """Eight pieces, 60 ms apart: the first text must be here long before the last."""
    answer = wire.ask(door, "text;delay=60")
    first = next(time for time, _ in answer.arrivals)
    last = answer.arrivals[-1][0]
    assert last - first > 0.3
    assert len(answer.arrivals) >= 6, "pieces were gathered"


def test_text_before_a_held_call_streams_on(anthropic_door):
    """A call still arriving holds itself, not the text before it."""
    body = wire.conversation("anthropic", "text_tool;delay=40")
    request = wire.request(
        anthropic_door.address,
        anthropic_door.messages_path(),
        body,
        headers=wire.client_headers("anthropic"),
    )
    with wire.Exchange(anthropic_door.address, request) as exchange:
        answer = exchange.read(until=lambda answer: b"passes" in answer.body)
        assert b"tool_use" not in answer.body
        assert answer.end == "open"
        assert b'"tool_use"' in exchange.read().body


@pytest.mark.parametrize("reading", sdk.ANTHROPIC)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 529])
def test_anthropic_errors_pass_faithfully(anthropic_door, provider, status, reading):
    through = sdk.failure(reading, anthropic_door.base_url, f"error_{status}")
    assert through == sdk.failure(reading, provider.url, f"error_{status}")
    assert through["status"] == status


@pytest.mark.parametrize("reading", sdk.OPENAI)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
def test_openai_errors_pass_faithfully(openai_door, provider, status, reading):
    through = sdk.failure(reading, openai_door.base_url, f"error_{status}")
    assert through == sdk.failure(reading, provider.url + "/v1", f"error_{status}")
    assert through["status"] == status


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_error_bytes_are_the_same(protocol, door, provider, status, stream):
    through = wire.ask(door, f"error_{status}", stream)
    directly = wire.ask_directly(provider, protocol, f"error_{status}", stream)
    assert (through.status, through.body) == (directly.status, directly.body)
    for name in ("retry-after", "retry-after-ms", "x-should-retry", "anthropic-ratelimit-requests-remaining"):
        assert through.header(name) == directly.header(name)


def test_an_error_inside_the_stream_passes(door, provider, protocol):
    through = wire.ask(door, "overloaded_stream")
    directly = wire.ask_directly(provider, protocol, "overloaded_stream")
    assert "overloaded" in through.events()[-1][1].lower()
    assert through.events()[-1] == directly.events()[-1]


def test_models_and_token_counts_pass(anthropic_door, openai_door, provider):
    with sdk.anthropic_client(anthropic_door.base_url) as client:
        assert [model.id for model in client.models.list()] == ["claude-scripted-1"]
        counted = client.messages.count_tokens(model="scripted:text", messages=sdk.USER)
        assert counted.input_tokens == 2095
    with sdk.openai_client(openai_door.base_url) as client:
        assert [model.id for model in client.models.list()] == ["gpt-scripted-1"]


def test_many_clients_at_once_each_get_their_own(anthropic_door, provider):
    """Sixteen concurrent streams, mixed, cut at random: none sees another's bytes."""
    import asyncio

    import anthropic

    scenarios = [
        f"{name};split={seed};delay=1"
        for seed, name in enumerate(["text", "tool", "parallel", "world", "thinking", "one_bad"] * 3)
    ][:16]

    async def read(base_url):
        async with sdk.anthropic_client(base_url, anthropic.AsyncAnthropic) as client:

            async def one(scenario):
                async with client.messages.stream(**sdk._anthropic_request(scenario)) as stream:
                    return (await stream.get_final_message()).to_dict()

            return await asyncio.gather(*map(one, scenarios))

    through, directly = asyncio.run(read(anthropic_door.base_url)), asyncio.run(read(provider.url))
    for scenario, ours, theirs in zip(scenarios, through, directly, strict=True):
        if scenario.startswith("one_bad"):
            assert [block["type"] for block in ours["content"]] == ["text", "tool_use", "text"], scenario
        else:
            assert ours == theirs, scenario
