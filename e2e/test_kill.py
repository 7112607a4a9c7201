"""The kill switch: in-flight streams stop, and end as their protocol ends; nothing new gets through."""

import json
import threading
import time

import pytest
from harness import wire


class Follower(threading.Thread):
    """Reads an endless stream until it ends, and remembers when it did."""

    def __init__(self, door, scenario="endless"):
        super().__init__(daemon=True)
        body = wire.conversation(door.protocol, scenario)
        raw = wire.request(door.address, door.messages_path(), body, headers=wire.client_headers(door.protocol))
        self.exchange = wire.Exchange(door.address, raw)
        self.flowing = threading.Event()
        self.ended = None

    def run(self):
        try:
            self.exchange.read(until=self._watch)
        except OSError:
            return  # closed by the test itself
        self.ended = time.monotonic()

    def _watch(self, answer):
        if answer.body.count(b"and on") > 3:
            self.flowing.set()
        return False


def follow(door, count=3):
    followers = [Follower(door) for _ in range(count)]
    for follower in followers:
        follower.start()
    for follower in followers:
        assert follower.flowing.wait(10), "the stream does not flow"
    return followers


def ended(followers, since):
    """All have ended; the longest time it took after `since`."""
    for follower in followers:
        follower.join(10)
        assert follower.ended is not None, "the stream goes on"
        follower.exchange.close()
    return max(follower.ended for follower in followers) - since


def ends_as_the_protocol(answer, protocol):
    assert answer.end == "clean", "the chunked body has its end"
    name, data = answer.events()[-1]
    if protocol == "anthropic":
        assert name in ("error", "message_stop")
    elif data != "[DONE]":
        assert "error" in json.loads(data)


def refuses(door):
    answer = wire.ask(door, "text")
    assert answer.status == 403
    assert "kill" in answer.body.decode().lower()


def test_the_kill_file_stops_streams(own_door):
    followers = follow(own_door)
    file = own_door.home / ".doorward" / "kill"
    begin = time.monotonic()
    file.write_text("")
    took = ended(followers, begin)
    print(f"streams ended {took * 1000:.0f} ms after the file appeared")
    assert took < 1.0
    for follower in followers:
        ends_as_the_protocol(follower.exchange.answer, own_door.protocol)
    own_door.provider.await_end("client_closed", 3)
    refuses(own_door)
    file.unlink()
    deadline = time.monotonic() + 2
    while wire.ask(own_door, "text").status != 200:
        assert time.monotonic() < deadline, "it stays killed without the file"
        time.sleep(0.02)


def test_the_kill_command_stops_streams_and_resume_lets_go(own_door):
    followers = follow(own_door)
    begin = time.monotonic()
    own_door.command("kill", "--all")
    took = ended(followers, begin)
    print(f"streams ended {took * 1000:.0f} ms after the command began")
    assert took < 1.0
    refuses(own_door)
    own_door.command("resume", "--all")
    assert wire.ask(own_door, "text").status == 200
    assert own_door.command("receipts", "verify").returncode == 0


def test_a_kill_outlives_a_restart(own_door):
    own_door.command("kill", "--all")
    own_door.kill_9()
    own_door.start()
    refuses(own_door)
    own_door.stop()
    own_door.command("resume", "--all")
    own_door.start()
    assert wire.ask(own_door, "text").status == 200


def test_an_empty_file_of_nobody_stops_nobody(own_door):
    """Lines name agents; an agent that does not exist stops no other one."""
    followers = follow(own_door, 1)
    (own_door.home / ".doorward" / "kill").write_text("somebody-else\n")
    time.sleep(0.5)
    assert followers[0].ended is None
    followers[0].exchange.close()


@pytest.mark.parametrize("verb", ["kill", "resume"])
def test_the_agents_token_cannot_steer(own_door, verb):
    """Acts of a person need a credential that the agent does not have."""
    for headers in ([], [("authorization", f"Bearer {own_door.token}")]):
        for path in (f"/{verb}", f"/v1/{verb}", f"/t/{own_door.token}/{verb}"):
            answer = wire.send(f"127.0.0.1:{own_door.control}", path, {"all": True}, headers=headers)
            assert answer.status in (401, 403, 404, 405), path
    assert wire.ask(own_door, "text").status == 200
