"""The egress door with the published `sphyr-sdk`, unmodified: handshake, calls, refusals, retries, what was used."""

import base64
import dataclasses
import datetime
import gzip
import http.server
import json
import os
import ssl
import threading
import time
import urllib.parse
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from harness.door import Door
from test_approvals import Person
from test_canary import plant

# The SDK reads these when it is imported or used; nothing of the machine's own may be found.
for _name in ("SPHYR_CREDENTIAL", "SPHYR_MCP_URL"):
    os.environ.pop(_name, None)

from sphyr_sdk import verify_denial_proof_locally  # noqa: E402
from sphyr_sdk.agent_guard_utils import AgentGuardClient, AsyncAgentGuardClient  # noqa: E402
from sphyr_sdk.client import SphyrClient  # noqa: E402
from sphyr_sdk.errors import (  # noqa: E402
    DenialProof,
    DenialProofPayload,
    SphyrAuthError,
    SphyrBillingError,
    SphyrError,
    SphyrRateLimitError,
    SphyrRequestError,
    SphyrSecurityError,
)

POLICY = "version: 1\ndefault: allow\nrules: []\ndestinations: { allow: [localhost] }\n"


def made(name, signer, extensions):
    """A key and its certificate, signed by `signer` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing = signer if signer else (subject, key)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, isinstance(extension, x509.BasicConstraints))
    return subject, key, builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def certificate(folder):
    """An authority of our own, and what it has signed for `localhost`: authority, certificate, key."""
    subject, authority, root = made("tests", None, [x509.BasicConstraints(ca=True, path_length=None)])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
    _, key, leaf = made("localhost", (subject, authority), [names, usage])
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = [folder / "root.pem", folder / "localhost.pem", folder / "localhost.key"]
    for file, content in zip(files, (root, leaf, secret)):
        file.write_bytes(content)
    return files


class Site:
    """A site over TLS that remembers what it was asked."""

    def __init__(self, folder):
        self.pem, pem, secret = certificate(folder)
        site = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length).decode(errors="surrogateescape")
                site.asked.append((self.command, self.path, body, dict(self.headers)))
                if self.path == "/away":
                    return self.say(302, b"", {"location": "http://169.254.169.254/latest/"})
                if self.path == "/tools":
                    tool = {"name": "read", "description": f"number {len(site.asked)}", "inputSchema": {}}
                    return self.say(200, json.dumps({"result": {"tools": [tool]}}).encode(), {})
                if self.path == "/packed":
                    accepted = self.headers.get("accept-encoding") or ""
                    coding = {"content-encoding": "gzip"} if "gzip" in accepted else {}
                    return self.say(200, gzip.compress(b"packed") if coding else b"plain", coding)
                if self.path == "/page":
                    return self.say(200, b"<html>hello</html>", {"content-type": "text/html"})
                self.say(200, json.dumps({"path": self.path, "body": body}).encode(), {"x-site": "1"})

            def say(self, status, body, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, secret)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.server.shutdown()


@pytest.fixture
def door(tmp_path, provider, site):
    home = tmp_path / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(POLICY)
    with Door(tmp_path, provider.url, "anthropic", env={"SSL_CERT_FILE": str(site.pem)}) as running:
        running.mcp = f"http://{running.address}/mcp"
        yield running


def key(door, *arguments):
    """A fresh key and its credential."""
    made = json.loads(door.command("key", "create", "--json", *arguments).stdout)
    return made["key_id"], made["credential"]


def client(door, credential, kind=AgentGuardClient):
    return kind(credential=credential, mcp_url=door.mcp)


def test_handshake_calls_and_what_was_used(door, site):
    key_id, credential = key(door)
    sdk = SphyrClient(credential=credential, mcp_url=door.mcp)
    answer = sdk.sphyr_net(
        f"{site.url}/data?q=a:b", "POST", body='{"a":1}', headers={"X-B": "2", "Content-Type": "application/json"}
    )
    assert (answer["status"], answer["ok"], answer["outcome"]) == (200, True, "ALLOWED")
    assert json.loads(answer["body"]) == {"path": "/data?q=a:b", "body": '{"a":1}'}
    assert sdk.session_balance == 1000 and sdk.agent_id
    method, path, body, headers = site.asked[0]
    assert (method, path, body, headers["x-b"]) == ("POST", "/data?q=a:b", '{"a":1}', "2")
    plain = client(door, credential)
    assert plain.agent_guard_up()["status"] == "ACTIVE"
    assert plain.user_bal()["balance"] == 999
    used = plain.usage_summary()
    assert (used["total_requests"], used["success_count"], used["block_count"]) == (1, 1, 0)
    shown = json.loads(door.command("credits", "show", key_id, "--json").stdout)
    assert shown["credits_remaining"] == 999


def test_flags_are_signed_as_the_sdk_checks_them(door, site):
    _, credential = key(door)
    plain = client(door, credential)
    answer = plain.sphyr_net(f"{site.url}/page")
    assert answer["safety"]["html_body"] is True
    nonce = plain._sess_nonce
    assert plain.verify_safety_sig(answer["safety"], answer["safety_sig"], nonce, answer["safety_salt"])
    assert not plain.verify_safety_sig({**answer["safety"], "html_body": False}, answer["safety_sig"], nonce, answer["safety_salt"])


def test_only_checked(door, site):
    _, credential = key(door)
    plain = client(door, credential)
    for _ in range(3):
        assert plain.sphyr_net(f"{site.url}/x", preflight=True)["outcome"] == "PREFLIGHT_OK"
    assert site.asked == [] and plain.user_bal()["balance"] == 1000
    # Where its name leads is looked at as well.
    for sdk in (plain, SphyrClient(credential=credential, mcp_url=door.mcp)):
        with pytest.raises(SphyrError) as refused:
            sdk.sphyr_net("https://nowhere.invalid/x", "GET", preflight=True)
        assert refused.value.code == "DNS_FAILED"
    _, credential = key(door, "--set", "dry_run=true")
    assert client(door, credential).sphyr_net(f"{site.url}/x")["outcome"] == "PREFLIGHT_OK"
    assert site.asked == []


CARE = "version: 1\ndefault: allow\nrules:\n  - name: care\n    ask: { host: localhost }\ndestinations: { allow: [localhost] }\n"


def test_a_person_says_yes_to_one_request(tmp_path, provider, site):
    """Held while the SDK waits; shown with its head; a yes is for that request and no other."""
    home = tmp_path / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(CARE)
    request = {"body": '{"amount":1}', "headers": {"Authorization": "Bearer t0ken", "X-B": "2"}}
    url = f"{site.url}/pay"
    with Door(tmp_path, provider.url, "anthropic", env={"SSL_CERT_FILE": str(site.pem)}) as door:
        door.mcp = f"http://{door.address}/mcp"
        _, credential = key(door)
        plain = client(door, credential)
        with Person(door) as person:
            # Only checked, it is not held.
            for sdk in (plain, SphyrClient(credential=credential, mcp_url=door.mcp)):
                with pytest.raises(SphyrError) as refused:
                    sdk.sphyr_net(url, "POST", preflight=True, **request)
                assert refused.value.code == "APPROVAL_DENIED" and "would be asked" in str(refused.value)
            assert person.overview()["approvals"] == []
            answers = []
            sending = threading.Thread(target=lambda: answers.append(plain.sphyr_net(url, "POST", **request)))
            sending.start()
            asked = person.asked()
            assert (asked["request"]["method"], asked["request"]["url"]) == ("POST", url)
            shown = door.command("approvals", "show", asked["id"]).stdout
            assert "wants: POST localhost (url, " in shown
            assert f"  | POST {url}" in shown and "  | Authorization: Bearer (5)" in shown and "t0ken" not in shown
            assert 'its body, 12 bytes, all of them:\n  | {"amount":1}' in shown and "taken out" not in shown
            assert f"  | POST {url}" in door.command("approvals", "list").stdout
            door.command("approvals", "approve", asked["id"], "--scope", "session")
            sending.join(20)
            assert [answer["outcome"] for answer in answers] == ["ALLOWED"]
            assert [asked[:2] for asked in site.asked] == [("POST", "/pay")]
        # Who looked counts as being there for ten seconds more.
        while person.overview()["attended"]:
            time.sleep(0.5)
        assert plain.sphyr_net(url, "POST", preflight=True, **request)["outcome"] == "PREFLIGHT_OK"
        assert plain.sphyr_net(url, "POST", **request)["outcome"] == "ALLOWED"
        fewer, changed = {**request, "headers": {"X-B": "2"}}, {**request, "body": "{}"}
        for method, other in [("DELETE", request), ("POST", fewer), ("POST", changed)]:
            with pytest.raises(SphyrError) as refused:
                plain.sphyr_net(url, method, **other)
            assert refused.value.code == "APPROVAL_DENIED"
        assert len(site.asked) == 2


def test_a_person_reads_what_a_packed_body_says(tmp_path, provider, site):
    """A body in gzip stands before a person as its text; what goes out is the body as it was."""
    home = tmp_path / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(CARE)
    packed = gzip.compress(b'{"amount":1}')
    asked = {"url": f"{site.url}/pay", "method": "POST", "headers": {"Content-Encoding": "gzip"}}
    asked["body_base64"] = base64.b64encode(packed).decode()
    with Door(tmp_path, provider.url, "anthropic", env={"SSL_CERT_FILE": str(site.pem)}) as door:
        _, credential = key(door)
        request = urllib.request.Request(
            f"http://{door.address}/v1/net",
            json.dumps(asked).encode(),
            {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"},
        )
        with Person(door) as person:
            statuses = []
            sending = threading.Thread(target=lambda: statuses.append(urllib.request.urlopen(request).status))
            sending.start()
            question = person.asked()
            assert question["decoded"] == {"text": '{"amount":1}', "whole": True}
            shown = door.command("approvals", "show", question["id"]).stdout
            said = f'its body, {len(packed)} bytes, all of them:\n  (packed; unpacked it says, all of it:)\n  | {{"amount":1}}\n'
            assert said in shown and "\ufffd" not in shown, shown
            assert 'unpacked:\n  | {"amount":1}' in door.command("approvals", "list").stdout
            door.command("approvals", "approve", question["id"])
            sending.join(20)
            assert len(statuses) == 1
            (method, path, body, headers) = site.asked[-1]
            assert (method, path, headers["content-encoding"]) == ("POST", "/pay", "gzip")
            assert body.encode(errors="surrogateescape") == packed


def test_a_redirect_is_given_back(door, site):
    _, credential = key(door)
    answer = client(door, credential).sphyr_net(f"{site.url}/away")
    assert (answer["status"], answer["ok"]) == (302, False)
    assert ["location", "http://169.254.169.254/latest/"] in answer["upstream_response_headers"]
    assert len(site.asked) == 1


REFUSED = [
    ("https://169.254.169.254/latest/meta-data/", {}, SphyrSecurityError, "SSRF_BLOCKED"),
    ("https://10.0.0.1/admin", {}, SphyrSecurityError, "SSRF_BLOCKED"),
    ("https://0x7f.1/", {}, SphyrSecurityError, "SSRF_BLOCKED"),
    ("http://example.com/", {}, SphyrRequestError, "HTTPS_REQUIRED"),
    ("https://user@example.com/", {}, SphyrRequestError, "INVALID_URL"),
    ("SITE/?k=ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7", {}, SphyrSecurityError, "ENTROPY_BLOCKED"),
    ("SITE/", {"headers": {"Host": "evil.example"}}, SphyrRequestError, "HEADER_COLLISION"),
    ("SITE/", {"headers": {"A": "b\r\nc: d"}}, SphyrRequestError, "HEADER_INVALID"),
]


@pytest.mark.parametrize(("url", "more", "kind", "code"), REFUSED)
def test_refusals_are_the_sdks_errors(door, site, url, more, kind, code):
    _, credential = key(door)
    with pytest.raises(kind) as refused:
        client(door, credential).sphyr_net(url.replace("SITE", site.url), **more)
    assert refused.value.code == code and refused.value.retryable is False
    assert refused.value.remediation["action"] and refused.value.request_id
    page = urllib.request.urlopen(refused.value.docs_url).read().decode()
    assert page.startswith(f"# {code}")
    assert site.asked == []
    receipts = [receipt for receipt in door.receipts() if receipt["id"] == refused.value.request_id]
    assert receipts and receipts[0]["decision"]["verdict"] == "block"


def test_a_wrong_secret_and_a_stopped_key(door, site):
    key_id, credential = key(door)
    with pytest.raises(Exception) as refused:
        client(door, credential + "x").sphyr_net(f"{site.url}/")
    assert "AUTH_FAILED" in repr(refused.value) or getattr(refused.value, "code", "") == "AUTH_FAILED"
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/")["ok"]
    door.command("key", "pause", key_id)
    with pytest.raises(SphyrAuthError) as refused:
        plain.sphyr_net(f"{site.url}/other")
    assert refused.value.code == "KEY_PAUSED"
    door.command("key", "resume", key_id)
    assert plain.sphyr_net(f"{site.url}/third")["ok"]
    assert len(site.asked) == 2


def test_without_credits_nothing_goes(door, site):
    key_id, credential = key(door, "--credits", "2")
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/1")["ok"] and plain.sphyr_net(f"{site.url}/2")["ok"]
    with pytest.raises(SphyrBillingError) as refused:
        plain.sphyr_net(f"{site.url}/3")
    assert refused.value.code == "INSUFFICIENT_CREDITS" and len(site.asked) == 2
    door.command("credits", "grant", key_id, "1")
    assert plain.sphyr_net(f"{site.url}/4")["ok"]


def test_the_same_call_twice_within_a_second_waits_for_the_next(door, site):
    """The SDK's clock has whole seconds: the second of two honest calls is signed alike, and is told when to come."""
    _, credential = key(door)
    sdk = SphyrClient(credential=credential, mcp_url=door.mcp)
    waits = []
    sdk.on_retry_event = waits.append
    assert all(sdk.sphyr_net(f"{site.url}/same")["ok"] for _ in range(3))
    assert len(site.asked) == 3
    # They may have come in three different seconds: until two come in one.
    while not waits:
        assert len(site.asked) < 40 and sdk.sphyr_net(f"{site.url}/same")["ok"]
    assert all(wait["reason"] == "rate_limit" for wait in waits)
    # Who does not wait is refused.
    plain = client(door, credential)
    with pytest.raises(SphyrRateLimitError) as refused:
        for _ in range(4):
            plain.sphyr_net(f"{site.url}/again")
    assert 0 < refused.value.retry_after_ms <= 30_000


