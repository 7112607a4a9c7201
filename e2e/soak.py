"""A steady load for an hour: does memory stay flat, is every answer what it should be, is every receipt there?

    cargo xtask soak [--minutes N] [--rate N] [--seed N] [--json FILE]

Three doors, one for each protocol, stand in front of the scripted provider. Requests arrive at a fixed rate,
whatever became of those before: JSON and streams, text, calls released and blocked, errors, broken upstreams,
clients that go away in the middle, clients that read slowly, requests that must be refused.

What is bounded is filled to its bound first (a session remembers 16,384 content blocks), so that whatever still
grows afterwards has no bound. Memory is sampled every five seconds. After a warm-up (a fifth of the run, at most
ten minutes) the rest is cut into four windows; the median of the last may exceed the median of the first by
4 MiB + 3 % at most. Medians, because single samples contain whatever is in flight: a slow client of a large
reply alone is worth 1 MiB. 4 MiB in three quarters of an hour at 20 requests a second is 80 bytes a request: the
smallest thing that is kept for each request by mistake, an id in a map, is larger.

At the end every door must have the file descriptors it had before, give or take two, the log must verify, and
every receipt that a client was told about must be in it; what was opened must be closed.
"""

import argparse
import collections
import json
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import wire, words  # noqa: E402
from harness.door import Door  # noqa: E402
from harness.provider import Provider  # noqa: E402

SAMPLE = 5.0
ALLOWED_BYTES, ALLOWED_SHARE = 4 << 20, 0.03
# More at once than the rate ever needs; if they are all busy, the doors have stopped answering.
MOST_AT_ONCE = 200

GEMINI_TOOLS = [
    {
        "functionDeclarations": [
            {"name": tool["name"], "description": tool["description"], "parametersJsonSchema": tool["input_schema"]}
            for tool in words.tools("anthropic")
        ]
    }
]
RESPONSES_TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in ("Bash", "get_weather", "list_files")
]


class Dialect:
    """How one dialect asks for a scenario."""

    def __init__(self, name, door):
        self.name, self.door = name, door

    def path(self, stream):
        if self.name == "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"{self.door.path}/v1beta/models/gemini-scripted:{verb}"
        if self.name == "responses":
            return f"{self.door.path}/responses"
        return self.door.messages_path()

    def headers(self):
        if self.name == "gemini":
            return [("x-goog-api-key", "dummy-client-key")]
        return wire.client_headers("anthropic" if self.name == "anthropic" else "openai")

    def body(self, scenario, stream, said):
        """A request whose user has said this before."""
        if self.name == "gemini":
            contents = [{"role": "user", "parts": [{"text": text}]} for text in [*said, f"scripted:{scenario}"]]
            return {"contents": contents, "tools": GEMINI_TOOLS}
        messages = [{"role": "user", "content": text} for text in [*said, "List the files, please."]]
        if self.name == "responses":
            more = {"stream": True} if stream else {}
            return {"model": f"scripted:{scenario}", "input": messages, "tools": RESPONSES_TOOLS, **more}
        return wire.conversation(self.name, scenario, stream, messages=messages)

    def request(self, scenario, stream, said=(), path=None, body=None):
        body = self.body(scenario, stream, said) if body is None else body
        return wire.request(self.door.address, path or self.path(stream), body, headers=self.headers())


def clean(answer, *statuses):
    assert answer.status in statuses, f"status {answer.status}, expected {statuses}: {answer.body[:300]!r}"
    assert answer.end == "clean", f"ended {answer.end} after {len(answer.body)} bytes"
    for poison in words.POISON:
        assert poison not in answer.body, "part of a blocked call came out"


# --- what a client does


def passes(scenario):
    """The reply passes."""

    def act(dialect, numbers):
        stream = numbers.random() < 0.7
        split = numbers.choice(["", "", ";split=7", ";every=64"])
        with wire.Exchange(dialect.door.address, dialect.request(scenario + split, stream, say(numbers))) as exchange:
            answer = exchange.read()
        clean(answer, 200)
        if scenario in ("text", "text_tool", "one_bad"):
            assert b"Hello" in answer.body or stream, "the text is not there"
        return answer

    act.__name__ = scenario
    return act


