"""Providers that speak almost as OpenAI and Anthropic do: the published SDKs read through the door what they
read without it, and what a blocked call leaves behind can be read."""

import json

import openai
import pytest
from harness import sdk, wire, words
from harness.door import Door
from harness.provider import header
from harness.words import HELLO, POISON

CHAT = ["openrouter", "deepseek", "vllm", "ollama", "llama_cpp", "litellm", "azure", "groq", "mistral", "gemini"]
BENIGN = ["text", "reasoning", "parallel"]
MESSAGES = ["openrouter", "copilot", "kimi"]
READINGS = [sdk.openai_whole, sdk.openai_events, sdk.openai_helper]
NOTICE = "[doorward] Blocked the call to `Bash`"


def identify(reading):
    return reading.__name__.partition("_")[2]


def read(reading, base_url, scenario):
    """What a reading yields, or how it fails: some of these shapes are too much for an SDK, door or not."""
    try:
        return {"yields": reading(base_url, scenario)}
    except Exception as error:  # noqa: BLE001
        return {"fails": type(error).__name__, "with": str(error)}


def message(reading, base_url, scenario):
    """The finished message of a reading."""
    choice = reading(base_url, scenario)["message"]["choices"][0]
    return choice["message"], choice["finish_reason"]


def joined(events):
    """What a client that goes by the documentation makes of raw chunks: text, calls by index, reasons."""
    text, calls, reasons = "", {}, set()
    for event in events:
        for choice in event.get("choices") or []:
            delta = choice.get("delta") or {}
            if isinstance(delta.get("content"), str):
                text += delta["content"]
            for call in delta.get("tool_calls") or []:
                known = calls.setdefault(call["index"], {"name": "", "arguments": "", "id": call.get("id")})
                known["name"] = (call.get("function") or {}).get("name") or known["name"]
                known["arguments"] += (call.get("function") or {}).get("arguments") or ""
            if choice.get("finish_reason"):
                reasons.add(choice["finish_reason"])
    return text, [calls[index] for index in sorted(calls)], reasons


@pytest.mark.filterwarnings("ignore:Pydantic serializer")
@pytest.mark.parametrize("reading", READINGS, ids=identify)
@pytest.mark.parametrize("scene", BENIGN + ["broken", "refused"])
@pytest.mark.parametrize("dialect", CHAT)
def test_the_sdk_reads_the_same(openai_door, provider, dialect, scene, reading):
    through = read(reading, openai_door.base_url, f"{dialect}/{scene}")
    directly = read(reading, provider.url + "/v1", f"{dialect}/{scene}")
    if scene == "broken" and "fails" not in directly and dialect == "ollama":
        # It ends as if nothing had been; through the door the client hears of it.
        assert through["fails"] == "APIError" and "stream.truncated" in through["with"]
    elif scene == "broken" and directly.get("fails") in ("APIConnectionError", "JSONDecodeError"):
        # A connection that breaks is answered by the door, which says whose fault it is.
        assert through["fails"] == "InternalServerError" and "doorward" in through["with"]
    else:
        assert through == directly


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("scene", BENIGN)
@pytest.mark.parametrize("dialect", CHAT)
def test_the_bytes_are_the_same(openai_door, provider, dialect, scene, stream):
    scenario = f"{dialect}/{scene};split=17" if stream else f"{dialect}/{scene}"
    through = wire.ask(openai_door, scenario, stream)
    assert (through.status, through.end) == (200, "clean")
    assert through.body == wire.ask_directly(provider, "openai", scenario, stream).body


@pytest.mark.parametrize("dialect", CHAT)
@pytest.mark.parametrize("scene", ["blocked", "blocked_first", "all_blocked"])
@pytest.mark.parametrize("reading", [sdk.openai_whole, sdk.openai_helper], ids=identify)
def test_the_sdk_reads_what_a_block_leaves(openai_door, provider, dialect, scene, reading):
    try:
        theirs, _ = message(reading, provider.url + "/v1", f"{dialect}/{scene}")
    except Exception as error:  # noqa: BLE001
        pytest.skip(f"the SDK does not read this provider even without the door: {error}")
    ours, reason = message(reading, openai_door.base_url, f"{dialect}/{scene}")
    stay = [call for call in theirs["tool_calls"] if call["function"]["name"] == "get_weather"]
    calls = ours.get("tool_calls") or []
    assert [call["id"] for call in calls] == [call["id"] for call in stay]
    assert [call["function"] for call in calls] == [call["function"] for call in stay]
    before = theirs.get("content") or ""
    assert ours["content"].startswith(before) and NOTICE in ours["content"][len(before) :]
    assert before == ("" if scene != "blocked" else HELLO)
    # vLLM and others say the reason of the call that was blocked; with no call left it is none.
    assert reason == ("tool_calls" if stay else "stop")