def test_a_restart_ends_sessions_and_the_sdk_goes_on(door, site):
    _, credential = key(door)
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/before")["ok"]
    token = plain._sess_token
    door.kill_9()
    door.start()
    assert plain.sphyr_net(f"{site.url}/after")["ok"]
    assert plain._sess_token != token and len(site.asked) == 2
    assert plain.user_bal()["balance"] == 998


def test_what_was_captured_before_a_restart_is_worth_nothing_after(door, site):
    _, credential = key(door)
    plain = client(door, credential)
    sent = []
    call = plain._call_tool
    plain._call_tool = lambda name, arguments: sent.append((name, arguments)) or call(name, arguments)
    assert plain.sphyr_net(f"{site.url}/once", method="POST", body="x")["ok"]
    captured = next(arguments for name, arguments in sent if name == "sphyr_net")
    door.kill_9()
    door.start()
    assert plain._parse_result(call("sphyr_net", captured))["code"] == "SESS_INVALID"
    assert len(site.asked) == 1


def test_what_has_an_idempotency_key_is_done_once(door, site):
    """The SDK gives writes a key made of what they do; the second is answered by the first."""
    key_id, credential = key(door)
    sdk = SphyrClient(credential=credential, mcp_url=door.mcp)
    first, again = (sdk.sphyr_net(f"{site.url}/create", "POST", body='{"a":1}') for _ in range(2))
    assert first["status"] == again["status"] == 200 and first["body"] == again["body"]
    assert again["request_id"] == first["request_id"]
    assert [asked[1] for asked in site.asked] == ["/create"]
    shown = json.loads(door.command("credits", "show", key_id, "--json").stdout)
    assert shown["credits_remaining"] == 999
    with pytest.raises(SphyrRequestError) as refused:
        sdk.call(
            {
                "url": f"{site.url}/create",
                "mthd": "POST",
                "cat": "c",
                "body": "other",
                "idempotency_key": site.asked[0][3]["idempotency-key"],
            }
        )
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"


