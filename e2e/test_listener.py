"""Who may speak to the door, what it forwards, and what it keeps to itself."""

import json
import time

import pytest
from harness import wire
from harness.door import Door
from harness.provider import header


def nothing_was_forwarded(door):
    return door.provider.log() == []


def post(door, path=None, headers=(), host=None, body=None, raw=None):
    if raw is None:
        raw = wire.request(
            door.address,
            path or door.messages_path(),
            body or wire.conversation(door.protocol, "text"),
            headers=wire.client_headers(door.protocol) + list(headers),
            host=host,
        )
    with wire.Exchange(door.address, raw) as exchange:
        return exchange.read()


def test_without_a_token_the_answer_is_401_and_names_the_line(own_door):
    for path in ("/v1/messages", "/anthropic/v1/messages", "/openai/v1/chat/completions"):
        answer = post(own_door, path)
        assert answer.status == 401, path
        assert b"/t/" in answer.body, "it names the line to use"
        assert own_door.token.encode() not in answer.body, "and does not give the token away"
    wrong = own_door.messages_path().replace(own_door.token, "x" * len(own_door.token))
    assert post(own_door, wrong).status == 401
    assert nothing_was_forwarded(own_door)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"])
def test_a_foreign_host_is_refused(own_door, host):
    """DNS rebinding: the browser believes that it speaks to its own origin."""
    assert post(own_door, host=host).status == 403
    assert nothing_was_forwarded(own_door)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_a_foreign_origin_is_refused(own_door, origin):
    assert post(own_door, headers=[("origin", origin)]).status == 403
    assert nothing_was_forwarded(own_door)


def test_absolute_form_is_refused_at_the_model_door(own_door):
    """An open proxy would carry the configured key to any host."""
    target = f"http://evil.example{own_door.messages_path()}"
    for host in (None, "evil.example"):
        answer = post(own_door, target, host=host)
        assert 400 <= answer.status < 500
    assert nothing_was_forwarded(own_door)


def test_a_body_with_duplicate_keys_is_refused(own_door):
    body = json.dumps(wire.conversation(own_door.protocol, "text"))
    body = body[:-1] + ', "model": "scripted:one_evil"}'
    answer = post(own_door, body=body.encode())
    assert answer.status == 400
    assert "twice" in answer.body.decode() or "duplicate" in answer.body.decode().lower()
    assert nothing_was_forwarded(own_door)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xef\xbb\xbf{}", b'{"model": "\xff"}', b"[]", b"{} {}", b'{"a":' * 5000],
    ids=["empty", "open", "bom", "utf8", "list", "two", "deep"],
)
def test_a_malformed_body_is_refused(own_door, body):
    raw = wire.request(own_door.address, own_door.messages_path(), body, headers=wire.client_headers(own_door.protocol))
    assert post(own_door, raw=raw).status == 400
    assert nothing_was_forwarded(own_door)


def test_two_lengths_smuggle_nothing(own_door):
    """One of them is a lie. Two different lengths are refused; beside chunks a length counts for nothing
    (RFC 9112, 6.3), and what goes on is one request with one length."""
    body = json.dumps(wire.conversation(own_door.protocol, "text")).encode()
    head = f"POST {own_door.messages_path()} HTTP/1.1\r\nhost: {own_door.address}\r\n"
    lengths = f"content-length: {len(body)}\r\ncontent-length: {len(body) + 1}\r\n"
    assert post(own_door, raw=(head + lengths + "\r\n").encode() + body).status == 400
    assert nothing_was_forwarded(own_door)
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    lengths = f"content-length: {len(body) // 2}\r\ntransfer-encoding: chunked\r\n"
    if post(own_door, raw=(head + lengths + "\r\n").encode() + chunked).status != 400:
        (seen,) = own_door.provider.log()
        assert seen["body"].encode() == body
        assert len(header(seen, "content-length") + header(seen, "transfer-encoding")) == 1


