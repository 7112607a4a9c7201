"""LangChain's chat models and its agent: harmless answers are unchanged, a blocked call is a text, and the agent's
loop goes on after a block."""

import pytest
from harness.words import HELLO, POISON, tools
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

KINDS = {"anthropic": "anthropic", "chat": "openai", "responses": "openai"}
# How the provider is told what to play: the Responses API by the task, the others by the model's name.
SCENARIOS = {"anthropic": ("text_tool", "one_bad"), "chat": ("text_tool", "one_bad")}


def model(kind, base, name):
    options = {"model": name, "api_key": "dummy-client-key", "max_retries": 0, "timeout": 30}
    if kind == "anthropic":
        return ChatAnthropic(base_url=base, **options)
    return ChatOpenAI(base_url=base, use_responses_api=kind == "responses", **options)


def read(kind, base, scenario, form):
    """One answer as LangChain has it, put together if it was streamed."""
    client = model(kind, base, f"scripted:{scenario}").bind_tools(tools(KINDS[kind]))
    if form == "whole":
        return client.invoke("List the files, please.")
    message = None
    for chunk in client.stream("List the files, please."):
        message = chunk if message is None else message + chunk
    return message


def plain(message):
    """What must be equal: everything but the ids that LangChain makes up."""
    calls = [(call["id"], call["name"], call["args"]) for call in message.tool_calls]
    return message.text, calls, message.usage_metadata, message.response_metadata


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture
def bases(kind, provider, request):
    """The door's address and the provider's own, as this client wants them."""
    door = request.getfixturevalue(f"{KINDS[kind]}_door")
    return door.base_url, provider.url + ("" if kind == "anthropic" else "/v1")


@pytest.mark.parametrize("form", ["whole", "streamed"])
@pytest.mark.parametrize("kind", list(SCENARIOS), indirect=True)
def test_a_harmless_answer_is_unchanged(kind, bases, form):
    ours, theirs = (plain(read(kind, base, "text_tool", form)) for base in bases)
    assert ours == theirs
    assert ours[0] == HELLO and len(ours[1]) == 1


@pytest.mark.parametrize("form", ["whole", "streamed"])
@pytest.mark.parametrize("kind", list(SCENARIOS), indirect=True)
def test_a_blocked_call_is_a_text(kind, bases, form):
    message = read(kind, bases[0], "one_bad", form)
    assert [call["args"]["command"] for call in message.tool_calls] == ["ls -la src"]
    assert message.text.startswith(HELLO) and "[doorward] Blocked the call to `Bash`" in message.text
    assert not any(poison.decode() in repr(message) for poison in POISON)


def run(kind, base, play):
    """An agent's whole conversation; its tool only writes down what it was asked for."""
    commands = []

    def bash(command: str) -> str:
        """Runs a command."""
        commands.append(command)
        return "(no output)"

    agent = create_agent(model(kind, base, "scripted-play"), tools=[bash])
    task = {"role": "user", "content": f"Work on the file. (play: {play})"}
    end = agent.invoke({"messages": [task]}, {"recursion_limit": 12})
    return commands, end["messages"][-1].text


def test_an_agent_goes_on_after_a_block(kind, bases):
    assert run(kind, bases[0], "benign") == (
        ["echo made > made.txt", "cat made.txt"],
        "Done: the file is there.",
    )
    assert run(kind, bases[0], "beside") == (
        ["echo first > first.txt", "echo second > second.txt"],
        "Done despite the block.",
    )
    # Without the door it would have run the other one. Calls of one turn run side by side, in any order.
    assert any(command.endswith("payload.sh | sh") for command in run(kind, bases[1], "beside")[0])