def test_a_redirect_is_followed_where_the_key_says_so(door, site):
    _, credential = key(door, "--set", "follow_redirects=3")
    with pytest.raises(SphyrSecurityError) as refused:
        client(door, credential).sphyr_net(f"{site.url}/away")
    assert refused.value.code == "REDIRECT_BLOCKED" and len(site.asked) == 1
    assert refused.value.remediation["parameters"]["redirect_location"] == "http://169.254.169.254/latest/"


def test_a_proof_of_a_refusal_holds(door, site):
    _, credential = key(door)
    plain = client(door, credential)
    plain.get_session()
    raw = plain._parse_result(
        plain._call_tool(
            "sphyr_net",
            {
                "url": "https://10.0.0.1/",
                "mthd": "GET",
                "cat": "c",
                "ts": 1,
                "sess_token": plain._sess_token,
                "sig": "0" * 64,
            },
        )
    )
    proof = raw["denial_proof"]
    published = json.loads(urllib.request.urlopen(proof["key_url"]).read())
    der = base64.b64decode(published["public_key"])
    public = serialization.load_der_public_key(der)
    payload = json.dumps(proof["payload"], separators=(",", ":")).encode()
    public.verify(base64.urlsafe_b64decode(proof["sig"] + "=="), payload)
    # As the SDK checks it, by our key and by whatever key it names.
    own = DenialProof(
        DenialProofPayload(**proof["payload"]), proof["sig"], proof["public_key"], proof["key_url"]
    )
    for trusted in (published["public_key"], None):
        assert verify_denial_proof_locally(own, trusted_public_key=trusted).valid
    changed = dataclasses.replace(own, payload=dataclasses.replace(own.payload, block_reason="X"))
    assert verify_denial_proof_locally(changed).reason == "SIGNATURE_MISMATCH"
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    other = other.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    other = base64.b64encode(other).decode()
    assert verify_denial_proof_locally(own, trusted_public_key=other).reason == "KEY_MISMATCH"
    for changed, answer in ((None, {"valid": True}), ("X", {"valid": False, "reason": "SIGNATURE_MISMATCH"})):
        if changed:
            proof["payload"]["block_reason"] = changed
        asked = urllib.request.Request(
            f"http://{door.address}/v1/verify-denial", json.dumps(proof).encode(), {"Content-Type": "application/json"}
        )
        assert json.loads(urllib.request.urlopen(asked).read()) == answer


