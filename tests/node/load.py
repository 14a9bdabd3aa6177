"""Asks for a name over UDP at a steady rate, run inside a Pod: ``load.py SERVER SECONDS RATE fresh|kept``.

``fresh``: a new socket for each question, as C libraries ask. ``kept``: ten sockets for the whole time, whose
addresses and ports stay, so that kube-proxy's conntrack entries do. One try of five seconds for each
question. Prints a line of JSON: asked, lost, wrong (an answer without the address), worst (ms), and by
second of the run how many were lost that were asked in it.
"""

import contextlib
import json
import queue
import socket
import struct
import sys
import threading
import time
from collections import Counter

NAME = "kubernetes.default.svc.cluster.local"
TIMEOUT = 5.0
ASKERS = 128
KEPT = 10


def question(number: int) -> bytes:
    name = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
    return struct.pack("!6H", number & 0xFFFF, 0x100, 1, 0, 0, 0) + name + b"\0\0\1\0\1"


class Tally:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lost_in: Counter[int] = Counter()
        self.began = time.monotonic()
        self.worst = 0.0
        self._lock = threading.Lock()

    def answered(self, reply: bytes, seconds: float) -> None:
        with self._lock:
            self.counts["wrong" if reply[3] & 15 or reply[7] == 0 else "right"] += 1
            self.worst = max(self.worst, seconds)

    def lost(self, asked: float) -> None:
        with self._lock:
            self.counts["lost"] += 1
            self.lost_in[int(asked - self.began)] += 1


def ask_fresh(server: str, numbers: "queue.Queue[int | None]", tally: Tally) -> None:
    while (number := numbers.get()) is not None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(TIMEOUT)
            start = time.monotonic()
            try:
                asking.connect((server, 53))
                asking.send(question(number))
                tally.answered(asking.recv(512), time.monotonic() - start)
            except OSError:
                tally.lost(start)


class Kept:
    """A socket for many questions at once; answers are told apart by their ID."""

    def __init__(self, server: str, tally: Tally) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((server, 53))
        self.socket.settimeout(0.5)
        self.tally = tally
        self.waiting: dict[int, float] = {}
        self.ended = False

    def send(self, number: int) -> None:
        self.waiting[number & 0xFFFF] = time.monotonic()
        # An ICMP error for an earlier question; this one stays unanswered and counts as lost.
        with contextlib.suppress(OSError):
            self.socket.send(question(number))

    def receive(self) -> None:
        while not self.ended:
            try:
                reply = self.socket.recv(512)
            except OSError:
                continue
            sent = self.waiting.pop(struct.unpack("!H", reply[:2])[0], None)
            if sent is None:
                continue
            took = time.monotonic() - sent
            if took < TIMEOUT:
                self.tally.answered(reply, took)
            else:
                self.tally.lost(sent)


def fresh(server: str, seconds: float, rate: float, tally: Tally) -> int:
    numbers: queue.Queue[int | None] = queue.Queue()
    askers = [
        threading.Thread(target=ask_fresh, args=(server, numbers, tally)) for _ in range(ASKERS)
    ]
    for asker in askers:
        asker.start()
    asked = pace(seconds, rate, numbers.put)
    for _ in askers:
        numbers.put(None)
    for asker in askers:
        asker.join()
    return asked


def kept(server: str, seconds: float, rate: float, tally: Tally) -> int:
    sockets = [Kept(server, tally) for _ in range(KEPT)]
    readers = [threading.Thread(target=each.receive) for each in sockets]
    for reader in readers:
        reader.start()
    asked = pace(seconds, rate, lambda number: sockets[number % KEPT].send(number))
    time.sleep(TIMEOUT)
    for each in sockets:
        each.ended = True
    for reader in readers:
        reader.join()
    for each in sockets:
        for sent in each.waiting.values():
            tally.lost(sent)
    return asked


def pace(seconds: float, rate: float, ask) -> int:  # type: ignore[no-untyped-def]
    start, number = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        while number < passed * rate:
            ask(number)
            number += 1
        time.sleep(0.002)
    return number


def main() -> None:
    server, seconds, rate, how = sys.argv[1:]
    tally = Tally()
    asked = (kept if how == "kept" else fresh)(server, float(seconds), float(rate), tally)
    figures = {"asked": asked, "lost": tally.counts["lost"], "wrong": tally.counts["wrong"]}
    worst = {"worst": round(tally.worst * 1000)}
    print(json.dumps({**figures, **worst, "lost in": dict(sorted(tally.lost_in.items()))}))


if __name__ == "__main__":
    main()