def errors(status):
    """The provider's own error passes with its status."""

    def act(dialect, numbers):
        scenario = f"error_{status}"
        with wire.Exchange(dialect.door.address, dialect.request(scenario, numbers.random() < 0.5)) as exchange:
            answer = exchange.read()
        clean(answer, status)
        return answer

    act.__name__ = f"error {status}"
    return act


def broken(scenario):
    """A reply that must be refused: before byte one by status, after it inside the stream."""

    def act(dialect, numbers):
        with wire.Exchange(dialect.door.address, dialect.request(scenario, numbers.random() < 0.7)) as exchange:
            answer = exchange.read()
        clean(answer, 200, 502)
        assert b"error" in answer.body, "a broken reply was not refused"
        return answer

    act.__name__ = f"broken: {scenario}"
    return act


def goes_away(dialect, numbers):
    """The client leaves in the middle of a stream: after the head, after some bytes, with a reset or without."""
    with wire.Exchange(dialect.door.address, dialect.request("text;delay=30", True)) as exchange:
        most = numbers.choice([1, 400, 1200])
        answer = exchange.read(until=lambda answer: answer.head and len(answer.raw) > most)
        assert answer.status == 200, f"status {answer.status}"
        if numbers.random() < 0.5:
            exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return answer


def leaves_early(dialect, numbers):
    """The client leaves before it has said everything."""
    request = dialect.request("tool", True)
    with wire.Exchange(dialect.door.address, request[: len(request) - numbers.randrange(1, 400)]):
        time.sleep(numbers.random() / 5)


def reads_slowly(dialect, numbers):
    """A large reply to a client with a small window that takes its time: the door must not buffer it all."""
    with wire.Exchange(dialect.door.address, dialect.request("huge", True)) as exchange:
        exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        for _ in range(numbers.randrange(10, 40)):
            exchange.answer.raw += exchange.socket.recv(8192)
            time.sleep(0.1)
        answer = exchange.read()
    clean(answer, 200)
    return answer


def long_history(dialect, numbers):
    """A conversation that is sent again and again, one turn longer each time, as agents do."""
    said = say(numbers)
    for _ in range(5):
        said += say(numbers)
        with wire.Exchange(dialect.door.address, dialect.request("tool", True, said)) as exchange:
            answer = exchange.read()
        clean(answer, 200)
    return answer


def refused(what, status, **request):
    """A request that goes nowhere."""

    def act(dialect, _):
        path, body = request.get("path"), request.get("body")
        path = path(dialect) if path else None
        with wire.Exchange(dialect.door.address, dialect.request("text", True, path=path, body=body)) as exchange:
            answer = exchange.read()
        clean(answer, status)
        return answer

    act.__name__ = f"refused: {what}"
    return act


def say(numbers):
    """Something nobody has said before."""
    return [f"Note {numbers.getrandbits(64):x}: the tests pass, the build is green."]


# What happens, and how often.
MIX = [
    (14, passes("text")),
    (14, passes("tool")),
    (6, passes("text_tool")),
    (6, passes("parallel")),
    (4, passes("world")),
    (10, passes("one_evil")),
    (6, passes("one_bad")),
    (4, passes("all_bad")),
    (3, passes("undeclared")),
    (6, errors(429)),
    (2, errors(500)),
    (3, broken("truncated")),
    (2, broken("invalid_utf8")),
    (2, broken("html")),
    (5, goes_away),
    (2, leaves_early),
    (2, reads_slowly),
    (3, long_history),
    (2, refused("token", 401, path=lambda d: d.path(True).replace(d.door.token, "x" * 20))),
    (2, refused("not JSON", 400, body=b'{"model": ')),
]


