"""Minutes of queries and changes on one kdns: ``python -m bench.soak`` says what is lost, stale or growing.

Each change is followed until the server answers by it, and looked at again when it may no longer be wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.rdatatype

from bench import cluster, dnsperf, packets, servers
from bench.changes import Changes, Check
from bench.cluster import SMALL
from bench.lab import OUTSIDE, OUTSIDE_NAMES, Lab
from bench.load import Load
from bench.rows.churn import Churn
from bench.servers import Server

_UDP_RATE: Final = 1900
_TCP_RATE: Final = 100
_CHANGES: Final = 100
_CHURNS: Final = 2
"""Each has two writers, so that a slow reply of the API server does not lower the rate."""
_FRESH: Final = 2.0
"""Seconds after the API server's reply from which an answer must be right."""
_GIVE_UP: Final = 30.0
_TICK: Final = 0.005
_FILES: Final = 3
_ROUND: Final = 60.0
"""Seconds of one load program, which has a file of its own."""
_MEMORY_EVERY: Final = 20.0
_MEBIBYTE: Final = 1024 * 1024
_SHOWN: Final = 20
"""Lines of each kind of complaint."""
_METRICS: Final = ("kdns_reply_cache", "kdns_dropped", "coredns_panics")


class Checker:
    """Asks the server for what changed, in a thread, from ``with`` to its end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._waiting: list[Check] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.delays: list[float] = []
        """Seconds from the API server's reply to the first right answer."""
        self.wrong: list[str] = []
        """Answers that were wrong after ``_FRESH``."""
        self.unanswered = 0
        self.looks = 0

    def add(self, check: Check) -> None:
        with self._lock:
            self._waiting.append(check)

    def __enter__(self) -> Checker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + 2 * _FRESH
        while self._waiting and time.monotonic() < deadline:
            time.sleep(_TICK)
        self._end.set()
        self._thread.join(10)
        self.wrong += [f"never looked at again: {check}" for check in self._waiting]

    def _run(self) -> None:
        with servers.connected(self._port, _TICK) as client:
            asked: dict[int, tuple[Check, float]] = {}
            last = 0
            while not self._end.is_set():
                now = time.monotonic()
                for ident in [ident for ident, (_, sent) in asked.items() if sent < now - 1]:
                    check, _ = asked.pop(ident)
                    check.asked = False
                    self.unanswered += 1
                with self._lock:
                    due = [c for c in self._waiting if not c.asked and c.next_look <= now]
                for check in due:
                    last = last + 1 & 0xFFFF
                    check.asked = True
                    asked[last] = check, now
                    client.send(last.to_bytes(2, "big") + _query(check)[2:])
                self._receive(client.recv, asked, now + _TICK)

    def _receive(
        self, receive: Callable[[int], bytes], asked: dict[int, tuple[Check, float]], until: float
    ) -> None:
        while (left := until - time.monotonic()) > 0:
            if not asked:
                time.sleep(left)
                return
            try:
                reply = receive(65535)
            except TimeoutError:
                return
            check, sent = asked.pop(int.from_bytes(reply[:2], "big"), (None, 0.0))
            if check is not None:
                check.asked = False
                self._judge(check, reply, sent)

    def _judge(self, check: Check, reply: bytes, sent: float) -> None:
        self.looks += 1
        now = time.monotonic()
        found = _answers(reply)
        right = found[1] == check.answers and check.rcode in {"", found[0]}
        late = sent - check.since > _FRESH
        if right and not check.was_right:
            check.was_right = True
            self.delays.append(now - check.since)
            check.next_look = check.since + _FRESH + 0.1
        elif not right:
            check.next_look = now + 2 * _TICK
            if late and not check.reported:
                check.reported = True
                form = "plain" if check.is_plain else "cookie"
                seen = "right before" if check.was_right else "never right"
                self.wrong.append(
                    f"{now - check.since:.2f} s ({form}, {seen}): {check} but {found}"
                )
        if (right and late) or now - check.since > _GIVE_UP:
            with self._lock:
                self._waiting.remove(check)
            check.done()


def _query(check: Check) -> bytes:
    """As the load asks, so that it would be answered from the cache; or as nobody did."""
    name = packets.wire(check.name)
    check.is_plain = random.random() < 0.5
    if check.is_plain:
        return packets.message(name, check.rtype)
    return packets.message(
        packets.mixed_case(name), check.rtype, packets.opt(cookie=packets.cookie())
    )


def _answers(reply: bytes) -> tuple[str, frozenset[str]]:
    """The RCODE, and the data of the answer; of SRV records the target."""
    try:
        message = dns.message.from_wire(reply)
    except dns.exception.DNSException as error:
        return f"{error!r}", frozenset()
    found = frozenset(
        str(data).rpartition(" ")[2].lower() for rrset in message.answer for data in rrset
    )
    return message.rcode().name, found


# ---- the load


def _messages(names: Sequence[str]) -> Iterator[bytes]:
    """Three parts of what Pods query, one of what changes."""
    mix = packets.mix(int(_UDP_RATE * _ROUND), OUTSIDE, OUTSIDE_NAMES)
    for at, query in enumerate(mix):
        if at % 4:
            yield query
            continue
        name = packets.wire(random.choice(names))
        rtype = random.choice((packets.A, packets.A, packets.AAAA))
        if at % 8:
            yield packets.message(
                packets.mixed_case(name), rtype, packets.opt(cookie=packets.cookie())
            )
        else:
            yield packets.message(name, rtype)


