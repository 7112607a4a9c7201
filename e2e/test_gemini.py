"""Google's own SDK through the door: what is not blocked reads as it does without it, what is blocked is a text."""

import asyncio
import json

import pytest
from google import genai
from google.genai import errors, types
from harness import wire
from harness.door import Door
from harness.provider import header
from harness.words import HELLO, LIST, POISON, tools

FUNCTIONS = [
    {
        "name": tool["name"],
        "description": tool["description"],
        "parameters_json_schema": tool["input_schema"],
    }
    for tool in tools("anthropic")
]


def client(base_url, key="dummy-client-key"):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base_url, timeout=30_000))


def config(**more):
    return types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=FUNCTIONS)],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        **more,
    )


def asked(scenario):
    return {"model": "gemini-scripted", "contents": f"scripted:{scenario}", "config": config()}


def plain(answers):
    """All parts of an answer, and how it ended, as plain data."""
    parts, end = [], None
    for answer in answers:
        for candidate in answer.candidates or []:
            content = candidate.content
            parts += [part.model_dump(exclude_none=True) for part in (content.parts if content else None) or []]
            end = candidate.finish_reason or end
    return {"parts": parts, "end": end and end.value, "usage": answers[-1].usage_metadata.model_dump(exclude_none=True)}


def whole(base_url, scenario):
    with client(base_url) as it:
        return plain([it.models.generate_content(**asked(scenario))])


def streamed(base_url, scenario):
    with client(base_url) as it:
        return plain(list(it.models.generate_content_stream(**asked(scenario))))


def async_streamed(base_url, scenario):
    async def read():
        async with client(base_url).aio as it:
            return plain([chunk async for chunk in await it.models.generate_content_stream(**asked(scenario))])

    return asyncio.run(read())


READINGS = [whole, streamed, async_streamed]


def calls(read):
    return [part["function_call"]["args"].get("command", "") for part in read["parts"] if "function_call" in part]


def texts(read):
    return "".join(part.get("text", "") for part in read["parts"])


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("scenario", ["text", "tool", "text_tool", "parallel", "empty_args", "world", "thinking"])
def test_what_is_not_blocked_reads_as_it_does_without_the_door(gemini_door, provider, reading, scenario):
    assert reading(gemini_door.base_url, scenario) == reading(provider.url, scenario)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("delivery", ["", ";split=5", ";every=1"])
def test_a_blocked_call_is_a_text_in_its_place(gemini_door, reading, delivery):
    read = reading(gemini_door.base_url, "one_bad" + delivery)
    assert calls(read) == [LIST]
    said = texts(read)
    assert said.startswith(HELLO) and "doorward" in said and "blocked" in said.lower()
    assert not any(poison.decode() in json.dumps(read, default=str) for poison in POISON)
    assert read["end"] == "STOP"


@pytest.mark.parametrize("reading", READINGS)
def test_what_is_left_of_parallel_calls_is_signed(gemini_door, provider, reading):
    theirs = reading(provider.url, "signed_bad_first")
    ours = reading(gemini_door.base_url, "signed_bad_first")
    signature = theirs["parts"][0]["thought_signature"]
    assert [part.get("thought_signature") for part in ours["parts"]] == [None, signature, None]
    assert "text" in ours["parts"][0] and calls(ours) == [LIST, "git status"]


def test_a_session_goes_on_after_a_block(gemini_door, provider):
    """The SDK keeps the history: the text stands in it where the call was, and the next turn is an ordinary one."""
    provider.forget()
    with client(gemini_door.base_url) as it:
        chat = it.chats.create(model="gemini-scripted", config=config())
        first = "".join(chunk.text or "" for chunk in chat.send_message_stream("scripted:one_evil"))
        assert "doorward" in first
        assert chat.send_message("scripted:text").text == HELLO
    sent = json.loads(provider.log()[-1]["body"])
    assert [content["role"] for content in sent["contents"]] == ["user", "model", "user"]
    assert not any(poison.decode() in json.dumps(sent) for poison in POISON)


