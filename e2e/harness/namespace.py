"""A machine of our own: run under `unshare --net --mount`, where only the loopback interface is, with public and private addresses on
it and a name server that lies. The real binary asks it as it would ask any other. What came of each request goes to stdout, as JSON.

    namespace.py HOME ROOT.pem SITE.pem SITE.key
"""

import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.door import Door  # noqa: E402
from harness.nameserver import A, AAAA, CNAME, NXDOMAIN, SERVFAIL, NameServer  # noqa: E402

PUBLIC, PUBLIC_6, OTHER = "93.184.215.14", "2606:2800:220:1::1", "93.184.215.15"
# What must never be connected to, though somebody listens there.
TRAPS = ["10.0.0.1", "169.254.169.254", "127.0.0.1", "100.64.0.1", OTHER]
POLICY = "version: 1\ndefault: allow\nrules: [{ name: never, deny: { host: never.example } }]\n"
MANY = [f"93.184.{n // 200}.{n % 200}" for n in range(300)]

ZONE = {
    "outside.example": [(A, PUBLIC)],
    "six.example": [(AAAA, PUBLIC_6)],
    "both.example": [(A, PUBLIC), (AAAA, PUBLIC_6)],
    "inside.example": [(A, "10.0.0.1")],
    "cloud.example": [(A, "169.254.169.254")],
    "shared.example": [(A, "100.64.0.1")],
    "mixed.example": [(A, PUBLIC), (A, "10.0.0.1")],
    "mixed-six.example": [(A, PUBLIC), (AAAA, "::1")],
    "mapped.example": [(AAAA, "::ffff:10.0.0.1")],
    "dns64.example": [(AAAA, "64:ff9b::a00:1")],
    "dns64-own.example": [(AAAA, "64:ff9b:1::a00:1")],
    "dns64-beside.example": [(A, PUBLIC), (AAAA, "64:ff9b::a9fe:a9fe")],
    "empty.example": [],
    "many.example": [(A, ip) for ip in MANY],
    "many-and-one.example": [(A, ip) for ip in MANY[:30]] + [(A, "10.0.0.1")],
}


def zone(name, kind, times):
    """What is said of a name."""
    if name.endswith("chain.example"):
        # chain.example, 1.chain.example, ... each the other name of the next, to somewhere inside.
        place = int(name.split(".")[0]) if name[0].isdigit() else 0
        chain = [(f"{n}.chain.example" if n else "chain.example", CNAME, f"{n + 1}.chain.example") for n in range(place, 8)]
        last = ("8.chain.example", A, "10.0.0.1")
        return 0, chain + ([last] if kind == A else [])
    if name == "chain-out.example":
        return 0, [(name, CNAME, "outside.example")] + ([("outside.example", A, PUBLIC)] if kind == A else [])
    if name == "circle.example":
        return 0, [(name, CNAME, "round.example"), ("round.example", CNAME, name)]
    if name == "rebinds.example":
        # Outside first, inside ever after.
        return 0, [(name, A, PUBLIC if times == 0 else "10.0.0.1")] if kind == A else []
    if name == "another.example":
        # An answer to a question that nobody has asked.
        return 0, [("outside.example", A, PUBLIC)] if kind == A else []
    if name == "silent.example":
        return None
    if name == "fails.example":
        return SERVFAIL, []
    if name.endswith(".corp.test"):
        # What a search domain would lead to.
        return 0, [(name, A, OTHER)] if kind == A else []
    if name not in ZONE:
        return NXDOMAIN, []
    return 0, [(name, own, value) for own, value in ZONE[name] if own == kind]


# Each after the other; those of one name are asked for again.
ASKED = [
    "https://outside.example/", "https://six.example/", "https://both.example/", "https://chain-out.example/",
    "https://hosted.example/", "https://inside.example/", "https://cloud.example/", "https://shared.example/",
    "https://mixed.example/", "https://mixed-six.example/", "https://mapped.example/", "https://dns64.example/",
    "https://dns64-own.example/", "https://dns64-beside.example/", "https://chain.example/", "https://circle.example/",
    "https://empty.example/", "https://many.example/", "https://many-and-one.example/", "https://another.example/",
    "https://nowhere.example/", "https://fails.example/", "https://silent.example/", "https://rebinds.example/",
    "https://rebinds.example/", "https://outside.example./", "https://OUTSIDE.example/",
]
# Refused by what is written there.
REFUSED = [
    "https://10.0.0.1/", "https://0x7f000001/", "https://[::ffff:169.254.169.254]/", "https://0o177.0.0.1/",
    "https://localhost/", "https://10.0.0.1.nip.io/", "https://a.internal/", "http://outside.example/",
    "https://user@outside.example/", "https://never.example/", "ftp://outside.example/",
]


def lone_machine(home):
    """The interface, its addresses, and whom the system asks for names."""
    run = lambda *words: subprocess.run(words, check=True)  # noqa: E731
    run("ip", "link", "set", "lo", "up")
    for address in [PUBLIC, *TRAPS]:
        if address != "127.0.0.1":
            run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    run("ip", "-6", "addr", "add", f"{PUBLIC_6}/128", "dev", "lo", "nodad")
    for file, text in {
        "/etc/resolv.conf": "nameserver 127.0.0.1\nsearch corp.test\noptions timeout:1 attempts:1\n",
        "/etc/hosts": f"127.0.0.1 localhost\n{PUBLIC} hosted.example\n",
        "/etc/nsswitch.conf": "hosts: files dns\n",
    }.items():
        own = home / Path(file).name
        own.write_text(text)
        run("mount", "--bind", str(own), file)


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.came.append(self.headers["host"])
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def __init__(self, address, came, certificate):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 443), Site)
        self.came, self.taken = came, 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self):
        stream, peer = super().get_request()
        self.taken += 1
        return self.context.wrap_socket(stream, server_side=True), peer

    def handle_error(self, *_):
        pass


def main(home, root, *certificate):
    home = Path(home)
    lone_machine(home)
    came = []
    sites = [Quiet(address, came, certificate) for address in (PUBLIC, PUBLIC_6)]
    traps = [Quiet(address, [], certificate) for address in TRAPS]
    names = NameServer(zone)
    (home / ".doorward").mkdir(mode=0o700)
    (home / ".doorward" / "policy.yaml").write_text(POLICY)
    with Door(home, "http://127.0.0.1:9", "anthropic", env={"SSL_CERT_FILE": root}) as door:
        made = json.loads(door.command("key", "create", "--json").stdout)
        door.command("key", "set", made["key_id"], "rate_agent=1000")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def sent(url):
            names.forget()
            request = urllib.request.Request(
                f"http://{door.address}/v1/net",
                data=json.dumps({"url": url}).encode(),
                headers={"authorization": f"Bearer {made['credential']}", "content-type": "application/json"},
            )
            try:
                with opener.open(request, timeout=60) as answer:
                    code = str(answer.status)
            except urllib.error.HTTPError as refused:
                code = json.loads(refused.read())["code"]
            # Who was told over TCP at once does not wait for the other question's answer; it is still on its way to the list.
            time.sleep(0.1)
            return {"url": url, "code": code, "asked": sorted(set(names.names())), "questions": len(names.names())}

        print(json.dumps({
            "asked": [sent(url) for url in ASKED],
            "refused": [sent(url) for url in REFUSED],
            "trapped": {address: trap.taken for address, trap in zip(TRAPS, traps)},
            "came": came,
            "connections": sum(site.taken for site in sites),
        }))


if __name__ == "__main__":
    main(*sys.argv[1:])