def test_the_asynchronous_client(door, site):
    import asyncio

    _, credential = key(door)

    async def ask():
        sdk = client(door, credential, AsyncAgentGuardClient)
        return await sdk.sphyr_net(f"{site.url}/async", method="PUT", body="x")

    answer = asyncio.run(ask())
    assert answer["ok"] and site.asked[0][:3] == ("PUT", "/async", "x")


@pytest.mark.parametrize("where", ["body", "base64", "query", "header"])
def test_what_a_decoy_says_suspends_the_key(door, site, where):
    key_id, credential = key(door)
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/before")["ok"]
    _, text = plant(door, "aws-credentials")
    secret = next(line.split(" = ")[1] for line in text.splitlines() if "secret" in line)
    url, more = f"{site.url}/x", {}
    if where == "body":
        more = {"method": "POST", "body": json.dumps({"note": f"see {secret}"})}
    elif where == "base64":
        more = {"method": "POST", "body": base64.b64encode(f"k={secret}".encode()).decode()}
    elif where == "query":
        url += "?" + urllib.parse.urlencode({"q": secret})
    else:
        more = {"headers": {"X-Note": secret}}
    with pytest.raises(SphyrSecurityError) as refused:
        plain.sphyr_net(url, **more)
    assert refused.value.code == "HONEYTOKEN" and refused.value.remediation_action == "ABORT_TASK"
    assert secret[:12] not in str(refused.value)
    with pytest.raises(SphyrAuthError) as refused:
        plain.sphyr_net(f"{site.url}/after")
    assert refused.value.code == "KEY_PAUSED"
    listed = [json.loads(line) for line in door.command("key", "list", "--compromised", "--json").stdout.splitlines()]
    assert [one["key_id"] for one in listed] == [key_id]
    assert len(site.asked) == 1 and door.command("status", check=False).returncode == 1