@pytest.mark.parametrize("scenario", ["snake_case", "partial_args", "two_fields"])
@pytest.mark.parametrize("stream", ["generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent"])
def test_what_sdks_read_in_different_ways_does_not_pass(gemini_door, provider, scenario, stream):
    body = {
        "contents": [{"role": "user", "parts": [{"text": f"scripted:{scenario}"}]}],
        "tools": [{"functionDeclarations": [{"name": "Bash"}]}],
    }
    target = f"/v1beta/models/gemini-scripted:{stream}"
    provided = wire.send(provider.host, target, body)
    assert any(poison in provided.body for poison in POISON), "the scenario has teeth"
    answer = wire.send(gemini_door.address, gemini_door.path + target, body)
    assert not any(poison in answer.body for poison in POISON)


def test_a_stream_without_events_is_one_array(gemini_door, provider):
    body = {
        "contents": [{"role": "user", "parts": [{"text": "scripted:one_bad"}]}],
        "tools": [{"functionDeclarations": [{"name": "Bash"}]}],
    }
    target = gemini_door.path + "/v1beta/models/gemini-scripted:streamGenerateContent"
    answer = wire.send(gemini_door.address, target, body)
    chunks = answer.json()
    assert len(chunks) > 3 and not any(poison in answer.body for poison in POISON)
    assert any("functionCall" in json.dumps(chunk) for chunk in chunks)


@pytest.mark.parametrize("status", [400, 403, 404, 429, 503])
def test_errors_are_the_providers_own(gemini_door, provider, status):
    found = []
    for base in (gemini_door.base_url, provider.url):
        with pytest.raises(errors.APIError) as caught:
            whole(base, f"error_{status}")
        found.append((caught.value.code, caught.value.status, caught.value.message, type(caught.value)))
    assert found[0] == found[1] and found[0][0] == status


def test_doorwards_own_errors_read_as_googles(gemini_door):
    with pytest.raises(errors.ServerError) as caught:
        whole(gemini_door.base_url, "snake_case")
    assert (caught.value.code, caught.value.status) == (502, "UNAVAILABLE")
    assert caught.value.message.startswith("doorward: ")
    with pytest.raises(errors.ClientError) as caught:
        whole(gemini_door.base_url.replace("/t/", "/t/x"), "text")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
    assert "GOOGLE_GEMINI_BASE_URL" in caught.value.message


def test_a_broken_stream_says_so(gemini_door):
    with client(gemini_door.base_url) as it, pytest.raises(errors.ServerError) as caught:
        list(it.models.generate_content_stream(**asked("duplicate_key")))
    assert caught.value.code == 502 and "json.duplicate-key" in caught.value.message


def test_other_endpoints(gemini_door):
    with client(gemini_door.base_url) as it:
        assert it.models.count_tokens(model="gemini-scripted", contents="hi").total_tokens == 2095
        assert [model.name for model in it.models.list()] == ["models/gemini-scripted"]


def test_a_configured_key_replaces_every_other(fresh_provider, tmp_path):
    given = {"arguments": ["--key-env", "THE_KEY"], "env": {"THE_KEY": "configured-key"}}
    with Door(tmp_path, fresh_provider.url, "gemini", **given) as door:
        whole(door.base_url, "text")
        target = door.path + "/v1beta/models/gemini-scripted:generateContent?key=client-key&%6bey=client-key"
        body = {"contents": [{"role": "user", "parts": [{"text": "scripted:text"}]}]}
        headers = [("authorization", "Bearer client-key"), ("x-api-key", "client-key")]
        assert wire.send(door.address, target, body, headers=headers).status == 200
        receipts = json.dumps(door.receipts())
    for entry in fresh_provider.log():
        assert header(entry, "x-goog-api-key") == ["configured-key"]
        assert "client-key" not in json.dumps(entry)
    assert "client-key" not in receipts and "configured-key" not in receipts


def test_the_clients_own_key_passes(fresh_provider, tmp_path):
    with Door(tmp_path, fresh_provider.url, "gemini") as door:
        whole(door.base_url, "text")
    assert header(fresh_provider.log()[-1], "x-goog-api-key") == ["dummy-client-key"]
