"""No datagram gets a cached reply that it would not get without the cache, nor takes memory for ever.

A larger run by hand: ``KDNS_DATAGRAMS=1000000 KDNS_SEED=7 pytest tests/answers/test_any_datagram.py``.
"""

from __future__ import annotations

import asyncio
import gc
import os
import struct
import tracemalloc
from collections import deque
from random import Random
from typing import Final

import pytest

from kdns.answers.denials import Denials
from kdns.plugins.budget import Budget
from kdns.records.objects import Namespace, Object, Service
from tests.fakes.twins import Asked, Twins

DATAGRAMS: Final = int(os.environ.get("KDNS_DATAGRAMS", "6000"))
SEED: Final = int(os.environ.get("KDNS_SEED", "1"))

OBJECTS: Final[tuple[Object, ...]] = (
    Namespace("shop"),
    Namespace("store"),
    Service("shop", "web", cluster_ips=("10.0.0.1", "10.0.0.2")),
    Service("store", "web", headless=True),
)
COREFILE: Final = ". {\nloadbalance\nkubernetes cluster.local in-addr.arpa\n}"
ZONE: Final = b"\3svc\7cluster\5local\0"
LABELS: Final = (b"\3web", b"\7missing", b"\1*", b"\3any", b"\2ns", b"\1a", b"\x3f" + b"x" * 63)
NAMES: Final = (
    *(label + b"\4shop" + ZONE for label in LABELS),
    *(b"\3www" + label + b"\5store" + ZONE for label in LABELS),
    *(b"\0", b"\7cluster\5local\0", b"\0011\0010\0010\00210\7in-addr\4arpa\0"),
)
OPTIONS: Final = (
    b"",
    b"\0\x0a\0\x0812345678",
    b"\0\x0a\0\x101234567812345678",
    b"\0\3\0\0",
    b"\0\x0b\0\0",
    b"\0\3\0\0\0\x0a\0\x0812345678",
    b"\0\x0a\0\x0712345678",
    b"\0\x08\0\4\0\1\0\0",
    b"\xfd\xe9\0\1x",
)