@pytest.mark.parametrize("where", ["host", "below", "query", "body", "base64", "value"])
def test_a_honeytoken_suspends_the_key(door, site, where):
    key_id, credential = key(door)
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/before")["ok"]
    # Known before anything is asked for: nobody out there is to be asked for the name.
    door.stop()
    door.command("honeytoken", "add", "wiki", "--domain", "trap.example")
    door.command("honeytoken", "add", "old-key", stdin="bait-value/0123456789+xyz\n")
    door.start()
    url, more = f"{site.url}/x", {}
    if where == "host":
        url = "https://trap.example/login"
    elif where == "below":
        url = "https://c2VjcmV0.trap.example/"
    elif where == "query":
        url += "?" + urllib.parse.urlencode({"to": "https://trap.example/"})
    elif where == "body":
        more = {"method": "POST", "body": json.dumps({"note": "see trap.example"})}
    elif where == "base64":
        more = {"method": "POST", "body": base64.b64encode(b"user:pass@trap.example/ab").decode()}
    else:
        more = {"headers": {"X-Note": "bait-value/0123456789+xyz"}}
    with pytest.raises(SphyrSecurityError) as refused:
        plain.sphyr_net(url, **more)
    assert refused.value.code == "HONEYTOKEN" and refused.value.remediation_action == "ABORT_TASK"
    assert "wiki" not in str(refused.value) and "old-key" not in str(refused.value)
    with pytest.raises(SphyrAuthError) as refused:
        plain.sphyr_net(f"{site.url}/after")
    assert refused.value.code == "KEY_PAUSED"
    (listed,) = [json.loads(line) for line in door.command("key", "list", "--compromised", "--json").stdout.splitlines()]
    (record,) = listed["compromised"]
    assert listed["key_id"] == key_id and len(record["from"]) == 16
    assert ("`old-key`" if where == "value" else "`wiki`") in record["what"]
    text = door.command("key", "list", "--compromised").stdout
    assert record["receipt"] in text and record["what"] in text


