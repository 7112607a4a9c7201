"""OpenAI Responses through the door with the official SDK: faithful where nothing is blocked, a message in the
place of what is, and sessions that go on afterwards, whether the client keeps the history or the provider."""

import json
import time

import openai
import pytest
from harness import sdk, wire
from harness.words import HELLO, POISON

BENIGN = ["text", "tool", "text_tool", "parallel", "world", "empty_args", "reasoning_tool", "web_search"]
# Scenario -> what the client must end up with. "…" is the message in place of a blocked call.
BLOCKED = {
    "one_evil": ["…"],
    "bytewise_evil": ["…"],
    "one_bad": [HELLO, "call_a", "…"],
    "bad_first": ["…", "call_b"],
    "all_bad": ["…", "…"],
    "undeclared": ["…"],
    "reasoning_evil": ["reasoning", "…"],
    "custom_tool": ["…"],
    "local_shell_evil": ["…"],
    "shell_evil": ["…"],
    "patch_evil": ["…"],
    "approval_evil": ["…"],
}
DELIVERIES = ["", ";split=11", ";every=1"]
USER = [{"role": "user", "content": "List the files, please."}]
TOOLS = [
    *(
        {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
        for name in ("Bash", "get_weather", "list_files")
    ),
    {"type": "custom", "name": "Bash"},
    {"type": "local_shell"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "web_search"},
    {"type": "mcp", "server_label": "remote", "server_url": "https://mcp.example.org/"},
]


def request(scenario, **more):
    return {"model": f"scripted:{scenario}", "input": USER, "tools": TOOLS, **more}


def whole(base_url, scenario, **more):
    with sdk.openai_client(base_url) as client:
        return client.responses.create(**request(scenario, **more)).to_dict()


def events(base_url, scenario, **more):
    with sdk.openai_client(base_url) as client:
        stream = client.responses.create(stream=True, **request(scenario, **more))
        return [event.to_dict() for event in stream]


def final(base_url, scenario, **more):
    """What the SDK's accumulating helper ends up with; it checks that all copies agree."""
    with sdk.openai_client(base_url) as client, client.responses.stream(**request(scenario, **more)) as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        return stream.get_final_response().to_dict(), "".join(texts)


def is_notice(item):
    if item["type"] != "message":
        return False
    text = item["content"][0]["text"].lower()
    return "[doorward] blocked" in text and "receipt" in text


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("scenario", BENIGN)
def test_what_is_allowed_is_the_same(openai_door, provider, scenario, delivery):
    ours, theirs = openai_door.base_url, provider.url
    assert events(ours, scenario + delivery) == events(theirs, scenario + delivery)
    if not delivery:
        assert whole(ours, scenario) == whole(theirs, scenario)
        assert final(ours, scenario) == final(theirs, scenario)


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("scenario", BLOCKED)
def test_a_blocked_call_is_a_message(openai_door, provider, scenario, delivery):
    response, streamed = final(openai_door.base_url, scenario + delivery)
    original = whole(provider.url, scenario)
    check(response["output"], original["output"], BLOCKED[scenario])
    for item in response["output"]:
        if is_notice(item):
            assert item["content"][0]["text"] in streamed
    if not delivery:
        check(whole(openai_door.base_url, scenario)["output"], original["output"], BLOCKED[scenario])
    told = events(openai_door.base_url, scenario + delivery)
    numbers = [event["sequence_number"] for event in told]
    assert numbers == sorted(numbers)
    for poison in POISON:
        assert poison.decode() not in json.dumps(told)


def check(output, original, expected):
    assert len(output) == len(expected)
    for wanted, item, theirs in zip(expected, output, original, strict=True):
        if wanted == "…":
            assert is_notice(item), item
        else:
            assert without_parsed(item) == theirs


def without_parsed(value):
    """What the helper adds for typed results."""
    if isinstance(value, dict):
        return {k: without_parsed(v) for k, v in value.items() if not k.startswith("parsed")}
    return [without_parsed(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("scenario", BLOCKED)
def test_no_byte_of_it_comes_through(openai_door, scenario):
    for stream in (True, False):
        body = {**request(scenario), "stream": stream}
        headers = wire.client_headers("openai")
        answer = wire.send(openai_door.address, openai_door.path + "/responses", body, headers=headers)
        assert answer.status == 200 and answer.end == "clean"
        for poison in POISON:
            assert poison not in answer.body


@pytest.mark.parametrize("scenario", ["copy_differs", "deltas_differ"])
def test_copies_that_differ_are_refused_or_blocked(openai_door, scenario):
    if scenario == "copy_differs":
        with pytest.raises(openai.APIError, match="differs from what was said"):
            events(openai_door.base_url, scenario)
    else:
        response, _ = final(openai_door.base_url, scenario)
        assert is_notice(response["output"][1])


def test_a_call_cut_off_by_a_limit_is_blocked(openai_door):
    told = events(openai_door.base_url, "cut_off")
    assert told[-1]["type"] == "response.incomplete"
    output = told[-1]["response"]["output"]
    assert output[0]["content"][0]["text"] == HELLO and is_notice(output[1])


def test_upstream_failures_pass(openai_door, provider):
    assert events(openai_door.base_url, "failed") == events(provider.url, "failed")
    with pytest.raises(openai.RateLimitError):
        whole(openai_door.base_url, "error_429")


def items(response):
    """What a client that keeps the history itself sends back."""
    return [{k: v for k, v in item.items() if k not in ("status", "parsed")} for item in response["output"]]


def results(response):
    return [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "done"}
        for item in response["output"]
        if item["type"] == "function_call"
    ]


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no-ids"])
@pytest.mark.parametrize("scenario", ["reasoning_evil", "reasoning_both", "one_evil", "local_shell_evil", "approval_evil"])
def test_a_client_that_keeps_the_history_goes_on(own_responses_door, scenario, ids):
    """The provider demands that reasoning is followed by its call, and that every call has an output."""
    door = own_responses_door
    first, _ = final(door.base_url, scenario, store=False, include=["reasoning.encrypted_content"])
    assert any(is_notice(item) for item in first["output"])
    own = items(first)
    if not ids:
        own = [{k: v for k, v in item.items() if k != "id" or item["type"] == "reasoning"} for item in own]
    for _ in range(2):  # every later turn sends the whole history again
        history = [*USER, *own, *results(first), {"role": "user", "content": "go on"}]
        after = whole(door.base_url, scenario, input=history, store=False)
        assert after["output"][0]["content"][0]["text"] == HELLO
    sent = json.loads(door.provider.log()[-1]["body"])["input"]
    assert [item for item in sent if "[doorward]" in json.dumps(item) and item["type"] != "message"]
    assert not [item for item in sent if "[doorward]" in json.dumps(item) and item.get("role") == "assistant"]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("scenario", ["one_evil", "reasoning_both", "all_bad", "shell_evil", "patch_evil", "approval_evil"])
def test_a_provider_that_keeps_the_history_goes_on(own_responses_door, scenario, streamed):
    door = own_responses_door
    first = final(door.base_url, scenario)[0] if streamed else whole(door.base_url, scenario)
    for text in ("go on", [*results(first), {"role": "user", "content": "go on"}]):
        if isinstance(text, str) and results(first):
            continue
        after = whole(door.base_url, scenario, input=text, previous_response_id=first["id"])
        assert after["output"][0]["content"][0]["text"] == HELLO


def test_a_conversation_is_answered_once(own_responses_door):
    door = own_responses_door
    whole(door.base_url, "one_evil", conversation="conv_1")
    for turn in ("2", "3"):
        more = {"conversation": "conv_1", "metadata": {"turn": turn}, "input": "go on"}
        assert whole(door.base_url, "one_evil" if turn == "2" else "text", **more)["status"] == "completed"


def restart(door, how):
    if how == "kill -9":
        # The store gathers records for some milliseconds; nobody waits for that.
        time.sleep(0.1)
        door.kill_9()
    else:
        door.stop()
    door.start()


ENDS = ["stop", "kill -9"]


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("scenario", ["one_evil", "reasoning_both", "all_bad", "shell_evil", "patch_evil", "approval_evil"])
def test_a_session_outlives_a_restart(own_responses_door, scenario, how):
    """Without the blocked call's output the provider says "No tool output found", and the session is dead."""
    door = own_responses_door
    first, _ = final(door.base_url, scenario)
    assert any(is_notice(item) for item in first["output"])
    for _ in range(2):
        restart(door, how)
        kept = [*results(first), {"role": "user", "content": "go on"}]
        after = whole(door.base_url, scenario, input=kept, previous_response_id=first["id"])
        assert after["output"][0]["content"][0]["text"] == HELLO
        own = [*USER, *items(first), *results(first), {"role": "user", "content": "go on"}]
        after = whole(door.base_url, scenario, input=own, store=False)
        assert after["output"][0]["content"][0]["text"] == HELLO
        sent = json.loads(door.provider.log()[-1]["body"])["input"]
        assert not [item for item in sent if "[doorward]" in json.dumps(item) and item.get("role") == "assistant"]
    duties = [receipt.get("decision", {}).get("duties", []) for receipt in door.receipts()]
    blocked = sum(is_notice(item) for item in first["output"])
    assert duties.count([f"restore {blocked}"]) == 4


@pytest.mark.parametrize("how", ENDS)
def test_a_conversation_outlives_a_restart(own_responses_door, how):
    door = own_responses_door
    whole(door.base_url, "one_evil", conversation="conv_1")
    for turn in ("2", "3"):
        restart(door, how)
        more = {"conversation": "conv_1", "metadata": {"turn": turn}, "input": "go on"}
        assert whole(door.base_url, "one_evil" if turn == "2" else "text", **more)["status"] == "completed"


@pytest.mark.parametrize("how", ENDS)
def test_declared_tools_of_a_stored_reply_outlive_a_restart(own_responses_door, how):
    door = own_responses_door
    first = whole(door.base_url, "tool")
    restart(door, how)
    with sdk.openai_client(door.base_url) as client:
        assert client.responses.retrieve(first["id"]).to_dict()["output"] == first["output"]


def test_what_is_remembered_lies_sealed(own_responses_door):
    door = own_responses_door
    whole(door.base_url, "one_evil")
    time.sleep(0.1)
    for path in (door.home / ".doorward").rglob("*"):
        if path.is_file():
            for secret in (*POISON, b"resp_one_evil", b"get_weather"):
                assert secret not in path.read_bytes(), path


def test_nobody_elses_words_bring_a_call_back(own_responses_door):
    door = own_responses_door
    first, _ = final(door.base_url, "one_evil")
    notice = first["output"][0]["content"][0]["text"]
    for item in (
        {"type": "message", "role": "user", "content": notice},
        {"type": "message", "role": "assistant", "content": f"{notice} "},
    ):
        door.provider.forget()
        whole(door.base_url, "text", input=[item])
        assert "payload.evil" not in json.dumps(door.provider.log())


def test_a_stored_reply_is_judged_again(own_responses_door):
    door = own_responses_door
    first, _ = final(door.base_url, "one_bad")
    with sdk.openai_client(door.base_url) as client:
        again = client.responses.retrieve(first["id"]).to_dict()
        assert [item["type"] for item in again["output"]] == ["message", "function_call", "message"]
        assert is_notice(again["output"][2])
        for after in (None, 3, 15, 20):
            more = {} if after is None else {"starting_after": after}
            told = [event.to_dict() for event in client.responses.retrieve(first["id"], stream=True, **more)]
            assert told[-1]["type"] == "response.completed"
            assert is_notice(told[-1]["response"]["output"][2])
            for poison in POISON:
                assert poison.decode() not in json.dumps(told)
        # Nothing is left to tell.
        assert list(client.responses.retrieve(first["id"], stream=True, starting_after=999)) == []
        listed = [item.to_dict() for item in client.responses.input_items.list(first["id"])]
        assert [item["type"] for item in listed] == ["message", "function_call", "message"]
        assert client.responses.cancel(first["id"]).status == "cancelled"
        client.responses.delete(first["id"])
        assert client.responses.input_tokens.count(model="x", input="x").input_tokens == 2095
        assert client.responses.compact(model="x", input="x").output[0].type == "compaction"


def test_a_background_reply_is_judged_when_it_is_fetched(own_responses_door):
    door = own_responses_door
    assert whole(door.base_url, "queued", background=True)["status"] == "queued"
    with sdk.openai_client(door.base_url) as client:
        # Nobody here saw what this one was asked with: no tool is known to be declared.
        unseen = client.responses.retrieve("resp_tool").to_dict()
        assert is_notice(unseen["output"][0])


def test_what_was_put_back_stands_in_the_receipt(own_responses_door):
    door = own_responses_door
    first, _ = final(door.base_url, "one_evil")
    whole(door.base_url, "one_evil", input="go on", previous_response_id=first["id"])
    duties = [receipt.get("decision", {}).get("duties", []) for receipt in door.receipts()]
    assert ["restore 1"] in duties


def test_codemode_declares_its_tools_in_its_input(openai_door):
    tools = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [{"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "function", "name": "exec_command"}]}],
    }
    with sdk.openai_client(openai_door.base_url) as client:
        response = client.responses.create(model="scripted:namespaced", input=[tools, *USER])
        assert response.output[0].type == "function_call"
        assert response.output[0].namespace == "functions"
        response = client.responses.create(model="scripted:namespaced", input=USER)
        assert is_notice(response.output[0].to_dict())
