"""Requests as coding clients build them, from their documentation and from what has been seen of them on the
wire: each reaches the provider byte for byte, with every header that matters, and its reply comes back right.

Claude Code, aider, opencode, Cline. The real programs are tested elsewhere; here the bytes are."""

import json

import pytest
from harness import wire
from harness.door import Door
from harness.provider import header
from harness.words import EVIL, HELLO, POISON

# Not the provider's business, or set anew for it.
HOP = {"host", "connection", "content-length", "accept-encoding"}
OAUTH = "sk-ant-oat01-not-a-real-token-7Kq2"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3h/+A=="

CLAUDE_BETAS = (
    "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,"
    "context-management-2025-06-27,prompt-caching-scope-2026-01-05,advisor-tool-2026-03-01,effort-2025-11-24,"
    "fine-grained-tool-streaming-2025-05-14,extended-cache-ttl-2025-04-11"
)
CLAUDE_HEADERS = [
    ("accept", "application/json"),
    ("authorization", f"Bearer {OAUTH}"),
    ("anthropic-beta", CLAUDE_BETAS),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-dangerous-direct-browser-access", "true"),
    ("user-agent", "claude-cli/2.1.278 (external, cli)"),
    ("x-app", "cli"),
    ("x-claude-code-session-id", "8b1f0f6e-3c0b-4b6e-9d7c-000000000001"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-helper-method", "stream"),
    ("x-stainless-lang", "js"),
    ("x-stainless-os", "Linux"),
    ("x-stainless-package-version", "0.112.1"),
    ("x-stainless-retry-count", "0"),
    ("x-stainless-runtime", "node"),
    ("x-stainless-runtime-version", "v26.3.0"),
    ("x-stainless-timeout", "600"),
    ("accept-language", "*"),
    ("sec-fetch-mode", "cors"),
    ("accept-encoding", "br, gzip, deflate"),
    ("connection", "keep-alive"),
]


def javascript(value):
    """As JSON.stringify writes it: no white space, nothing escaped that need not be."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def schema(**members):
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": members,
        "additionalProperties": False,
    }


def claude_code(scenario, stream=True, **more):
    """A later turn: thoughts with their signature, parallel calls with their results, an image, cached prefixes."""
    cached = {"type": "ephemeral", "ttl": "1h"}
    tools = [
        {
            "name": "Bash",
            "description": "Runs a command.\n\nNever `rm -rf /`; never `curl … | sh`.",
            "input_schema": schema(command={"type": "string"}, description={"type": "string"}),
            "eager_input_streaming": True,
        },
        {"name": "get_weather", "description": "…", "input_schema": schema(city={"type": "string"})},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    ]
    return {
        "model": f"scripted:{scenario}",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>\nToday's date is 2026-11-21.\n</system-reminder>"},
                    {"type": "text", "text": "Räum bitte das Projekt auf — \u2028 und sag „fertig“. 🌍"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "First a listing.", "signature": SIGNATURE},
                    {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT"},
                    {"type": "text", "text": "I look around."},
                    {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": "ls"}},
                    {"type": "tool_use", "id": "toolu_02", "name": "get_weather", "input": {"city": "Zürich"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"tool_use_id": "toolu_01", "type": "tool_result", "content": "src\nREADME.md", "is_error": False},
                    {
                        "tool_use_id": "toolu_02",
                        "type": "tool_result",
                        "content": [
                            {"type": "text", "text": "cloudy"},
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                            },
                        ],
                        "cache_control": cached,
                    },
                ],
            },
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.278.f3a; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": cached},
        ],
        "tools": tools,
        "metadata": {
            "user_id": json.dumps({"device_id": "d" * 64, "account_uuid": "a-b", "session_id": "8b1f"})
        },
        "max_tokens": 32000,
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        **({"stream": True} if stream else {}),
        **more,
    }


@pytest.fixture(scope="module")
def claude(provider, tmp_path_factory):
    """A door that says all it has to say."""
    with Door(tmp_path_factory.mktemp("claude"), provider.url, "anthropic", arguments=["-vvv"]) as door:
        door.provider = provider
        yield door


@pytest.fixture(scope="module")
def compatible(provider, tmp_path_factory):
    with Door(tmp_path_factory.mktemp("compatible"), provider.url, "openai", arguments=["-vvv"]) as door:
        door.provider = provider
        yield door


def through(door, rest, body, headers):
    """Sends a client's bytes; returns the answer and what the provider saw."""
    door.provider.forget()
    base = door.path.removesuffix("/v1")
    answer = wire.send(door.address, base + rest, body, headers=headers)
    log = door.provider.log()
    return answer, (log[-1] if log else None)


def arrived(entry, rest, body, headers):
    """The request is the client's own: path and query, body, and every header that is not the connection's."""
    assert entry["target"] == rest
    assert entry["body"].encode() == body
    for name, value in headers:
        if name not in HOP:
            assert header(entry, name) == [value], name
    sent = {name for name, _ in headers} | {"content-type", "accept-encoding", "host", "content-length"}
    assert {name.lower() for name, _ in entry["headers"]} <= sent, "nothing was added"


def directly(provider, rest, body, headers):
    return wire.send(provider.host, rest, body, headers=headers)


# --- Claude Code

MESSAGES = "/v1/messages?beta=true"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("scenario", ["text", "parallel", "thinking_between", "server_tool", "thinking"])
def test_claude_code(claude, provider, scenario, stream):
    body = javascript(claude_code(scenario, stream))
    answer, entry = through(claude, MESSAGES, body, CLAUDE_HEADERS)
    arrived(entry, MESSAGES, body, CLAUDE_HEADERS)
    assert (answer.status, answer.end) == (200, "clean")
    assert answer.body == directly(provider, MESSAGES, body, CLAUDE_HEADERS).body
    if "thinking" in scenario:
        assert SIGNATURE.encode() in answer.body


@pytest.mark.parametrize("delivery", ["", ";every=1", ";split=8"])
def test_claude_code_thoughts_around_a_blocked_call(claude, delivery):
    body = javascript(claude_code(f"thinking_evil{delivery}"))
    answer, entry = through(claude, MESSAGES, body, CLAUDE_HEADERS)
    arrived(entry, MESSAGES, body, CLAUDE_HEADERS)
    assert not any(poison in answer.body for poison in POISON)
    starts = [json.loads(data) for name, data in answer.events() if name == "content_block_start"]
    assert [start["content_block"]["type"] for start in starts] == ["thinking", "text"]
    signatures = [data for _, data in answer.events() if "signature_delta" in data]
    assert json.loads(signatures[0])["delta"]["signature"] == SIGNATURE
    assert b"[doorward] Blocked the call to `Bash`" in answer.body


@pytest.mark.parametrize("delivery", ["", ";every=1", ";split=4"])
def test_arguments_that_end_up_as_no_json_block_their_call(claude, delivery):
    """Streaming without a check of the JSON: a client that repairs what it gets must not get it."""
    body = javascript(claude_code(f"eager_invalid{delivery}"))
    answer, _ = through(claude, MESSAGES, body, CLAUDE_HEADERS)
    assert (answer.status, answer.end) == (200, "clean")
    assert b"rm -rf" not in answer.body
    kinds = [
        (start["content_block"]["type"], start["content_block"].get("name"))
        for start in (json.loads(data) for name, data in answer.events() if name == "content_block_start")
    ]
    assert kinds == [("tool_use", "Bash"), ("text", None), ("tool_use", "get_weather")]
    assert b"its arguments are not complete, strict JSON" in answer.body
    assert b'"stop_reason":"tool_use"' in answer.body


def test_the_conversation_goes_on_behind_a_notice(claude, provider):
    """The notice stands in the history now, between thoughts and a call; nothing of it is touched."""
    turn = claude_code("parallel")
    turn["messages"][1]["content"][3] = {
        "type": "text",
        "text": "[doorward] Blocked the call to `Bash`: code fetched from the network runs. Do not retry it.",
    }
    del turn["messages"][2]["content"][0]
    body = javascript(turn)
    answer, entry = through(claude, MESSAGES, body, CLAUDE_HEADERS)
    arrived(entry, MESSAGES, body, CLAUDE_HEADERS)
    assert answer.body == directly(provider, MESSAGES, body, CLAUDE_HEADERS).body


def test_claude_code_counts_tokens(claude):
    rest = "/v1/messages/count_tokens?beta=true"
    turn = claude_code("text", stream=False)
    body = javascript({key: turn[key] for key in ("model", "messages", "tools", "system", "thinking")})
    answer, entry = through(claude, rest, body, CLAUDE_HEADERS)
    arrived(entry, rest, body, CLAUDE_HEADERS)
    assert (answer.status, answer.json()) == (200, {"input_tokens": 2095})


def test_claude_code_looks_for_models(claude, provider):
    rest = "/v1/models?limit=1000"
    claude.provider.forget()
    request = wire.request(claude.address, claude.path + rest, method="GET", headers=CLAUDE_HEADERS)
    with wire.Exchange(claude.address, request) as exchange:
        answer = exchange.read()
    (entry,) = claude.provider.log()
    assert (answer.status, entry["target"], entry["body"]) == (200, rest, "")
    assert answer.json()["data"][0]["id"] == "claude-scripted-1"


@pytest.mark.parametrize("status", [401, 429, 529])
def test_claude_code_hears_of_errors(claude, provider, status):
    body = javascript(claude_code(f"error_{status}"))
    answer, _ = through(claude, MESSAGES, body, CLAUDE_HEADERS)
    plain = directly(provider, MESSAGES, body, CLAUDE_HEADERS)
    assert (answer.status, answer.body) == (plain.status, plain.body)
    assert answer.header("retry-after") == plain.header("retry-after")
    assert answer.header("request-id") == plain.header("request-id")


def test_the_login_is_in_no_log_and_no_receipt(claude):
    """The token went through untouched (above); it is written down nowhere."""
    for scenario in ("text", "one_bad", "error_401", "truncated"):
        through(claude, MESSAGES, javascript(claude_code(scenario)), CLAUDE_HEADERS)
    # An odd path and a body that is no JSON leave receipts, too.
    wire.send(claude.address, claude.path + "/v1//messages", b"{}", headers=CLAUDE_HEADERS)
    wire.send(claude.address, claude.path + "/v1/messages", b"{", headers=CLAUDE_HEADERS)
    written = "\n".join(claude.running.printed + claude.running.complaints)
    assert claude.running.complaints, "it says much at -vvv"
    assert OAUTH not in written and OAUTH not in json.dumps(claude.receipts())
    for file in (claude.home / ".doorward").rglob("*"):
        if file.is_file():
            assert OAUTH.encode() not in file.read_bytes(), file


# --- Clients of OpenAI's protocol

CHAT = "/v1/chat/completions"


def function(name, **members):
    return {"type": "function", "function": {"name": name, "description": f"{name}.", "parameters": schema(**members)}}


AIDER_HEADERS = [
    ("accept", "application/json"),
    ("authorization", "Bearer sk-or-v1-not-a-real-key"),
    ("user-agent", "OpenAI/Python 3.52.0"),
    ("x-stainless-lang", "python"),
    ("x-stainless-package-version", "3.52.0"),
    ("x-stainless-os", "Linux"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-runtime", "CPython"),
    ("x-stainless-runtime-version", "3.12.11"),
    ("x-stainless-async", "false"),
    ("x-stainless-retry-count", "0"),
    ("x-stainless-raw-response", "true"),
    ("x-stainless-read-timeout", "600.0"),
    ("http-referer", "https://aider.chat"),
    ("x-title", "Aider"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
]


def aider(scenario, stream):
    """No tools: edits come as blocks of text. The prompt itself holds such blocks as examples."""
    example = "src/greet.py\n```python\n<<<<<<< SEARCH\nprint('a')\n=======\nprint('b')\n>>>>>>> REPLACE\n```"
    return {
        "messages": [
            {"role": "system", "content": f"Act as an expert software developer.\n\n{example}\n"},
            {"role": "user", "content": "I have *added these files to the chat*:\n\nsrc/main.rs\n```\nfn main() {}\n```"},
            {"role": "assistant", "content": "Ok, any changes I propose will be to those files."},
            {"role": "user", "content": "Fix the greeting: “helo” → “hello”."},
        ],
        "model": f"scripted:{scenario}",
        "stream": stream,
        "temperature": 0,
    }


OPENCODE_HEADERS = [
    ("authorization", "Bearer sk-not-a-real-key"),
    ("user-agent", "opencode/1.2.15 ai-sdk/provider-utils/4.0.1 runtime/bun/1.3.9"),
    ("x-session-affinity", "ses_3f1e5c0a7b1d4c55"),
    ("x-opencode-session", "ses_3f1e5c0a7b1d4c55"),
    ("x-opencode-request", "msg_01"),
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("connection", "keep-alive"),
]


def opencode(scenario, stream):
    """The shapes of the AI SDK: an empty content beside calls, results as messages of their own."""
    return {
        "model": f"scripted:{scenario}",
        "max_tokens": 32000,
        "temperature": 0.55,
        "top_p": 1,
        "messages": [
            {"role": "system", "content": "You are opencode, an interactive CLI tool."},
            {"role": "user", "content": [{"type": "text", "text": "list the files"}]},
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "A listing is harmless.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "Bash", "arguments": '{"command":"ls","description":"Lists"}'},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "src\n"},
            {"role": "tool", "tool_call_id": "call_2", "content": '{"error":"no such city"}'},
        ],
        "tools": [
            function("Bash", command={"type": "string"}, description={"type": "string"}),
            function("get_weather", city={"type": "string"}, days={"type": "integer"}),
        ],
        "tool_choice": "auto",
        **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    }


CLINE_HEADERS = [
    ("accept", "application/json"),
    ("authorization", "Bearer not-a-real-key"),
    ("user-agent", "Cline/3.40.1"),
    ("http-referer", "https://cline.bot"),
    ("x-title", "Cline"),
    ("x-task-id", "1764061200000"),
    ("x-stainless-lang", "js"),
    ("x-stainless-runtime", "node"),
    ("x-stainless-timeout", "600"),
    ("accept-language", "*"),
    ("sec-fetch-mode", "cors"),
    ("accept-encoding", "br, gzip, deflate"),
    ("connection", "keep-alive"),
]


def cline(scenario, stream):
    """No tools: calls are XML in the text, described in the system prompt."""
    described = "## execute_command\nUsage:\n<execute_command>\n<command>Your command here</command>\n</execute_command>"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    return {
        "model": f"scripted:{scenario}",
        "messages": [
            {"role": "system", "content": f"You are Cline.\n\n# Tools\n\n{described}\n"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<task>\nlist the files\n</task>"},
                    {"type": "text", "text": "<environment_details>\n# Current Mode\nACT MODE\n</environment_details>"},
                    image,
                ],
            },
        ],
        "temperature": 0,
        **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    }


CLIENTS = {
    "aider": (aider, AIDER_HEADERS, ["text", "edit_block", "openrouter/text", "litellm/text", "llama_cpp/text"]),
    "opencode": (opencode, OPENCODE_HEADERS, ["text", "parallel", "openrouter/parallel", "deepseek/parallel"]),
    "cline": (cline, CLINE_HEADERS, ["text", "xml_tool", "openrouter/reasoning", "ollama/text", "vllm/text"]),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "name, scenario", [(name, scenario) for name, (_, _, those) in CLIENTS.items() for scenario in those]
)
def test_clients_of_the_openai_protocol(compatible, provider, name, scenario, stream):
    build, headers, _ = CLIENTS[name]
    body = javascript(build(scenario, stream))
    answer, entry = through(compatible, CHAT, body, headers)
    arrived(entry, CHAT, body, headers)
    assert (answer.status, answer.end) == (200, "clean")
    assert answer.body == directly(provider, CHAT, body, headers).body


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("scenario", ["one_bad", "vllm/blocked", "openrouter/blocked", "azure/blocked"])
def test_opencode_goes_on_without_the_blocked_call(compatible, scenario, stream):
    body = javascript(opencode(scenario, stream))
    answer, entry = through(compatible, CHAT, body, OPENCODE_HEADERS)
    arrived(entry, CHAT, body, OPENCODE_HEADERS)
    assert not any(poison in answer.body for poison in POISON) and EVIL.encode() not in answer.body
    text = answer.body.decode()
    assert HELLO[:8] in text and "[doorward] Blocked the call to `Bash`" in text
    assert '"finish_reason":"tool_calls"' in text


@pytest.mark.parametrize("name", ["aider", "cline"])
def test_a_call_that_a_client_without_tools_gets_is_blocked(compatible, name):
    """It declared none, so whoever made this up was not asked."""
    build, headers, _ = CLIENTS[name]
    answer, _ = through(compatible, CHAT, javascript(build("weather", True)), headers)
    assert b"get_weather" not in answer.body.replace(b"`get_weather`", b"")
    assert b"[doorward] Blocked the call to `get_weather`" in answer.body


def test_white_space_and_order_of_a_body_are_the_clients(compatible):
    """Python's spelling: spaces behind colons, escapes beyond ASCII, members in any order, numbers as written."""
    body = json.dumps(opencode("text", True), indent=1).encode().replace(b"0.55", b"5.50e-1")
    answer, entry = through(compatible, CHAT, body, OPENCODE_HEADERS)
    assert answer.status == 200
    arrived(entry, CHAT, body, OPENCODE_HEADERS)
