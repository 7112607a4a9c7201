"""A raw HTTP/1.1 client: exact bytes out, exact bytes and their times in, and how the connection ended."""

import json
import socket
import time

from . import words


class Answer:
    """One response as it arrived."""

    def __init__(self):
        self.raw = b""
        self.head = None
        self.status = None
        self.headers = []
        self.body = b""
        self.arrivals = []
        # "clean": as HTTP says; "cut": closed before that; "reset": by a TCP reset; "open": we stopped reading
        self.end = "open"

    def header(self, name):
        """The only value of a header, or None."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The server-sent events: (name, data)."""
        found = []
        for block in self.body.decode().replace("\r\n", "\n").split("\n\n"):
            lines = [line.partition(": ") for line in block.split("\n")]
            data = "\n".join(value for name, _, value in lines if name == "data")
            name = next((value for key, _, value in lines if key == "event"), None)
            if data:
                found.append((name, data))
        return found


class Exchange:
    """One request on one connection."""

    def __init__(self, address, request, timeout=20.0):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = Answer()
        try:
            self.socket.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            # Refused before all was read; the answer may be there all the same.
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def read(self, until=None):
        """Reads to the end of the response, or until `until(answer)` holds."""
        answer = self.answer
        while answer.end == "open" and not (until and until(answer)):
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                answer.end = "reset"
                break
            if not data:
                self._parse()
                if answer.end == "open":
                    whole = answer.head and not self._framed()
                    answer.end = "clean" if whole else "cut"
                break
            answer.raw += data
            answer.arrivals.append((time.monotonic(), len(data)))
            self._parse()
        return answer

    def _framed(self):
        keys = [key for key, _ in self.answer.headers]
        return "content-length" in keys or "transfer-encoding" in keys

    def _parse(self):
        answer = self.answer
        head, found, rest = answer.raw.partition(b"\r\n\r\n")
        if not found:
            return
        if answer.head is None:
            answer.head = head
            lines = head.decode("latin-1").split("\r\n")
            answer.status = int(lines[0].split(" ")[1])
            pairs = (line.partition(":") for line in lines[1:])
            answer.headers = [(name.lower(), value.strip()) for name, _, value in pairs]
        if answer.header("transfer-encoding") == "chunked":
            answer.body, ended = dechunk(rest)
        elif answer.header("content-length") is not None:
            answer.body = rest
            ended = len(rest) == int(answer.header("content-length"))
        else:
            answer.body, ended = rest, False
        if ended:
            answer.end = "clean"


def dechunk(rest):
    """The body so far, and whether its last chunk has come."""
    body = b""
    while True:
        line, found, after = rest.partition(b"\r\n")
        if not found:
            return body, False
        size = int(line.split(b";")[0], 16)
        if size == 0:
            return body, after.startswith(b"\r\n")
        body += after[:size]
        if len(after) < size + 2:
            return body, False
        assert after[size : size + 2] == b"\r\n", "a chunk does not end where it says"
        rest = after[size + 2 :]


def request(address, path, body=None, method="POST", headers=(), host=None):
    """The bytes of a request; `body` may be bytes or something to write as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"host: {host or address}"]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def send(address, *arguments, **keywords):
    """Sends one request and reads the whole answer."""
    with Exchange(address, request(address, *arguments, **keywords)) as exchange:
        return exchange.read()


def conversation(protocol, scenario, stream=True, **more):
    """A request body that asks the provider for a scenario."""
    body = {
        "model": f"scripted:{scenario}",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "List the files, please."}],
        "tools": words.tools(protocol),
        **more,
    }
    if protocol == "openai" and scenario.startswith("two_choices"):
        body["n"] = 2
    if stream:
        body["stream"] = True
    return body


def client_headers(protocol):
    """What the SDKs send beside the body."""
    if protocol == "anthropic":
        return [("x-api-key", "dummy-client-key"), ("anthropic-version", "2023-06-01")]
    return [("authorization", "Bearer dummy-client-key")]


def ask(door, scenario, stream=True, **more):
    """Asks for a scenario through a door and reads the whole answer."""
    body = conversation(door.protocol, scenario, stream, **more)
    return send(door.address, door.messages_path(), body, headers=client_headers(door.protocol))


def ask_directly(provider, protocol, scenario, stream=True, **more):
    """The same from the provider itself."""
    path = "/v1/messages" if protocol == "anthropic" else "/v1/chat/completions"
    body = conversation(protocol, scenario, stream, **more)
    return send(provider.host, path, body, headers=client_headers(protocol))
