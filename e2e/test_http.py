"""HTTP/2 from clients and to providers, WebSockets, time-outs and bodies over the limit, with real clients."""

import asyncio
import datetime
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import threading

import anthropic
import h2.config
import h2.connection
import h2.events
import httpx2
import openai
import pytest
import websockets.exceptions
import websockets.sync.client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import sdk, wire
from harness.door import Door
from harness.words import POISON

SDKS = {
    "anthropic": (anthropic.DefaultHttpxClient, sdk.anthropic_client, anthropic.AsyncAnthropic),
    "openai": (openai.DefaultHttpxClient, sdk.openai_client, openai.AsyncOpenAI),
}


def second(**options):
    """A client that speaks HTTP/2 with prior knowledge."""
    return httpx2.Client(http1=False, http2=True, timeout=30, **options)


def url(door):
    return f"http://{door.address}{door.messages_path()}"


def ask(door, client, scenario, stream=True):
    body = wire.conversation(door.protocol, scenario, stream)
    return client.post(url(door), json=body, headers=dict(wire.client_headers(door.protocol)))


@pytest.mark.parametrize("scenario", ["text", "text_tool", "parallel", "huge", "huge_tool"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_passes_is_the_same_over_http2(door, provider, scenario, stream):
    with second() as client:
        answer = ask(door, client, scenario, stream)
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert answer.content == wire.ask_directly(provider, door.protocol, scenario, stream).body
    assert "doorward-receipt" in answer.headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_blocked_over_http2(door, stream):
    with second() as client:
        answer = ask(door, client, "one_evil", stream)
    assert answer.http_version == "HTTP/2" and b"[doorward]" in answer.content
    assert not any(word in answer.content for word in POISON)


def test_the_sdks_over_http2(door, protocol):
    _, client_of, _ = SDKS[protocol]
    request = {"model": "scripted:text_tool", "messages": sdk.USER}
    with client_of(door.base_url, http_client=second()) as client:
        if protocol == "anthropic":
            tools = sdk._anthropic_request("text_tool")
            with client.messages.stream(**tools) as stream:
                message = stream.get_final_message()
                assert stream.response.http_version == "HTTP/2"
            assert [block.type for block in message.content] == ["text", "tool_use"]
        else:
            request = sdk._openai_request("text_tool")
            answer = client.chat.completions.with_raw_response.create(**request)
            assert answer.http_response.http_version == "HTTP/2"
            assert answer.parse().choices[0].message.tool_calls[0].function.name == "Bash"


def test_fifty_streams_on_one_connection(door, protocol):
    async def run():
        async with httpx2.AsyncClient(http1=False, http2=True, timeout=60) as client:
            body = wire.conversation(protocol, "text_tool;delay=2")
            headers = dict(wire.client_headers(protocol))
            return await asyncio.gather(
                *(client.post(url(door), json=body, headers=headers) for _ in range(50))
            )

    answers = asyncio.run(run())
    assert {(answer.status_code, answer.http_version) for answer in answers} == {(200, "HTTP/2")}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["doorward-receipt"] for answer in answers}) == 50


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_over_http2(door, protocol):
    body = json.dumps(wire.conversation(protocol, "text", stream=False))
    asking = [item for name, value in wire.client_headers(protocol) for item in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", *asking]
        + ["-H", "content-type: application/json", "-d", body, url(door)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    if "http2" in done.stderr and "not support" in done.stderr:
        pytest.skip("this curl has no HTTP/2")
    assert done.stdout.endswith("\n2 200"), (done.stdout[-200:], done.stderr)


def test_a_foreign_authority_is_refused(door):
    with second() as client:
        body = wire.conversation(door.protocol, "text")
        answer = client.post(url(door), json=body, headers={"host": f"evil.example:{door.port}"})
    assert (answer.status_code, answer.headers["doorward-code"]) == (403, "not_for_us")


def test_a_kill_ends_streams_of_http2(own_door, protocol):
    with second() as client:
        body = wire.conversation(protocol, "text;delay=200;every=4")
        with client.stream("POST", url(own_door), json=body) as answer:
            pieces = answer.iter_raw()
            got = next(pieces)
            own_door.command("kill", "--all", "--reason", "test")
            got += b"".join(pieces)
    assert b"stopped" in got
    own_door.provider.await_end("client_closed")


def test_a_websocket_is_told_what_to_do_instead(door):
    address = url(door).replace("http://", "ws://")
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        websockets.sync.client.connect(address)
    response = refused.value.response
    assert response.status_code == 426
    assert response.headers["doorward-code"] == "websocket"
    assert "server-sent events" in response.body.decode()


def test_a_body_over_the_limit_names_the_limit(door, protocol):
    body = wire.conversation(protocol, "text")
    body["messages"][0]["content"] = "x" * (65 << 20)
    for version in ({}, {"http1": False, "http2": True}):
        with httpx2.Client(timeout=60, **version) as client:
            answer = client.post(url(door), json=body)
        assert answer.status_code == 413
        assert "64 MiB" in answer.text


def test_time_outs_can_be_set(provider, protocol, tmp_path):
    arguments = ["--idle-timeout", "1", "--total-timeout", "3"]
    with Door(tmp_path, provider.url, protocol, arguments=arguments) as door:
        answer = wire.ask(door, "text;first=5000")
        assert answer.status == 502 and b"idle_timeout" in answer.body
        answer = wire.ask(door, "text;delay=500;every=4")
        assert b"total_timeout" in answer.body
    with Door(tmp_path / "b", provider.url, protocol, arguments=["--idle-timeout", "0"], start=False) as door:
        done = door.command("run", "--idle-timeout", "0", check=False)
        assert done.returncode == 2 and "idle-timeout" in done.stderr and "86400" in done.stderr


# --- A provider that speaks HTTP/2 over TLS


def certificate(directory):
    """A certificate for `localhost` that signs itself; returns the paths of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return paths


class Second:
    """A provider over TLS and HTTP/2: hands each request to the scripted one and each reply back."""

    def __init__(self, provider, directory, protocols):
        self.provider = provider
        self.certificate, key = certificate(directory)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.context.set_alpn_protocols(protocols)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        self.connections, self.requests, self.resets = 0, [], 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                tcp, _ = self.listener.accept()
                stream = self.context.wrap_socket(tcp, server_side=True)
            except OSError:
                continue
            self.connections += 1
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        assert stream.selected_alpn_protocol() == "h2"
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.initiate_connection()
        stream.sendall(peer.data_to_send())
        bodies, heads, replies = {}, {}, {}
        while data := stream.recv(65536):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    heads[event.stream_id], bodies[event.stream_id] = dict(event.headers), b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    self.resets += 1
                    replies.pop(event.stream_id, None)
                elif isinstance(event, h2.events.StreamEnded):
                    replies[event.stream_id] = self._answer(peer, event.stream_id, heads, bodies)
            self._go_on(peer, replies)
            stream.sendall(peer.data_to_send())

    def _answer(self, peer, stream, heads, bodies):
        head = {name.decode(): value.decode() for name, value in heads[stream].items()}
        self.requests.append(head)
        keys = [(name, head[name]) for name in ("x-api-key", "authorization") if name in head]
        answer = wire.send(self.provider.host, head[":path"], bodies[stream], headers=keys)
        peer.send_headers(stream, [(":status", str(answer.status)), ("content-type", answer.header("content-type"))])
        return answer.body

    def _go_on(self, peer, replies):
        for stream, rest in list(replies.items()):
            while rest and (room := min(peer.local_flow_control_window(stream), peer.max_outbound_frame_size)):
                peer.send_data(stream, rest[:room])
                rest = rest[room:]
            replies[stream] = rest
            if not rest:
                peer.end_stream(stream)
                del replies[stream]


def test_a_provider_that_speaks_http2(provider, protocol, tmp_path):
    over_tls = Second(provider, tmp_path, ["h2"])
    with Door(tmp_path, over_tls.url, protocol, env={"SSL_CERT_FILE": str(over_tls.certificate)}) as door:
        for scenario in ("text", "text_tool", "huge"):
            for stream in (False, True):
                answer = wire.ask(door, scenario, stream)
                assert (answer.status, answer.end) == (200, "clean")
                assert answer.body == wire.ask_directly(provider, protocol, scenario, stream).body
        answer = wire.ask(door, "one_evil")
        assert b"[doorward]" in answer.body and not any(word in answer.raw for word in POISON)
        # And HTTP/2 on both sides.
        with second() as client:
            answer = ask(door, client, "text_tool")
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert over_tls.connections == 1
    head = over_tls.requests[0]
    assert head[":authority"] == over_tls.url.removeprefix("https://") and head[":scheme"] == "https"
    assert not {"host", "connection", "transfer-encoding", "keep-alive", "te"} & set(head)


def test_a_provider_whose_certificate_nobody_trusts(provider, protocol, tmp_path):
    over_tls = Second(provider, tmp_path, ["h2"])
    with Door(tmp_path, over_tls.url, protocol) as door:
        answer = wire.ask(door, "text")
    assert answer.status == 502 and b"certificate" in answer.body.lower()
    assert over_tls.requests == []
