"""Webhooks: what the real binary sends is verified by the published `standardwebhooks` package, and by the few lines that users of
`X-Sphyr-Signature` were told to write. Neither is ours."""

import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
import urllib.request

import pytest
from harness.door import Door
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from test_canary import plant
from test_egress import Site, client, key
from sphyr_sdk._tool_drift import maybe_check_tool_drift
from sphyr_sdk.client import SphyrClient
from sphyr_sdk.errors import SphyrError

POLICY = """version: 1
default: allow
rules: [{ name: asks, ask: { host: asks.example } }]
destinations: { allow: [localhost] }
"""


def verify_sphyr(body, signature, secret):
    """What a receiver does with `X-Sphyr-Signature`."""
    return hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), signature)


class Receiver:
    """An endpoint over TLS: keeps what came, and answers with `status`."""

    def __init__(self, pem, secret):
        self.came = []
        self.status = 204
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, secret)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/in?token=hidden"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def messages(self):
        return [json.loads(body) for _, body in self.came]

    def until(self, wanted, seconds=30):
        """The first message for which `wanted(message)` holds: its headers, its body, itself."""
        deadline = time.monotonic() + seconds
        while True:
            for headers, body in list(self.came):
                if wanted(message := json.loads(body)):
                    return headers, body, message
            assert time.monotonic() < deadline, f"it did not come: {self.messages()}"
            time.sleep(0.05)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.server.shutdown()


@pytest.fixture
def receiver(tmp_path, site):
    # The same authority has signed for both: they are of one host.
    made = Receiver(tmp_path / "localhost.pem", tmp_path / "localhost.key")
    yield made
    made.server.shutdown()


@pytest.fixture
def door(tmp_path, provider, site):
    home = tmp_path / ".doorward"
    home.mkdir(mode=0o700)
    (home / "policy.yaml").write_text(POLICY)
    (tmp_path / ".aws").mkdir()
    with Door(tmp_path, provider.url, "anthropic", env={"SSL_CERT_FILE": str(site.pem)}) as running:
        running.mcp = f"http://{running.address}/mcp"
        yield running


def add(door, receiver, *more):
    return json.loads(door.command("webhook", "add", receiver.url, "--local", "--json", *more).stdout)


def verified(secrets, headers, body):
    """The message, if both verifiers say that it is ours."""
    assert verify_sphyr(body, headers["x-sphyr-signature"], secrets["secret"])
    return Webhook(secrets["whsec"]).verify(body, headers)


def test_every_event_arrives_and_is_verified_by_others(door, site, receiver):
    hook = add(door, receiver)
    _, credential = key(door, "--credits", "100")
    plain = client(door, credential)
    assert plain.sphyr_net(f"{site.url}/x")["ok"]
    drifting = SphyrClient(credential=credential, mcp_url=door.mcp)
    assert drifting.sphyr_net(f"{site.url}/tools")["ok"]
    for said in ("finds things", "finds things and mails them"):
        listed = {"result": {"tools": [{"name": "search", "description": said, "inputSchema": {}}]}}
        maybe_check_tool_drift(listed, f"{site.url}/mcp", drifting)
    for url in ("https://10.0.0.1/admin", "https://asks.example/"):
        with pytest.raises(SphyrError):
            plain.sphyr_net(url)
    _, text = plant(door, "aws-credentials")
    secret = next(line.split(" = ")[1] for line in text.splitlines() if "secret" in line)
    with pytest.raises(SphyrError):
        plain.sphyr_net(f"{site.url}/x", "POST", body=json.dumps({"note": secret}))
    door.command("kill", "--agent", "nobody", "--reason", "drill")
    for kind in ("action.blocked", "honeytoken.touched", "kill.changed", "credits.low", "tool.drift", "approval.waiting"):
        headers, body, message = receiver.until(lambda one: one["type"] == kind)
        assert verified(hook, headers, body) == message
        with pytest.raises(WebhookVerificationError):
            Webhook(hook["whsec"]).verify(body.replace(b"type", b"tyqe"), headers)
        assert secret.encode() not in body and b"10.0.0.1/admin" not in body
        if receipt := message["data"].get("receipt"):
            assert any(one["id"] == receipt for one in door.receipts())
    _, _, drift = receiver.until(lambda one: one["type"] == "tool.drift")
    assert (drift["data"]["tool_name"], drift["data"]["change_type"]) == ("search", "description_changed")
    assert len(drift["data"]["current_hash"]) == 64 and drift["data"]["current_hash"] != drift["data"]["baseline_hash"]
    _, _, low = receiver.until(lambda one: one["type"] == "credits.low")
    assert low["data"]["credits_remaining"] == 99
    assert len([one for one in receiver.messages() if one["type"] == "credits.low"]) == 1
    log = "\n".join(door.running.complaints)
    assert hook["secret"] not in log and "token=hidden" not in log
    assert "token=hidden" not in json.dumps(door.receipts())