def test_what_is_forwarded(own_door):
    """The body's bytes, the client's credentials and beta headers; never our token, no compression."""
    body = json.dumps(wire.conversation(own_door.protocol, "text"), ensure_ascii=False).encode()
    extra = [("accept-encoding", "gzip, br"), ("anthropic-beta", "tools-2026"), ("x-stainless-lang", "python")]
    extra += [("connection", "keep-alive, x-hop"), ("x-hop", "1"), ("proxy-authorization", "Basic eA==")]
    answer = post(own_door, headers=extra, body=body)
    assert answer.status == 200
    (seen,) = own_door.provider.log()
    wanted = "/v1/messages" if own_door.protocol == "anthropic" else "/v1/chat/completions"
    assert seen["target"].endswith(wanted)
    assert seen["body"].encode() == body
    assert own_door.token not in json.dumps(seen)
    assert header(seen, "accept-encoding") in ([], ["identity"])
    assert header(seen, "host") == [own_door.provider.host]
    assert header(seen, "anthropic-beta") == ["tools-2026"]
    assert header(seen, "x-stainless-lang") == ["python"]
    assert header(seen, "x-hop") == [] and header(seen, "proxy-authorization") == [], "hop-by-hop ends here"
    key = "x-api-key" if own_door.protocol == "anthropic" else "authorization"
    assert len(header(seen, key)) == 1 and header(seen, key)[0].endswith("dummy-client-key")


def test_a_query_string_passes(own_door):
    answer = post(own_door, own_door.messages_path() + "?beta=true")
    assert answer.status == 200
    assert own_door.provider.log()[0]["target"].endswith("?beta=true")


@pytest.mark.parametrize("scenario", ["text", "one_bad", "all_bad", "error_429"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_every_answer_names_its_receipt(own_door, scenario, stream):
    answer = wire.ask(own_door, scenario, stream)
    receipt = answer.header("doorward-receipt")
    assert receipt
    shown = own_door.command("receipts", "show", receipt, "--json")
    assert receipt in shown.stdout
    for secret in ("dummy-client-key", own_door.token):
        assert secret not in shown.stdout
    assert own_door.command("receipts", "verify").returncode == 0


def test_receipts_hold_no_secret_and_the_log_none(own_door):
    wire.ask(own_door, "one_bad")
    own_door.stop()
    for file in own_door.home.rglob("*"):
        if file.is_file():
            assert b"dummy-client-key" not in file.read_bytes(), file
    assert "dummy-client-key" not in own_door.command("receipts", "export", "--json").stdout


def test_private_files_are_private(own_door):
    private = [file for file in own_door.home.rglob("*") if "token" in file.name or "key" in file.name]
    assert private, "there are keys somewhere"
    for file in private:
        if file.is_file():
            assert file.stat().st_mode & 0o077 == 0, file


def test_a_client_that_leaves_cancels_the_upstream(own_door):
    body = wire.conversation(own_door.protocol, "endless")
    raw = wire.request(own_door.address, own_door.messages_path(), body, headers=wire.client_headers(own_door.protocol))
    with wire.Exchange(own_door.address, raw) as exchange:
        exchange.read(until=lambda answer: answer.body.count(b"and on") > 5)
    took = own_door.provider.await_end("client_closed", 3)
    print(f"upstream cancelled after {took * 1000:.0f} ms")


def test_a_client_that_leaves_before_the_answer_cancels_the_upstream(own_door):
    body = wire.conversation(own_door.protocol, "hang")
    raw = wire.request(own_door.address, own_door.messages_path(), body, headers=wire.client_headers(own_door.protocol))
    with wire.Exchange(own_door.address, raw):
        deadline = time.monotonic() + 5
        while not own_door.provider.log() and time.monotonic() < deadline:
            time.sleep(0.01)
    own_door.provider.await_end("client_closed", 3)


def test_a_taken_port_is_a_clear_error(own_door, tmp_path_factory):
    other = Door(tmp_path_factory.mktemp("other"), own_door.provider.url, own_door.protocol, start=False)
    other.port = own_door.port
    with pytest.raises(AssertionError) as error:
        other.start()
    text = str(error.value)
    assert str(own_door.port) in text
    assert "panicked" not in text
    assert "in use" in text or "taken" in text


def test_health_and_readiness(own_door):
    for path in ("/healthz", "/readyz"):
        answer = wire.send(f"127.0.0.1:{own_door.control}", path, method="GET")
        assert answer.status == 200, path


def test_it_starts_at_once(own_door):
    own_door.stop()
    took = min(restart(own_door) for _ in range(3))
    print(f"serving after {took * 1000:.0f} ms (the budget of 100 ms is for a release build on a quiet machine)")
    assert took < 3.0


def restart(door):
    took = door.start()
    door.stop()
    return took
