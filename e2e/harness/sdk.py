"""The published SDKs, every way in which they read an answer, and what each of those ways yields.

A *reading* takes a base URL and a scenario and returns plain data: the message, and what else that way of
reading shows. Readings through the door and directly from the provider are then compared with `==`.
"""

import asyncio

import anthropic
import openai

from . import words

USER = [{"role": "user", "content": "List the files, please."}]


def anthropic_client(base_url, kind=anthropic.Anthropic, **options):
    options = {"max_retries": 0, "timeout": 30.0, "api_key": "dummy-client-key", **options}
    return kind(base_url=base_url, **options)


def openai_client(base_url, kind=openai.OpenAI, **options):
    options = {"max_retries": 0, "timeout": 30.0, "api_key": "dummy-client-key", **options}
    return kind(base_url=base_url, **options)


def _anthropic_request(scenario):
    return {
        "model": f"scripted:{scenario}",
        "max_tokens": 1024,
        "messages": USER,
        "tools": words.tools("anthropic"),
    }


def _openai_request(scenario):
    request = {"model": f"scripted:{scenario}", "messages": USER, "tools": words.tools("openai")}
    # More choices than were asked for are refused.
    return {**request, "n": 2} if scenario.startswith("two_choices") else request


# --- Anthropic


def anthropic_whole(base_url, scenario):
    """One JSON message."""
    with anthropic_client(base_url) as client:
        message = client.messages.create(**_anthropic_request(scenario))
        return {"message": message.to_dict(), "request_id": message._request_id}


def anthropic_events(base_url, scenario):
    """The raw events of a stream."""
    with anthropic_client(base_url) as client:
        stream = client.messages.create(stream=True, **_anthropic_request(scenario))
        return {"events": [event.to_dict() for event in stream]}


def anthropic_helper(base_url, scenario):
    """The stream helper: its accumulated message and the names of its events."""
    with anthropic_client(base_url) as client:
        with client.messages.stream(**_anthropic_request(scenario)) as stream:
            kinds = [event.type for event in stream]
            message = stream.get_final_message()
            return {"message": message.to_dict(), "kinds": kinds, "request_id": stream.request_id}


def anthropic_async_whole(base_url, scenario):
    async def read():
        async with anthropic_client(base_url, anthropic.AsyncAnthropic) as client:
            message = await client.messages.create(**_anthropic_request(scenario))
            return {"message": message.to_dict(), "request_id": message._request_id}

    return asyncio.run(read())


def anthropic_async_helper(base_url, scenario):
    async def read():
        async with anthropic_client(base_url, anthropic.AsyncAnthropic) as client:
            async with client.messages.stream(**_anthropic_request(scenario)) as stream:
                kinds = [event.type async for event in stream]
                message = await stream.get_final_message()
                return {"message": message.to_dict(), "kinds": kinds, "request_id": stream.request_id}

    return asyncio.run(read())


ANTHROPIC_WHOLE = [anthropic_whole, anthropic_async_whole]
ANTHROPIC_STREAMED = [anthropic_helper, anthropic_async_helper]
ANTHROPIC = ANTHROPIC_WHOLE + [anthropic_events] + ANTHROPIC_STREAMED


# --- OpenAI


def openai_whole(base_url, scenario):
    with openai_client(base_url) as client:
        answer = client.chat.completions.create(**_openai_request(scenario))
        return {"message": answer.to_dict(), "request_id": answer._request_id}


def openai_events(base_url, scenario):
    with openai_client(base_url) as client:
        stream = client.chat.completions.create(
            stream=True, stream_options={"include_usage": True}, **_openai_request(scenario)
        )
        return {"events": [chunk.to_dict() for chunk in stream]}


def openai_helper(base_url, scenario):
    with openai_client(base_url) as client:
        with client.chat.completions.stream(
            stream_options={"include_usage": True}, **_openai_request(scenario)
        ) as stream:
            kinds = [event.type for event in stream]
            return {"message": stream.get_final_completion().to_dict(), "kinds": kinds}


def openai_async_whole(base_url, scenario):
    async def read():
        async with openai_client(base_url, openai.AsyncOpenAI) as client:
            answer = await client.chat.completions.create(**_openai_request(scenario))
            return {"message": answer.to_dict(), "request_id": answer._request_id}

    return asyncio.run(read())


def openai_async_helper(base_url, scenario):
    async def read():
        async with openai_client(base_url, openai.AsyncOpenAI) as client:
            async with client.chat.completions.stream(
                stream_options={"include_usage": True}, **_openai_request(scenario)
            ) as stream:
                kinds = [event.type async for event in stream]
                answer = await stream.get_final_completion()
                return {"message": answer.to_dict(), "kinds": kinds}

    return asyncio.run(read())


OPENAI_WHOLE = [openai_whole, openai_async_whole]
OPENAI_STREAMED = [openai_helper, openai_async_helper]
OPENAI = OPENAI_WHOLE + [openai_events] + OPENAI_STREAMED


def failure(reading, base_url, scenario):
    """What a reading raises, as plain data."""
    try:
        got = reading(base_url, scenario)
    except (anthropic.APIStatusError, openai.APIStatusError) as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "body": error.body,
            "text": str(error),
            "request_id": error.request_id,
            "retry-after": error.response.headers.get("retry-after"),
            "retry-after-ms": error.response.headers.get("retry-after-ms"),
            "x-should-retry": error.response.headers.get("x-should-retry"),
        }
    raise AssertionError(f"no error, but {got}")
