"""Registered secrets stay here: the provider is sent placeholders, the SDK's call has the value, the person reads the
placeholder. The same bytes each time, also after a crash in the middle of the conversation."""

import json

import anthropic
import openai
import pytest
from harness.door import Door

SECRET = "Winter-Kayak~42+é/loom"
PREFIX = "doorward_secret_"
POLICY = "version: 1\ndefault: allow\nrules:\n  - { name: stay, redact: { finding: secret.registered, direction: out } }\n"
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}}
TASK = "Look it up and keep it. (play: secret)"


def say_anthropic(door, stream, history):
    client = anthropic.Anthropic(base_url=door.base_url, api_key="none", max_retries=0)
    messages = [{"role": "user", "content": TASK}]
    for nth, (command, result) in enumerate(history):
        call = {"type": "tool_use", "id": f"toolu_{nth}", "name": "bash", "input": {"command": command}}
        messages += [
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{nth}", "content": result}]},
        ]
    asked = dict(model="any", max_tokens=64, messages=messages, tools=[{"name": "bash", "input_schema": SCHEMA}])
    if stream:
        with client.messages.stream(**asked) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(**asked)
    block = message.content[-1]
    return block.input["command"] if block.type == "tool_use" else block.text


def say_chat(door, stream, history):
    client = openai.OpenAI(base_url=door.base_url, api_key="none", max_retries=0)
    messages = [{"role": "user", "content": TASK}]
    for nth, (command, result) in enumerate(history):
        function = {"name": "bash", "arguments": json.dumps({"command": command})}
        messages += [
            {"role": "assistant", "tool_calls": [{"id": f"call_{nth}", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": f"call_{nth}", "content": result},
        ]
    tools = [{"type": "function", "function": {"name": "bash", "parameters": SCHEMA}}]
    if stream:
        with client.chat.completions.stream(model="any", messages=messages, tools=tools) as events:
            reply = events.get_final_completion()
    else:
        reply = client.chat.completions.create(model="any", messages=messages, tools=tools)
    message = reply.choices[0].message
    return json.loads(message.tool_calls[0].function.arguments)["command"] if message.tool_calls else message.content


def say_responses(door, stream, history):
    client = openai.OpenAI(base_url=door.base_url, api_key="none", max_retries=0)
    items = [{"role": "user", "content": TASK}]
    for nth, (command, result) in enumerate(history):
        call = {"type": "function_call", "call_id": f"call_{nth}", "name": "bash"}
        items += [
            {**call, "arguments": json.dumps({"command": command})},
            {"type": "function_call_output", "call_id": f"call_{nth}", "output": result},
        ]
    tools = [{"type": "function", "name": "bash", "parameters": SCHEMA, "strict": False}]
    if stream:
        with client.responses.stream(model="any", input=items, tools=tools) as events:
            reply = events.get_final_response()
    else:
        reply = client.responses.create(model="any", input=items, tools=tools)
    calls = [item for item in reply.output if item.type == "function_call"]
    return json.loads(calls[-1].arguments)["command"] if calls else reply.output_text


def say_gemini(door, stream, history):
    from google import genai
    from google.genai import types

    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=door.base_url))
    contents = [types.Content(role="user", parts=[types.Part(text=TASK)])]
    for command, result in history:
        contents += [
            types.Content(role="model", parts=[types.Part.from_function_call(name="bash", args={"command": command})]),
            types.Content(
                role="user", parts=[types.Part.from_function_response(name="bash", response={"output": result})]
            ),
        ]
    declared = types.FunctionDeclaration(name="bash", parameters_json_schema=SCHEMA)
    asked = dict(
        model="gemini-any",
        contents=contents,
        config=types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declared])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    replies = list(client.models.generate_content_stream(**asked)) if stream else [client.models.generate_content(**asked)]
    calls = [call for reply in replies for call in reply.function_calls or []]
    return calls[-1].args["command"] if calls else "".join(reply.text or "" for reply in replies)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "protocol, say",
    [("anthropic", say_anthropic), ("openai", say_chat), ("openai", say_responses), ("gemini", say_gemini)],
    ids=["anthropic", "chat", "responses", "gemini"],
)
def test_the_provider_never_sees_it_and_the_tool_gets_it(fresh_provider, tmp_path, protocol, say, stream):
    home = tmp_path / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(POLICY)
    with Door(tmp_path, fresh_provider.url, protocol, start=False) as door:
        door.command("secrets", "add", "deploy-key", stdin=SECRET)
        door.start()
        assert say(door, stream, []) == "cat secret.txt"
        history = [("cat secret.txt", f"key = {SECRET}\n")]
        kept = f"printf %s {SECRET} > kept.txt"
        assert [say(door, stream, history) for _ in range(2)] == [kept, kept]
        # In the middle of it the process dies; the client sends the conversation again.
        door.kill_9()
        door.start()
        assert say(door, stream, history) == kept
        history.append((kept, ""))
        text = say(door, stream, history)
        assert PREFIX in text and SECRET not in text, text
        bodies = [entry["body"] for entry in fresh_provider.log() if entry["method"] == "POST"]
        assert len(bodies) == 5
        assert not any("Kayak" in body for body in bodies)
        assert bodies[1] == bodies[2] == bodies[3], "the provider's cache would be lost"
        receipts = door.receipts()
        assert not any("Kayak" in json.dumps(one) or PREFIX in json.dumps(one) for one in receipts)
        of = lambda kind: [one["decision"] for one in receipts if one.get("action", {}).get("kind") == kind]
        assert [one["verdict"] for one in of("model_request")][1:] == ["redact"] * 4
        assert any(duty.endswith(": deploy-key") for duty in of("model_request")[1]["duties"])
        assert [one.get("duties", []) for one in of("tool_call")].count(["unredact deploy-key"]) == 3