# --- what is measured


def memory(process):
    """Resident bytes of a process, files of its own binary and data not counted."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["RssAnon"].split()[0]) << 10


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def threads(process):
    return len(os.listdir(f"/proc/{process.pid}/task"))


def settled(process, most, seconds):
    """The fewest descriptors a process comes down to, waiting until there are `most`."""
    deadline, fewest = time.monotonic() + seconds, descriptors(process)
    while fewest > most and time.monotonic() < deadline:
        time.sleep(1)
        fewest = min(fewest, descriptors(process))
    return fewest


class Soak:
    """The doors, the load and what was seen."""

    def __init__(self, options, provider, doors):
        self.options, self.provider, self.doors = options, provider, doors
        by_protocol = {door.protocol: door for door in doors}
        self.dialects = [
            Dialect("anthropic", by_protocol["anthropic"]),
            Dialect("openai", by_protocol["openai"]),
            Dialect("responses", by_protocol["openai"]),
            Dialect("gemini", by_protocol["gemini"]),
        ]
        self.lock = threading.Lock()
        self.done = collections.Counter()
        self.failures = []
        self.told = {door.protocol: set() for door in doors}
        self.busy = threading.Semaphore(MOST_AT_ONCE)
        self.samples = {door.protocol: [] for door in doors}

    def fill(self):
        """What is bounded, to its bound: the memory of a session."""
        for dialect in self.dialects:
            numbers = random.Random(dialect.name)
            for _ in range(9):
                said = [text for _ in range(2000) for text in say(numbers)]
                with wire.Exchange(dialect.door.address, dialect.request("text", True, said), 60) as exchange:
                    clean(exchange.read(), 200)

    def one(self, number):
        """One client."""
        numbers = random.Random(f"{self.options.seed}:{number}")
        dialect = numbers.choice(self.dialects)
        act = numbers.choices([act for _, act in MIX], [weight for weight, _ in MIX])[0]
        try:
            answer = act(dialect, numbers)
            receipt = answer.header("doorward-receipt") if answer is not None and answer.head else None
            with self.lock:
                self.done[act.__name__] += 1
                if receipt:
                    self.told[dialect.door.protocol].add(receipt)
        except Exception as error:
            with self.lock:
                self.failures.append(f"{dialect.name}, {act.__name__}, request {number}: {error!r}"[:600])
        finally:
            self.busy.release()

    def sample(self, begin, say_it):
        for door in self.doors:
            process = door.running.process
            assert process.poll() is None, f"the door of {door.protocol} has died\n{door.running.transcript()}"
            self.samples[door.protocol].append((time.monotonic() - begin, memory(process)))
        if say_it:
            state = ", ".join(
                f"{door.protocol} {self.samples[door.protocol][-1][1] / 2**20:.1f} MiB"
                f" {descriptors(door.running.process)} fd {threads(door.running.process)} threads"
                for door in self.doors
            )
            minutes = (time.monotonic() - begin) / 60
            print(f"{minutes:6.1f} min  {sum(self.done.values()):7} done, {len(self.failures)} failed;  {state}", flush=True)

    def run(self):
        """Requests at a fixed rate until time is up."""
        begin = time.monotonic()
        next_sample, next_line, number = begin, begin, 0
        while (now := time.monotonic()) < begin + 60 * self.options.minutes:
            if now >= next_sample:
                self.sample(begin, now >= next_line)
                next_line += 60 if now >= next_line else 0
                next_sample += SAMPLE
                # The provider keeps a log of requests for tests; here it would only grow.
                self.provider.forget()
            due = begin + number / self.options.rate
            if due > now:
                time.sleep(min(due - now, max(0.0, next_sample - now)))
                continue
            assert self.busy.acquire(timeout=60), "nothing was answered for a minute"
            threading.Thread(target=self.one, args=(number,), daemon=True).start()
            number += 1
            if len(self.failures) > 100:
                break
        for _ in range(MOST_AT_ONCE):
            assert self.busy.acquire(timeout=120), "some clients were never answered"

    def grown(self):
        """What each door's memory did: the medians of four windows, and whether that is too much."""
        warm = min(600.0, 60 * self.options.minutes / 5)
        for protocol, samples in self.samples.items():
            kept = [(at, value) for at, value in samples if at >= warm]
            length = (kept[-1][0] - warm) / 4
            windows = [[] for _ in range(4)]
            for at, value in kept:
                windows[min(3, int((at - warm) / length))].append(value)
            medians = [statistics.median(window) for window in windows]
            allowed = medians[0] + ALLOWED_BYTES + ALLOWED_SHARE * medians[0]
            yield protocol, medians, max(value for _, value in samples), medians[-1] <= allowed