@pytest.fixture(params=[True, False], ids=["reasons", "short reasons"])
def searches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether there is time for the search for what was meant."""
    monkeypatch.setattr(Budget, "allows", lambda self, now: request.param)
    return bool(request.param)


def usual(random: Random) -> bytes:
    """A well-formed query, mostly."""
    name = random.choice(NAMES)
    if random.random() < 0.2:
        name = name.upper()
    qtype, qclass = (
        random.choice((1, 1, 28, 33, 65, 255, 0, 0x0461)),
        random.choice((1,) * 7 + (3,)),
    )
    opt = b""
    if random.random() < 0.7:
        options = random.choice(OPTIONS)
        size, version = random.choice((0, 512, 1232, 65535)), random.choice((0,) * 9 + (1,))
        flags = random.choice((0, 0, 0x8000, 1))
        opt = struct.pack("!BHHBBHH", 0, 41, size, 0, version, flags, len(options)) + options
    bits = random.choice((0x0100, 0x0100, 0x0110, 0, 0x8100, 0x2800, 0x2000))
    count = random.choice((1,) * 9 + (2,))
    head = struct.pack("!HHHHHH", random.randrange(65536), bits, count, 0, 0, bool(opt))
    return head + name + struct.pack("!HH", qtype, qclass) + opt


def mutated(random: Random, data: bytes) -> bytes:
    """One with octets changed, put in, taken out, moved or cut off."""
    octets = bytearray(data)
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        at = random.randrange(len(octets) + 1)
        match random.randrange(6):
            case 0 if at < len(octets):
                octets[at] = random.choice(
                    (0, 1, 0x20, 0x3F, 0x40, 0xC0, 0xFF, random.randrange(256))
                )
            case 1 if at < len(octets):
                octets[at] ^= 1 << random.randrange(8)
            case 2:
                octets[at:at] = random.randbytes(random.choice((1, 2, 11)))
            case 3:
                del octets[at : at + random.choice((1, 2, 11))]
            case 4:
                start = random.randrange(len(octets) + 1)
                octets[at:at] = octets[start : start + random.randrange(1, 40)]
            case 5 if random.random() < 0.2:
                del octets[at:]
    return bytes(octets)


@pytest.mark.usefixtures("searches")
def test_no_datagram_gets_the_reply_to_another() -> None:
    async def check() -> None:
        random, hits = Random(SEED), 0
        server, recent = Twins(COREFILE, OBJECTS), deque[bytes](maxlen=40)
        for _ in range(DATAGRAMS):
            data = mutated(random, usual(random))
            if recent and random.random() < 0.5:
                data = random.choice(recent)
            recent.append(data)
            asked = Asked(data, random.choice(("udp", "udp", "tcp")))
            hits += await server.check(asked)
        assert hits > 300

    asyncio.run(check())


# ---- what a flood takes


def query(label: bytes, qtype: int = 1, opt: bytes | None = None) -> bytes:
    head = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, opt is not None)
    tail = b"" if opt is None else b"\0\0\x29\x04\xd0\0\0\0\0" + struct.pack("!H", len(opt)) + opt
    return (
        head + bytes((len(label),)) + label + b"\4shop" + ZONE + struct.pack("!HH", qtype, 1) + tail
    )


def flood(server: Twins, random: Random, count: int) -> None:
    """Random names, types and options, in two transports."""
    for at in range(count):
        label = b"%x" % random.getrandbits(random.choice((32, 64, 128, 240)))
        options = (None, b"", b"\xfd\xe9\0\2" + random.randbytes(2), b"\0\x0a\0\x08" + bytes(8))
        data = query(
            label, random.choice((1, 28, random.randrange(256, 1000))), random.choice(options)
        )
        server.address.ask(data, "tcp" if at % 4 else "udp")


@pytest.mark.usefixtures("searches")
def test_a_flood_takes_what_is_counted() -> None:
    """Counted is what Python takes, give or take; and nothing is left behind."""
    server, random = Twins(COREFILE, OBJECTS), Random(SEED)
    server.cache.max_octets, server.cache.free_octets = 1 << 22, 1 << 20
    server.cache.denials = Denials(1 << 20)
    flood(server, random, 500)  # with all that is made once
    server.cache.clear()
    gc.collect()
    tracemalloc.start()
    try:
        flood(server, random, 2000)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
        counted = server.cache.octets + server.cache.denials.octets
        server.cache.clear()
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert counted <= (1 << 22) + (1 << 20)
    assert taken <= 1.1 * counted + (1 << 18)
    assert counted <= 2 * taken + (1 << 18)
    assert left < 1 << 18


def test_denials_are_bounded_and_leave_nothing_behind() -> None:
    server, random = Twins(COREFILE, OBJECTS), Random(SEED)
    held = server.cache.denials = Denials(200_000)
    flood(server, random, 3000)
    assert held.octets <= 200_000 + 4000
    assert held.octets == sum(denial.octets for denial in held.entries.values())
    keys = {key for denial in held.entries.values() for key in denial.keys}
    assert held._dependents.keys() == keys
    assert len(keys) < 10, "keys of single names pile up"
    held.drop(keys)
    assert not held.entries
    assert held.octets == 0
    assert not held._dependents


@pytest.mark.usefixtures("searches")
def test_every_reply_is_counted_once() -> None:
    server, random = Twins(COREFILE, OBJECTS), Random(SEED)
    server.cache.denials = Denials(20_000)
    hits = asked = 0
    for _ in range(3000):
        label = random.choice((b"web", b"a", b"b", b"%x" % random.getrandbits(64)))
        data = query(
            label, random.choice((1, 28)), random.choice((None, b"", b"\0\x0a\0\x08" + bytes(8)))
        )
        asked += 1
        found = server.address.hit(data, random.choice(("udp", "tcp")))
        if found is None:
            server.address.responder.respond(data, "192.0.2.1", 5353, "udp", "127.0.0.1")
        else:
            hits += 1
        if random.random() < 0.01:
            server.changed(random.choice(([("ns", "shop")], [("svc", "shop", "web")])))
        if random.random() < 0.002:
            server.cache.clear()
    server.cache.report()
    assert server.cache.hits == hits
    total = sum(
        sample.value
        for metric in server.metrics.collect()
        for sample in metric.samples
        if sample.name == "coredns_dns_requests_total"
    )
    assert total == asked