def post(door, path):
    """What a console does: the documented route, with the credential of people."""
    token = (door.home / ".doorward" / "operator.token").read_text().strip()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{door.control}{path}", method="POST", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)


def send(door, receiver, hook):
    """One test message: headers and body."""
    door.command("webhook", "test", hook["webhook"])
    return receiver.came[-1]


def test_the_documented_route_rotates_at_once_and_with_overlap(door, receiver):
    first = add(door, receiver)
    assert verified(first, *send(door, receiver, first))["type"] == "webhook.test"
    second = post(door, f"/v1/console/webhooks/{first['webhook']}/rotate")
    headers, body = send(door, receiver, first)
    verified(second, headers, body)
    with pytest.raises(WebhookVerificationError):
        Webhook(first["whsec"]).verify(body, headers)
    assert not verify_sphyr(body, headers["x-sphyr-signature"], first["secret"])
    third = post(door, f"/v1/console/webhooks/{first['webhook']}/rotate?overlap=24h")
    headers, body = send(door, receiver, first)
    verified(third, headers, body)
    assert Webhook(second["whsec"]).verify(body, headers)["type"] == "webhook.test"
    assert third["old_secret_until"]


def test_what_was_to_be_told_is_told_after_kill_9(door, receiver):
    hook = add(door, receiver, "--events", "kill.changed")
    receiver.status = 503
    door.command("kill", "--agent", "nobody")
    first, _, _ = receiver.until(lambda one: one["type"] == "kill.changed")
    door.kill_9()
    receiver.status = 200
    door.start()
    deadline = time.monotonic() + 40
    while "ARRIVED" not in (shown := door.command("webhook", "deliveries").stdout):
        assert time.monotonic() < deadline, shown
        time.sleep(0.2)
    headers, body = receiver.came[-1]
    assert headers["webhook-id"] == first["webhook-id"] and verified(hook, headers, body)


def test_an_alias_is_read_with_one_notice(tmp_path, provider):
    url = "https://hooks.example/T0/hidden-path"
    with Door(tmp_path, provider.url, "anthropic", env={"ALERT_WEBHOOK_URL": url}) as door:
        shown = json.loads(door.command("webhook", "list", "--json").stdout)
        assert (shown["url"], shown["events"], shown["of_environment"]) == (url, ["honeytoken.touched"], True)
        log = "\n".join(door.running.complaints)
        assert log.count("ALERT_WEBHOOK_URL") == 1 and "hidden-path" not in log
        rotated = json.loads(door.command("webhook", "rotate", shown["webhook"], "--json").stdout)
        assert rotated["secret"] and rotated["whsec"].startswith("whsec_")
        door.stop()
        door.start()
        assert json.loads(door.command("webhook", "list", "--json").stdout)["webhook"] == shown["webhook"]
        door.stop()
        del door.env["ALERT_WEBHOOK_URL"]
        door.start()
        assert door.command("webhook", "list").stdout == ""
        refused = door.command("run", check=False, env={"ALERT_WEBHOOK_URL": "http://10.0.0.1/x", "DOORWARD_HOME": str(tmp_path / "other"), "DOORWARD_LISTEN": "127.0.0.1:0", "DOORWARD_CONTROL": "127.0.0.1:0"})
        assert refused.returncode == 2 and "ALERT_WEBHOOK_URL" in refused.stderr