def ledger(door, told):
    """What is wrong with a stopped door's log, and how many receipts it has."""
    problems = []
    verified = door.command("receipts", "verify", check=False, seconds=900)
    if verified.returncode != 0:
        problems.append(f"the log does not verify: {verified.stdout[-500:]}{verified.stderr[-500:]}")
    missing, opened, closed, count = set(told), set(), set(), 0
    exported = door.command("receipts", "export", "--json", seconds=900).stdout
    for line in exported.splitlines():
        receipt = json.loads(line)
        count += 1
        missing.discard(receipt["id"])
        if receipt["kind"] == "opened":
            opened.add(receipt["id"])
        elif receipt["kind"] == "outcome":
            closed.add(receipt.get("of"))
    if missing:
        problems.append(f"{len(missing)} receipts that clients were told about are missing, such as {min(missing)}")
    if opened - closed:
        problems.append(f"{len(opened - closed)} of {len(opened)} replies were opened and have no outcome")
    return problems, count


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second, over all doors (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="which requests, in which order")
    parser.add_argument("--json", type=Path, help="write the samples here")
    options = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory(prefix="doorward-soak-") as folder, Provider() as provider:
        doors = []
        try:
            for protocol in ("anthropic", "openai", "gemini"):
                home = Path(folder) / protocol
                home.mkdir()
                doors.append(Door(home, provider.url, protocol))
            soak = Soak(options, provider, doors)
            soak.fill()
            provider.forget()
            # Connections to the provider stay open for a while; the base is what is left after that.
            bases = {door.protocol: settled(door.running.process, 0, 20) for door in doors}
            try:
                soak.run()
            except AssertionError as error:
                problems.append(str(error))
            for door in doors:
                if door.running.process.poll() is None:
                    base = bases[door.protocol]
                    left = settled(door.running.process, base + 2, 150)
                    print(f"{door.protocol}: {base} descriptors before, {left} after")
                    if left > base + 2:
                        problems.append(f"{door.protocol}: {left - base} file descriptors were not closed")
            for protocol, medians, peak, fine in soak.grown():
                series = " ".join(f"{median / 2**20:.1f}" for median in medians)
                print(f"{protocol}: medians of four windows {series} MiB, peak {peak / 2**20:.1f} MiB")
                if not fine:
                    problems.append(f"{protocol}: memory grew from {medians[0]:.0f} to {medians[-1]:.0f} bytes")
            for name, count in sorted(soak.done.items()):
                print(f"{count:8} {name}")
            for failure in soak.failures[:20]:
                print(f"unexpected: {failure}")
            if soak.failures:
                problems.append(f"{len(soak.failures)} requests went otherwise than they should")
            if options.json:
                options.json.write_text(json.dumps(soak.samples))
        finally:
            for door in doors:
                door.stop()
        for door in doors:
            found, count = ledger(door, soak.told[door.protocol])
            print(f"{door.protocol}: {count} receipts, {len(soak.told[door.protocol])} told to clients")
            problems += [f"{door.protocol}: {problem}" for problem in found]
    print("\n".join(["", *(f"FAILED: {problem}" for problem in problems)]) if problems else "\nnothing to complain about")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
