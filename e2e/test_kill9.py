"""`kill -9` at any moment, again and again, under load: every response of which a client received the head
has its receipt, and the log verifies.

The receipt is the write-ahead log of the answer. If the firewall could send first and record later, this is
where it would show.
"""

import os
import random
import threading
import time

import pytest
from harness import wire
from harness.door import Door

CLIENTS = 4
# What the clients ask for in turn: streams long enough to be cut, short enough to end.
SCENARIOS = ["text;delay=1", "one_bad;delay=1", "tool", "text_all_bad;split=5", "error_429"]


class Client(threading.Thread):
    """Asks again and again until the door is gone; keeps the receipt id of every response it saw."""

    def __init__(self, door, offset):
        super().__init__(daemon=True)
        self.door = door
        self.offset = offset
        self.receipts = []
        self.whole = 0
        self.without = []

    def run(self):
        turn = self.offset
        while True:
            scenario = SCENARIOS[turn % len(SCENARIOS)]
            turn += 1
            body = wire.conversation(self.door.protocol, scenario)
            raw = wire.request(
                self.door.address,
                self.door.messages_path(),
                body,
                headers=wire.client_headers(self.door.protocol),
            )
            try:
                with wire.Exchange(self.door.address, raw, timeout=10) as exchange:
                    answer = exchange.read()
            except OSError:
                return
            if answer.head is not None:
                receipt = answer.header("doorward-receipt")
                if receipt:
                    self.receipts.append(receipt)
                else:
                    self.without.append(answer.head)
            if answer.end != "clean":
                return
            self.whole += 1


@pytest.mark.timeout(0)
def test_every_response_survives_kill_9_with_its_receipt(provider, tmp_path, pytestconfig):
    rounds = pytestconfig.getoption("--rounds")
    seed = pytestconfig.getoption("--seed")
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"seed {seed} (to repeat: --seed {seed})")
    moments = random.Random(seed)
    received, whole, cut = [], 0, 0
    begin = time.monotonic()
    door = Door(tmp_path, provider.url, "anthropic", start=False)
    starts = []
    for number in range(rounds):
        starts.append(door.start())
        clients = [Client(door, offset + number) for offset in range(CLIENTS)]
        for client in clients:
            client.start()
        # Most moments are early, when the first answers are on their way.
        time.sleep(moments.expovariate(1 / 0.03))
        door.kill_9()
        for client in clients:
            client.join(20)
            assert not client.is_alive(), f"round {number}: a client hangs on a dead door"
            assert not client.without, f"round {number}: a response without a receipt: {client.without[0]!r}"
            received += client.receipts
            whole += client.whole
            cut += len(client.receipts) - client.whole
    took = time.monotonic() - begin
    starts.sort()
    print(
        f"{rounds} rounds in {took:.0f} s: {whole} whole and {cut} cut responses; "
        f"start {starts[len(starts) // 2] * 1000:.0f} ms median, {starts[-1] * 1000:.0f} ms at most"
    )
    # The load must have been there, or the test proves nothing.
    assert whole > rounds / 2 and cut > rounds / 4
    assert len(set(received)) == len(received), "two responses share a receipt"
    recorded = {receipt["id"] for receipt in door.receipts()}
    lost = [receipt for receipt in received if receipt not in recorded]
    assert not lost, f"{len(lost)} of {len(received)} received responses have no receipt: {lost[:5]}"
    verified = door.command("receipts", "verify", seconds=60 + rounds)
    print(verified.stdout.strip())
