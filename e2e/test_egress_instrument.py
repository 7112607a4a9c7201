"""The quickstart of the published `sphyr-sdk`, unmodified: `requests` and `httpx` are patched, and programs know nothing of it."""

import asyncio
import json

import httpx
import pytest
import requests
from sphyr_sdk import AsyncSphyrClient, SphyrClient, auto_instrument
from sphyr_sdk.errors import SphyrAuthError, SphyrDriftError, SphyrRequestError, SphyrSecurityError
from test_egress import door, key, site  # noqa: F401


@pytest.fixture
def patched(door):  # noqa: F811
    """Both libraries as `auto_instrument` leaves them. The key of the door."""
    key_id, credential = key(door)
    report = auto_instrument(credential=credential, mcp_url=door.mcp)
    assert (report.requests.status, report.httpx.status) == ("patched", "patched")
    yield key_id
    SphyrClient(credential=credential, mcp_url=door.mcp).uninstrument()


@pytest.fixture
def address(site):  # noqa: F811
    """The site under a name that the SDK does not take for the machine itself, which it leaves alone."""
    return site.url.replace("localhost", "localhost.")


def spent(door, key_id):  # noqa: F811
    return 1000 - json.loads(door.command("credits", "show", key_id, "--json").stdout)["credits_remaining"]


@pytest.mark.parametrize("library", [requests, httpx], ids=["requests", "httpx"])
def test_plain_calls_go_through_the_door(door, site, patched, address, library):  # noqa: F811
    answer = library.get(f"{address}/get", params={"q": "a b"})
    assert answer.status_code == 200 and answer.json() == {"path": answer.json()["path"], "body": ""}
    posted = library.post(f"{address}/post", json={"a": 1}, headers={"X-B": "2"})
    assert json.loads(posted.json()["body"]) == {"a": 1}
    assert library.put(f"{address}/put", data={"f": "ü"}).json()["body"] == "f=%C3%BC"
    assert library.post(f"{address}/empty").json()["body"] == ""
    assert library.delete(f"{address}/gone").status_code == library.head(f"{address}/head").status_code == 200
    # Asked for packed, as the library does; given to the program as text.
    assert library.get(f"{address}/packed").text == "packed"
    assert library.get(f"{address}/away", **NOT_FOLLOWED[library]).status_code == 302
    methods = [asked[0] for asked in site.asked]
    assert methods == ["GET", "POST", "PUT", "POST", "DELETE", "HEAD", "GET", "GET"]
    for _, _, body, headers in site.asked:
        names = [name.lower() for name in headers]
        assert len(names) == len(set(names)) and "connection" not in names
        assert headers["host"] == site.url.removeprefix("https://")
        assert int(headers.get("content-length", 0)) == len(body.encode())
        assert library.__name__ in headers["user-agent"]
    assert site.asked[1][3]["x-b"] == "2" and site.asked[1][3]["content-type"] == "application/json"
    assert spent(door, patched) == len(site.asked)


NOT_FOLLOWED = {requests: {"allow_redirects": False}, httpx: {"follow_redirects": False}}


@pytest.mark.parametrize(("library", "opened"), [(requests, requests.Session), (httpx, httpx.Client)], ids=["requests", "httpx"])
def test_sessions_and_refusals(door, site, patched, address, library, opened):  # noqa: F811
    with opened() as session:
        for path in ("1", "2", "3"):
            assert session.get(f"{address}/{path}").status_code == 200
        with pytest.raises(SphyrSecurityError) as refused:
            session.get("https://169.254.169.254/latest/meta-data/")
        assert refused.value.code == "SSRF_BLOCKED"
        with pytest.raises(SphyrSecurityError) as refused:
            session.get(f"{address}/?k=ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7")
        assert refused.value.code == "ENTROPY_BLOCKED"
        for name, value in (("Host", "evil.example"), ("Connection", "x-real-ip"), ("Transfer-Encoding", "chunked")):
            with pytest.raises(SphyrRequestError) as refused:
                session.get(f"{address}/", headers={name: value})
            assert refused.value.code == "HEADER_COLLISION"
        door.command("key", "pause", patched)
        with pytest.raises(SphyrAuthError) as refused:
            session.get(f"{address}/4")
        assert refused.value.code == "KEY_PAUSED"
    assert [asked[1] for asked in site.asked] == ["/1", "/2", "/3"]


def test_an_asynchronous_program(door, site, address):  # noqa: F811
    """`AsyncSphyrClient` patches `httpx.AsyncClient` as `auto_instrument` patches the others."""
    key_id, credential = key(door)

    async def ask():
        async with AsyncSphyrClient(credential=credential, mcp_url=door.mcp).instrument(), httpx.AsyncClient() as client:
            got = await client.get(f"{address}/get")
            posted = await client.post(f"{address}/post", content="hello")
            with pytest.raises(SphyrSecurityError) as refused:
                await client.get("https://169.254.169.254/")
            return got, posted, refused.value.code

    got, posted, code = asyncio.run(ask())
    assert (got.status_code, posted.json()["body"], code) == (200, "hello", "SSRF_BLOCKED")
    assert [asked[0] for asked in site.asked] == ["GET", "POST"] and spent(door, key_id) == 2


def test_auto_instrument_and_an_asynchronous_client(door, site, patched, address):  # noqa: F811
    """The SDK's own fault: it waits for an answer that is there already. The request was judged, recorded and done once."""

    async def ask():
        async with httpx.AsyncClient() as client:
            await client.get(f"{address}/once")

    with pytest.raises(TypeError):
        asyncio.run(ask())
    assert [asked[1] for asked in site.asked] == ["/once"] and spent(door, patched) == 1


@pytest.mark.parametrize("mode", ["LOG", "BLOCK"])
def test_tools_that_are_not_what_they_were(door, site, patched, address, mode):  # noqa: F811
    """The key says what the SDK does about that, from its next session on; that it was seen is on record."""
    door.command("key", "set", patched, f"tool_drift_mode={mode}")
    with httpx.Client() as client:
        assert client.post(f"{address}/tools", content="1").status_code == 200
        if mode == "BLOCK":
            with pytest.raises(SphyrDriftError) as refused:
                client.post(f"{address}/tools", content="2")
            assert refused.value.code == "TOOL_SCHEMA_DRIFT"
        else:
            assert client.post(f"{address}/tools", content="2").status_code == 200
    assert [asked[1] for asked in site.asked] == ["/tools", "/tools"]
    # The report is only checked: it goes nowhere and costs nothing.
    outcomes = [one["outcome"]["result"] for one in door.receipts() if one["kind"] == "outcome"]
    assert outcomes.count("preflight") == 1 and spent(door, patched) == 2
