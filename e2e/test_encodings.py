"""Compressed bodies in both directions: judged as what they say, and plain behind the door."""

import gzip
import http.server
import json
import threading
import time
import zlib

import brotli
import httpx2
import pytest
import requests
import zstandard
from harness import sdk, wire
from harness.door import Door
from harness.provider import header
from harness.words import POISON

ENCODE = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


class Flushing:
    """A compressor whose pieces can be read as soon as they come."""

    def __init__(self, coding):
        if coding == "gzip":
            self._one = zlib.compressobj(wbits=31)
            self._flush, self._finish = lambda: self._one.flush(zlib.Z_SYNC_FLUSH), self._one.flush
            self._take = self._one.compress
        elif coding == "br":
            self._one = brotli.Compressor(quality=4)
            self._flush, self._finish, self._take = self._one.flush, self._one.finish, self._one.process
        else:
            self._one = zstandard.ZstdCompressor().compressobj()
            self._flush = lambda: self._one.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            self._finish, self._take = self._one.flush, self._one.compress

    def piece(self, text):
        return self._take(text) + self._flush()

    def end(self):
        return self._finish()


class Compressing(http.server.ThreadingHTTPServer):
    """Stands before the scripted provider and compresses what it says, event by event."""

    daemon_threads = True

    def __init__(self, provider, coding):
        super().__init__(("127.0.0.1", 0), Handler)
        self.provider, self.coding = provider, coding
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.headers["accept-encoding"] == "identity"
        answer = wire.send(self.server.provider.host, self.path, body, headers=[("x-api-key", "dummy")])
        self.send_response(answer.status)
        self.send_header("content-type", answer.header("content-type"))
        self.send_header("content-encoding", self.server.coding)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        coder = Flushing(self.server.coding)
        events = [event + b"\n\n" for event in answer.body.split(b"\n\n") if event]
        for piece in events if b"event-stream" in answer.head else [answer.body]:
            self._chunk(coder.piece(piece))
        self._chunk(coder.end())
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data):
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


@pytest.fixture(params=list(ENCODE))
def coding(request):
    return request.param


@pytest.fixture
def coded_door(provider, coding, protocol, tmp_path):
    server = Compressing(provider, coding)
    with Door(tmp_path, server.url, protocol) as door:
        yield door
    server.shutdown()


def test_a_compressed_request_is_judged_and_goes_on_plain(own_door, protocol, coding):
    body = json.dumps(wire.conversation(protocol, "tool", stream=False)).encode()
    headers = {"content-encoding": coding, "content-type": "application/json", **dict(wire.client_headers(protocol))}
    url = f"http://{own_door.address}{own_door.messages_path()}"
    for post in (requests.post, httpx2.post):
        answer = post(url, headers=headers, **{"data" if post is requests.post else "content": ENCODE[coding](body)})
        assert answer.status_code == 200, answer.text
        assert "content-encoding" not in answer.headers
    for entry in own_door.provider.log()[-2:]:
        assert header(entry, "content-encoding") == []
        assert header(entry, "content-length") == [str(len(body))]


def test_a_compressed_request_that_is_not_strict_is_refused(own_door, protocol, coding):
    headers = {"content-encoding": coding, "content-type": "application/json"}
    url = f"http://{own_door.address}{own_door.messages_path()}"
    answer = requests.post(url, headers=headers, data=ENCODE[coding](b'{"model": "a", "model": "b"}'))
    assert (answer.status_code, answer.headers["doorward-code"]) == (400, "json.duplicate-key")
    bomb = ENCODE[coding](b" " * (32 << 20))
    answer = requests.post(url, headers=headers, data=bomb)
    assert (answer.status_code, answer.headers["doorward-code"]) == (400, "encoding.ratio")
    assert "doorward-receipt" in answer.headers
    assert own_door.provider.log() == []


def test_the_sdks_read_a_compressed_provider(coded_door, provider, protocol):
    readings = sdk.ANTHROPIC if protocol == "anthropic" else sdk.OPENAI
    direct = provider.url if protocol == "anthropic" else f"{provider.url}/v1"
    for reading in readings:
        ours, theirs = reading(coded_door.base_url, "text_tool"), reading(direct, "text_tool")
        for found in (ours, theirs):
            found.pop("request_id", None)
        assert ours == theirs


def test_a_call_of_a_compressed_provider_is_judged(coded_door):
    for stream in (False, True):
        answer = wire.ask(coded_door, "one_evil", stream)
        assert answer.status == 200
        assert b"[doorward]" in answer.body
        assert not any(word in answer.raw for word in POISON)


def test_a_client_that_takes_compressed_replies_gets_plain_ones(coded_door, protocol):
    body = wire.conversation(protocol, "text", stream=False)
    asking = [*wire.client_headers(protocol), ("accept-encoding", "gzip, br, zstd")]
    answer = wire.send(coded_door.address, coded_door.messages_path(), body, headers=asking)
    assert answer.status == 200 and answer.header("content-encoding") is None
    assert answer.json()


def test_monitor_mode_leaves_the_bytes_alone_and_judges_a_copy(provider, coding, protocol, tmp_path):
    server = Compressing(provider, coding)
    with Door(tmp_path, server.url, protocol, arguments=["--mode", "monitor"]) as door:
        answer = wire.ask(door, "one_evil")
        assert answer.header("content-encoding") == coding
        decode = {"gzip": gzip.decompress, "br": brotli.decompress}.get(coding)
        if decode is None:
            decode = zstandard.ZstdDecompressor().decompressobj().decompress
        assert decode(answer.body) == wire.ask_directly(provider, protocol, "one_evil").body
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            calls = [one for one in door.receipts() if (one.get("action") or {}).get("kind") == "tool_call"]
            if calls:
                break
            time.sleep(0.1)
        assert calls, [one.get("action") for one in door.receipts()]
    server.shutdown()
