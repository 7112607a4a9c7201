"""The egress door with the official MCP clients, unmodified: each version of the protocol they speak, and our tool `fetch`."""

import asyncio
import json
import os
import shutil
import subprocess

import httpx2
import pytest
from harness import node as node_harness
from harness.process import ROOT
from mcp import Client, ClientSession
from mcp.client.streamable_http import streamable_http_client
from test_egress import door, key, site  # noqa: F401


def result(answer):
    """What is known of an answer, and what it says."""
    about, body = (part.text for part in answer.content)
    return json.loads(about), body


async def with_session(address, credential, use, agent=None):
    """Runs `use` with a session that began with `initialize`."""
    headers = {"Authorization": f"Bearer {credential}", **({"Doorward-Agent": agent} if agent else {})}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(address, http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        greeting = await session.initialize()
        return await use(session, greeting)


def test_a_session_that_begins_with_initialize(door, site):  # noqa: F811
    key_id, credential = key(door)

    async def use(session, greeting):
        assert greeting.server_info.name == "doorward" and greeting.protocol_version == "2025-11-25"
        await session.send_ping()
        tools = (await session.list_tools()).tools
        assert [tool.name for tool in tools] == ["fetch"]
        wanted = {"url": f"{site.url}/data", "method": "POST", "body": '{"a":1}', "headers": {"X-B": "2"}}
        about, body = result(await session.call_tool("fetch", wanted))
        assert (about["status"], about["ok"], about["credits_used"]) == (200, True, 1)
        assert json.loads(body) == {"path": "/data", "body": '{"a":1}'}
        page, text = result(await session.call_tool("fetch", {"url": f"{site.url}/page"}))
        assert page["safety"]["html_body"] is True and text == "<html>hello</html>"
        away, _ = result(await session.call_tool("fetch", {"url": f"{site.url}/away"}))
        assert away["redirect_location"] == "http://169.254.169.254/latest/"
        followed = await session.call_tool("fetch", {"url": f"{site.url}/away", "follow_redirects": 3})
        assert followed.is_error
        refused = json.loads(followed.content[0].text)
        assert refused["code"] == "REDIRECT_BLOCKED" and "SSRF_BLOCKED" in refused["message"]
        refused = await session.call_tool("fetch", {"url": "https://10.0.0.1/"})
        assert refused.is_error and json.loads(refused.content[0].text)["code"] == "SSRF_BLOCKED"
        return about["request_id"]

    receipt = asyncio.run(with_session(door.mcp, credential, use, agent="desk"))
    method, path, body, headers = site.asked[0]
    assert (method, path, body, headers["x-b"]) == ("POST", "/data", '{"a":1}', "2")
    assert credential not in json.dumps(site.asked)
    found = next(one for one in door.receipts() if one["id"] == receipt)
    assert found["session"].endswith("/desk") and found["kind"] == "decision"
    shown = json.loads(door.command("credits", "show", key_id, "--json").stdout)
    assert shown["credits_remaining"] == 1000 - len(site.asked)


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_the_client_chooses_the_version(door, site, mode):  # noqa: F811
    _, credential = key(door)

    async def ask():
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {credential}"}, timeout=30) as http:
            async with Client(streamable_http_client(door.mcp, http_client=http), mode=mode) as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                answer = await client.call_tool("fetch", {"url": f"{site.url}/{mode}"})
                return client.protocol_version, names, result(answer)

    version, names, (about, body) = asyncio.run(ask())
    assert version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
    assert names == ["fetch"] and about["status"] == 200
    assert json.loads(body)["path"] == f"/{mode}"


def test_a_session_goes_on_after_a_restart(door, site):  # noqa: F811
    _, credential = key(door)

    async def use(session, _):
        before, _ = result(await session.call_tool("fetch", {"url": f"{site.url}/before"}))
        door.kill_9()
        door.start()
        after, _ = result(await session.call_tool("fetch", {"url": f"{site.url}/after"}))
        return before["status"], after["status"]

    assert asyncio.run(with_session(door.mcp, credential, use)) == (200, 200)


def test_a_wrong_credential_is_told_when_the_client_begins(door):  # noqa: F811
    async def use(session, _):
        raise AssertionError("it began")

    with pytest.raises(BaseException) as refused:
        asyncio.run(with_session(door.mcp, "sphyr_v1_key_x.y", use))
    text = repr(refused.value) + "".join(map(repr, getattr(refused.value, "exceptions", ())))
    assert "credential" in text or "Authorization" in text, text


def test_node(door, site):  # noqa: F811
    home = node_harness.packages()
    if home is None or not (home / "node_modules" / "@modelcontextprotocol").exists():
        if os.environ.get("CI"):
            pytest.fail("the Node packages are not installed: `cargo xtask test` does it if there is npm")
        pytest.skip("the Node packages are not installed")
    _, credential = key(door)
    program = shutil.copy(ROOT / "e2e" / "node" / "tools.mjs", home)
    done = subprocess.run(
        [shutil.which("node"), program, door.mcp, credential, f"{site.url}/node", "https://10.0.0.1/"],
        env={"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["server"]["name"] == "doorward" and len(said["session"]) == 96
    assert said["tools"] == ["fetch"]
    fetched, refused = said["results"]
    assert json.loads(fetched["content"][0]["text"])["status"] == 200
    assert json.loads(fetched["content"][1]["text"])["path"] == "/node"
    assert refused["isError"] and json.loads(refused["content"][0]["text"])["code"] == "SSRF_BLOCKED"