@pytest.mark.parametrize("delivery", ["", ";every=1", ";split=23"])
@pytest.mark.parametrize("scene", ["blocked", "blocked_first", "all_blocked"])
@pytest.mark.parametrize("dialect", CHAT)
def test_the_raw_stream_without_the_call(openai_door, dialect, scene, delivery):
    answer = wire.ask(openai_door, f"{dialect}/{scene}{delivery}")
    assert (answer.status, answer.end) == (200, "clean")
    assert not any(poison in answer.body for poison in POISON)
    events = [json.loads(data) for _, data in answer.events() if data != "[DONE]"]
    text, calls, reasons = joined(events)
    assert NOTICE in text
    assert [call["name"] for call in calls] == (["get_weather"] if scene != "all_blocked" else [])
    assert all(json.loads(call["arguments"])["city"] == "Zürich" for call in calls)
    assert reasons == {"tool_calls" if calls else "stop"}


# Habits of one provider: scene -> the calls that a client ends up with, by name.
HABITS = {
    "vllm/named_tool": [],
    "vllm/no_finish": ["Bash", "get_weather"],
    "vllm/finish_in_call": ["get_weather"],
    "vllm/index_reused": ["Bash", "get_weather"],
    "ollama/index_zero": ["Bash", "get_weather"],
    "ollama/index_zero_together": ["Bash", "get_weather"],
    "ollama/blocked.index_zero": ["get_weather"],
    "ollama/blocked_first.index_zero": ["get_weather"],
    "ollama/one_chunk": ["Bash", "get_weather"],
    "ollama/done_with_call": ["Bash", "get_weather"],
    "ollama/blocked.done_with_call": ["get_weather"],
    "litellm/full": ["get_weather"],
    "azure/async_filter": ["get_weather"],
    "gemini/index_zero": ["Bash", "get_weather"],
}


@pytest.mark.parametrize("scene", HABITS)
def test_habits_of_one_provider(openai_door, scene):
    text, calls, _ = joined(sdk.openai_events(openai_door.base_url, scene)["events"])
    assert [call["name"] for call in calls] == HABITS[scene]
    for call in calls:
        assert isinstance(json.loads(call["arguments"]), dict)
    assert (NOTICE in text) == (HABITS[scene] != ["Bash", "get_weather"])


@pytest.mark.parametrize("reading", sdk.OPENAI_STREAMED, ids=identify)
@pytest.mark.parametrize("scene", ["ollama/index_zero", "gemini/index_zero", "vllm/index_reused"])
def test_calls_that_share_an_index_become_readable(openai_door, provider, scene, reading):
    """Without the door the SDK makes one call of them, with arguments that are no JSON."""
    theirs, _ = message(reading, provider.url + "/v1", scene)
    assert len(theirs["tool_calls"]) == 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(theirs["tool_calls"][0]["function"]["arguments"])
    ours, reason = message(reading, openai_door.base_url, scene)
    assert [call["function"]["name"] for call in ours["tool_calls"]] == ["Bash", "get_weather"]
    assert len({call["id"] for call in ours["tool_calls"]}) == 2 and reason == "tool_calls"
    assert json.loads(ours["tool_calls"][1]["function"]["arguments"]) == {"city": "Zürich", "days": 3}


@pytest.mark.parametrize("dialect", CHAT)
def test_half_a_call_is_never_given_out(openai_door, dialect):
    answer = wire.ask(openai_door, f"{dialect}/broken_call")
    if dialect == "mistral":
        # Its calls come whole with the finish; the error behind them passes.
        assert b'"error"' in answer.body
        return
    assert b'"name":"Bash"' not in answer.body and b"ls -la" not in answer.body