def test_what_was_used_survives_a_restart(door, site):
    _, credential = key(door)
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/1")["ok"]
    with pytest.raises(SphyrSecurityError):
        plain.sphyr_net("https://10.0.0.1/")
    door.stop()
    door.start()
    assert plain.sphyr_net(f"{site.url}/2")["ok"]
    used = plain.usage_summary()
    assert used["period"] == "last_24h" and used["currency"] == "credits"
    assert (used["total_requests"], used["success_count"], used["block_count"]) == (3, 2, 1)
    assert used["outcomes"] == {"ALLOWED": 2, "SSRF_BLOCKED": 1} and used["credit_balance"] == 998


def test_the_sdk_finds_what_key_create_has_written(door, site, monkeypatch):
    door.command("key", "create", "--write-sphyr-config")
    monkeypatch.setenv("HOME", str(door.home))
    sdk = SphyrClient()
    assert sdk.sphyr_net(f"{site.url}/file")["ok"]
    assert json.loads((door.home / ".sphyr/config.json").read_text())["mcp_url"] == door.mcp


def test_a_key_may_send_what_others_may_not(door, site):
    key_id, credential = key(door)
    plain = client(door, credential)
    url = f"{site.url}/x?q=k3Jx9QbT0vLzW5pRn2Ys8Gd1"
    with pytest.raises(SphyrSecurityError) as refused:
        plain.sphyr_net(url)
    assert refused.value.code == "ENTROPY_BLOCKED" and "(`entropy_threshold`)" in str(refused.value)
    door.command("key", "set", key_id, "entropy_allow=k3Jx*")
    assert plain.sphyr_net(url + "&n=2")["ok"]
    door.command("key", "set", key_id, "entropy_allow=default", "entropy_threshold=3.5")
    with pytest.raises(SphyrSecurityError) as refused:
        plain.sphyr_net(url + "&n=3")
    assert "more than 3.50 (`entropy_threshold` of the key)" in str(refused.value)