class Sending:
    """The load, by programs that follow each other, in a thread, from ``with`` to its end."""

    def __init__(self, lab: Lab, server: Server, names: Sequence[str], seconds: float) -> None:
        self._lab, self._server, self._seconds = lab, server, seconds
        self._files = [packets.write(lab.path("mix"), _messages(names)) for _ in range(_FILES)]
        lines = [(name, "A") for name in (*names, *cluster.names("svc", SMALL.services))]
        random.shuffle(lines)
        self._tcp = dnsperf.write(lab.path("tcp"), lines)
        self.sent = self.lost = self.tcp_answered = self.tcp_lost = 0
        self.rcodes: Counter[str] = Counter()
        self.p99: list[float] = []
        self.longest = 0.0
        self._threads = [
            threading.Thread(target=f, daemon=True) for f in (self._over_udp, self._over_tcp)
        ]

    def __enter__(self) -> Sending:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(self._seconds + 30)

    def _over_udp(self) -> None:
        end, turn = time.monotonic() + self._seconds, 0
        while (left := end - time.monotonic()) > 1:
            path = self._files[turn % _FILES]
            result = self._lab.send(Load(path, min(_ROUND, left), _UDP_RATE), self._server)
            self.sent += result.sent
            self.lost += result.sent - result.answered
            self.rcodes.update(result.rcodes)
            self.p99.append(result.p99 / 1e3)
            self.longest = max(self.longest, result.longest / 1e3)
            turn += 1

    def _over_tcp(self) -> None:
        load = dnsperf.Load(self._tcp, ("-m", "tcp", "-c", "5"), self._seconds, _TCP_RATE)
        result = dnsperf.run(load, self._server.port)
        self.tcp_answered, self.tcp_lost = result.answered, result.lost


# ---- the report


def _quantiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    shown = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
    parts = [f"{n} {ordered[int(q * len(ordered))] * 1e3:.0f}" for n, q in shown.items()]
    return ", ".join([*parts, f"worst {ordered[-1] * 1e3:.0f} ms"])


def _soak(lab: Lab, minutes: float) -> int:
    lab.grow(SMALL)
    server, _ = lab.start("kdns", "kubeadm")
    checker = Checker(server.port)
    changes = Changes(lab.plane.api, checker.add)
    sending = Sending(lab, server, changes.names, minutes * 60)
    lab.say("soaking")
    with ExitStack() as stack:
        stack.enter_context(checker)
        stack.enter_context(sending)
        for _ in range(_CHURNS):
            stack.enter_context(Churn(changes.change, _CHANGES // _CHURNS))
        stack.enter_context(changes.namespaces())
        memory = _watch_memory(lab, server, checker, minutes * 60)
        rate = changes.done.total() / minutes / 60
    log = server.process.log.read_text().splitlines()
    complaints = [line for line in log if not line.startswith("[INFO]")]
    print(f"queries over UDP: {sending.sent:,}, {sending.lost} lost; {dict(sending.rcodes)}")
    print(f"queries over TCP: {sending.tcp_answered:,}, {sending.tcp_lost} lost")
    print(f"latency: p99 by round {sending.p99} ms, longest {sending.longest:.0f} ms")
    print(f"changes: {rate:.1f}/s, {dict(changes.done)}, refused {changes.refused}")
    print(f"fresh after: {_quantiles(checker.delays)}, of {len(checker.delays):,} answers")
    print(f"checks: {checker.looks:,}, {checker.unanswered} unanswered, {len(checker.wrong)} wrong")
    print(*checker.wrong[:_SHOWN], sep="\n")
    print("PSS in MiB:", " ".join(f"{mebibytes:.1f}" for mebibytes in memory))
    print("log:", *complaints[:_SHOWN], sep="\n")
    metrics = servers.http_text(f"http://127.0.0.1:{server.metrics_port}/metrics").splitlines()
    print(*(line for line in metrics if line.startswith(_METRICS)), sep="\n")
    server.stop()
    return int(bool(checker.wrong or sending.lost or sending.tcp_lost or complaints))


def _watch_memory(lab: Lab, server: Server, checker: Checker, seconds: float) -> list[float]:
    """Proportional set size in MiB, each ``_MEMORY_EVERY`` seconds."""
    found: list[float] = []
    started = time.monotonic()
    while (left := started + seconds - time.monotonic()) > 0:
        found.append(server.pss_bytes() / _MEBIBYTE)
        lab.say(f"{found[-1]:.1f} MiB, {len(checker.delays)} fresh, {len(checker.wrong)} wrong")
        time.sleep(min(_MEMORY_EVERY, left))
    return found


def main() -> int:
    """Return 0 when nothing was lost or stale."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8, help="of load and changes (8)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kdns-soak-") as folder:
        lab = Lab(Path(folder), 1, 1, servers.kdns())
        try:
            return _soak(lab, options.minutes)
        finally:
            lab.close()


if __name__ == "__main__":
    sys.exit(main())