def test_a_field_that_is_none_of_the_format_is_an_error_the_client_hears_of(openai_door, provider):
    """llama.cpp until late in 2025: without the door the SDK takes the broken stream for a whole one."""
    assert "yields" in read(sdk.openai_events, provider.url + "/v1", "llama_cpp/old_error")
    through = read(sdk.openai_events, openai_door.base_url, "llama_cpp/old_error")
    assert through["fails"] == "APIError" and "sse.field" in through["with"]


# --- Anthropic Messages, as others serve them


@pytest.mark.parametrize("reading", sdk.ANTHROPIC, ids=identify)
@pytest.mark.parametrize("scenario", ["text", "parallel", "thinking"])
@pytest.mark.parametrize("name", MESSAGES)
def test_messages_read_the_same(anthropic_door, provider, name, scenario, reading):
    through = read(reading, anthropic_door.base_url, f"{name}/{scenario}")
    directly = read(reading, provider.url, f"{name}/{scenario}")
    assert through == directly and "yields" in through


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("scenario", ["one_bad", "all_bad", "bad_first"])
def test_messages_without_the_call(anthropic_door, name, scenario):
    answer = wire.ask(anthropic_door, f"{name}/{scenario};split=3")
    assert (answer.status, answer.end) == (200, "clean")
    assert not any(poison in answer.body for poison in POISON)
    got = sdk.anthropic_helper(anthropic_door.base_url, f"{name}/{scenario}")["message"]
    kept = {
        "one_bad": ["text", "tool_use", "text"],
        "all_bad": ["text", "text"],
        "bad_first": ["text", "tool_use"],
    }
    assert [block["type"] for block in got["content"]] == kept[scenario]
    assert got["stop_reason"] == ("end_turn" if scenario == "all_bad" else "tool_use")


# --- Azure


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_the_azure_client(fresh_provider, tmp_path, stream):
    """Its own paths, its own header, and a key that the agent does not have."""
    key = tmp_path / "key"
    key.write_text("azure-configured-key\n")
    key.chmod(0o600)
    arguments = ["--key-file", str(key), "--key-header", "api-key"]
    with Door(tmp_path, fresh_provider.url, "openai", arguments=arguments) as door:
        client = openai.AzureOpenAI(
            azure_endpoint=door.base_url.removesuffix("/v1"),
            azure_deployment="gpt-scripted",
            api_version="2024-10-21",
            api_key="the-agents-own",
            max_retries=0,
            timeout=30.0,
        )
        request = {"model": "scripted:azure/blocked", "messages": sdk.USER, "tools": words.tools("openai")}
        if stream:
            with client.chat.completions.stream(**request) as answer:
                choice = answer.get_final_completion().choices[0]
        else:
            choice = client.chat.completions.create(**request).choices[0]
        assert choice.message.content.startswith(HELLO) and NOTICE in choice.message.content
        assert [call.function.name for call in choice.message.tool_calls] == ["get_weather"]
        client.close()
    (entry,) = fresh_provider.log()
    assert entry["target"] == "/openai/deployments/gpt-scripted/chat/completions?api-version=2024-10-21"
    assert header(entry, "api-key") == ["azure-configured-key"] and header(entry, "authorization") == []


@pytest.mark.parametrize("key_header", ["nowhere", ""])
def test_a_header_that_is_none_stops_the_start(fresh_provider, tmp_path, key_header):
    arguments = ["--key-env", "K", "--key-header", key_header]
    door = Door(tmp_path, fresh_provider.url, "openai", arguments=arguments, env={"K": "k"}, start=False)
    with pytest.raises(AssertionError) as error:
        door.start()
    assert "key-header" in str(error.value) and "api-key" in str(error.value)


# --- Ollama's own interface


@pytest.mark.parametrize("path", ["api/chat", "api/generate"])
def test_ollamas_own_interface_is_refused_with_advice(openai_door, path):
    body = {"model": "qwen3-coder", "messages": [{"role": "user", "content": "hi"}]}
    answer = wire.send(openai_door.address, f"{openai_door.path.removesuffix('/v1')}/{path}", body)
    assert answer.status == 403 and answer.header("doorward-code") == "unknown_endpoint"
    assert "/v1/chat/completions" in answer.json()["error"]["message"]
