"""A name server of our own: over UDP, and over TCP for what is too long for that. It remembers every question."""

import collections
import ipaddress
import socket
import struct
import threading
import time

A, CNAME, AAAA = 1, 5, 28
NXDOMAIN, SERVFAIL = 3, 2


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def record(name, kind, value):
    data = wire(value) if kind == CNAME else ipaddress.ip_address(value).packed
    return wire(name) + struct.pack("!HHIH", kind, 1, 0, len(data)) + data


class NameServer:
    """Answers by `zone(name, kind, times)`: a response code and records `(name, kind, value)`, or None for silence. `times` is how
    often this name was asked for this kind before."""

    def __init__(self, zone, address="127.0.0.1"):
        self.zone = zone
        self.asked = []
        self._times = collections.Counter()
        self._lock = threading.Lock()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, 53))
        self._tcp = socket.create_server((address, 53))
        threading.Thread(target=self._datagrams, daemon=True).start()
        threading.Thread(target=self._connections, daemon=True).start()

    def names(self):
        """Every name that was asked for, in order."""
        with self._lock:
            return [name for name, _ in self.asked]

    def forget(self):
        with self._lock:
            self.asked.clear()

    def _datagrams(self):
        while True:
            question, client = self._udp.recvfrom(4096)
            threading.Thread(target=self._datagram, args=(question, client), daemon=True).start()

    def _datagram(self, question, client):
        answer = self._answer(question, 512)
        if answer is not None:
            self._udp.sendto(answer, client)

    def _connections(self):
        while True:
            connection, _ = self._tcp.accept()
            threading.Thread(target=self._connection, args=(connection,), daemon=True).start()

    def _connection(self, connection):
        with connection, connection.makefile("rb") as reader:
            while length := reader.read(2):
                answer = self._answer(reader.read(int.from_bytes(length)), 65535, again=True)
                if answer is None:
                    time.sleep(60)
                    return
                connection.sendall(len(answer).to_bytes(2) + answer)

    def _answer(self, question, room, again=False):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii", "replace"))
            at += 1 + question[at]
        name, kind = ".".join(labels).lower(), int.from_bytes(question[at + 1 : at + 3])
        with self._lock:
            times = self._times[name, kind]
            # Asked again because it did not fit is the same question.
            if not again:
                self.asked.append((name, kind))
                self._times[name, kind] += 1
        found = self.zone(name, kind, times)
        if found is None:
            return None
        code, records = found
        body = b"".join(record(*one) for one in records)
        head = question[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        whole = head + question[12 : at + 5] + body
        if len(whole) <= room:
            return whole
        return question[:2] + struct.pack("!HHHHH", 0x8780 | code, 1, 0, 0, 0) + question[12 : at + 5]
