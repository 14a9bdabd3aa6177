"""A cached reply is the reply that would be made now, whatever the directives, queries and changes.

A larger run by hand: ``KDNS_EXAMPLES=300 pytest tests/answers/test_cached_is_fresh.py
--hypothesis-profile=search``.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins import chain, third_party
from kdns.plugins.budget import Budget
from kdns.records.objects import (
    Change,
    Endpoint,
    Gone,
    Import,
    Imported,
    Kind,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Put,
    Service,
    Slice,
)
from kdns.wire.constants import Class, Type
from kdns.wire.message import Transport
from kdns.wire.names import wire_from_text
from tests.answers.corefiles import COREFILES, EXCEPTIONS, FILES
from tests.fakes import twins
from tests.fakes.nameserver import NameServer
from tests.fakes.twins import Asked, Twins
from tests.plugins.test_third_party import blocks, install

EXAMPLES: Final = int(os.environ.get("KDNS_EXAMPLES", "6"))
"""Sequences of steps for each Corefile."""

# ---- what the cluster holds, and what happens to it

HTTP, DNS = Port("http", "tcp", 80), Port("dns", "udp", 53)


def _slice(name: str, *endpoints: Endpoint, service: str = "db", namespace: str = "shop") -> Slice:
    return Slice(namespace, name, service, endpoints, (HTTP, DNS))


def _endpoint(address: str, **fields: object) -> Endpoint:
    return Endpoint((address,), **fields)  # type: ignore[arg-type]


MANY: Final = tuple(_endpoint(f"10.2.0.{at}") for at in range(1, 41))

OBJECTS: Final[tuple[Object, ...]] = (
    Namespace("shop"),
    Namespace("store"),
    Service("shop", "web", cluster_ips=("10.0.0.1", "fd00::1"), ports=(HTTP, DNS)),
    Service("shop", "db", headless=True, ports=(HTTP,)),
    Service("shop", "many", headless=True, ports=(HTTP,)),
    Service("store", "db", cluster_ips=("10.0.0.2",), external_ips=("192.0.2.80",)),
    Service("shop", "out", external_name="www.up.test"),
    Service("shop", "in", external_name="web.shop.svc.cluster.local"),
    Service("shop", "zoned", external_name="a.zone.test"),
    _slice("s1", _endpoint("10.1.0.1", hostname="ep"), _endpoint("10.1.0.2", zone="a")),
    _slice("s2", *MANY, service="many"),
    Pod("shop", "p1", ("192.0.2.1",), False),
    Pod("store", "p2", ("192.0.2.77",), False),
    Node("n1", ("192.0.2.40",)),
)

NEW: Final[tuple[Object, ...]] = (
    Namespace("db"),
    Service("shop", "web", cluster_ips=("10.0.0.3",), ports=(DNS,)),
    Service("shop", "web", headless=True),
    Service("shop", "web", external_name="db.store.svc.cluster.local"),
    Service("shop", "new", cluster_ips=("10.0.0.4",), ports=(HTTP,)),
    Service("store", "new", cluster_ips=("10.0.0.5",), external_ips=("192.0.2.81",)),
    Service("store", "web", cluster_ips=("10.0.0.6",)),
    Service("db", "web", cluster_ips=("10.0.0.7",)),
    Service("shop", "www", cluster_ips=("10.0.0.8",)),
    Service("shop", "out", external_name="missing.up.test"),
    _slice("s1", _endpoint("10.1.0.1", hostname="ep", ready=False)),
    _slice("s1", _endpoint("10.1.0.3", hostname="ep2"), _endpoint("10.1.0.4", pod="ep")),
    _slice("s2", *MANY[:3], service="many"),
    _slice("s3", _endpoint("10.1.0.9"), service="new"),
    _slice("s4", _endpoint("10.1.0.9"), service="web", namespace="store"),
    Pod("store", "p1", ("192.0.2.1",), False),
    Pod("shop", "p1", ("192.0.2.3",), False),
    Node("n1", ("192.0.2.41",)),
    Import(Service("shop", "shared", cluster_ips=("10.9.0.1",), ports=(HTTP,))),
    Slice("shop", "i1", "", (_endpoint("10.9.1.1"),), (HTTP,), 0.0, Imported("shared", "east")),
)


def _gone(item: Object) -> Gone:
    match item:
        case Import(service):
            return Gone(Kind.IMPORT, service.namespace, service.name)
        case Namespace() | Node():
            return Gone(Kind[type(item).__name__.upper()], "", item.name)
        case Service() | Slice() | Pod():
            return Gone(Kind[type(item).__name__.upper()], item.namespace, item.name)


CHANGES: Final[tuple[Change, ...]] = (
    *map(Put, (*NEW, *OBJECTS)),
    *dict.fromkeys(map(_gone, (*NEW, *OBJECTS))),
)

# ---- queries

_NAMES: Final = """
. cluster.local svc.cluster.local shop.svc.cluster.local store.svc.cluster.local
db.svc.cluster.local web.shop.svc.cluster.local db.shop.svc.cluster.local
many.shop.svc.cluster.local new.shop.svc.cluster.local new.store.svc.cluster.local
db.store.svc.cluster.local out.shop.svc.cluster.local in.shop.svc.cluster.local
zoned.shop.svc.cluster.local missing.shop.svc.cluster.local missing2.shop.svc.cluster.local
*.shop.svc.cluster.local any.shop.svc.cluster.local m\\.x.shop.svc.cluster.local
missing.store.svc.cluster.local web.db.svc.cluster.local other.shop.svc.cluster.local
ww.shop.svc.cluster.local _http._tcp.web.shop.svc.cluster.local
_http._tcp.many.shop.svc.cluster.local _dns._udp.web.shop.svc.cluster.local
ep.db.shop.svc.cluster.local ep2.db.shop.svc.cluster.local 10-1-0-1.db.shop.svc.cluster.local
192-0-2-1.shop.pod.cluster.local 192-0-2-3.shop.pod.cluster.local ns.dns.cluster.local
dns-version.cluster.local 1.0.0.10.in-addr.arpa 3.0.0.10.in-addr.arpa 1.0.1.10.in-addr.arpa
1.0.2.10.in-addr.arpa 0.10.in-addr.arpa 1.0.0.127.in-addr.arpa shared.shop.svc.clusterset.local web
web.shop web.shop.svc new new.store db www.up.test.shop.svc.cluster.local
web.shop.svc.cluster.local.shop.svc.cluster.local a.zone.test b.zone.test x.wild.zone.test
missing.zone.test alias.zone.test zone.test a.auto.test auto.test host.lan node-one.lan added.lan
7.2.0.192.in-addr.arpa www.up.test v6.up.test cname.up.test missing.up.test many.up.test
template.test who.template.test localhost nothing.example db.store.example.org new.store.example.org
version.bind hello.example.org view.test old.test second.test id.server whoami.test fault.test
secondary.test a.secondary.test
"""
NAMES: Final = _NAMES.split()

HOT: Final = (
    "web.shop.svc.cluster.local",
    "missing.shop.svc.cluster.local",
    "new.shop.svc.cluster.local",
)
KINDS: Final = (
    *(Type.A, Type.AAAA, Type.SRV, Type.PTR, Type.TXT, Type.SOA, Type.NS, Type.ANY, Type.CNAME),
    *(Type.HTTPS, Type.MX),
)


def _opt(size: int = 1232, flags: int = 0, options: bytes = b"", version: int = 0) -> bytes:
    return struct.pack("!BHHBBHH", 0, 41, size, 0, version, flags, len(options)) + options


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


COOKIE: Final = _option(10, b"12345678")
OPTS: Final = {
    "none": b"",
    "usual": _opt(),
    "small": _opt(512),
    "large": _opt(65535),
    "DO": _opt(4096, 0x8000),
    "cookie": _opt(options=COOKIE),
    "server cookie": _opt(options=_option(10, b"8765432187654321")),
    "bad cookie": _opt(options=_option(10, b"1234567")),
    "NSID": _opt(options=_option(3, b"")),
    "NSID and cookie": _opt(options=_option(3, b"") + COOKIE),
    "two cookies": _opt(options=COOKIE + COOKIE),
    "client subnet": _opt(options=_option(8, b"\0\1\x18\0\xc0\0\2")),
    "keepalive": _opt(options=_option(11, b"")),
    "unknown": _opt(options=_option(65001, b"x")),
    "version 1": _opt(version=1),
}
CLIENTS: Final = ("192.0.2.1", "192.0.2.77", "198.51.100.9", "fd00::99", "127.0.0.1")


class Ask(Struct, frozen=True):
    """A query, sent three times: from the chain, from its entry, from the finished replies."""

    name: str
    qtype: int = Type.A
    qclass: int = Class.IN
    opt: str = "none"
    transport: Transport = "udp"
    client: str = CLIENTS[0]
    both: bool = False
    """Over the other transport too."""
    upper: bool = False
    flags: int = 0x0100
    message_id: int = 7

    @property
    def asked(self) -> Asked:
        """The request."""
        name = wire_from_text(self.name if self.name.endswith(".") else self.name + ".")
        opt = OPTS[self.opt]
        head = struct.pack("!HHHHHH", self.message_id, self.flags, 1, 0, 0, bool(opt))
        question = (name.upper() if self.upper else name) + struct.pack(
            "!HH", self.qtype, self.qclass
        )
        return Asked(head + question + opt, self.transport, self.client)


class Write(Struct, frozen=True):
    """A file's new text."""

    file: str
    text: str


Step: TypeAlias = Ask | Write | Change

asks: Final = st.builds(
    Ask,
    name=st.one_of(st.sampled_from(HOT), st.sampled_from(NAMES)),
    qtype=st.one_of(st.just(Type.A), st.sampled_from(KINDS)),
    qclass=st.sampled_from((Class.IN,) * 9 + (Class.CH, 255)),
    opt=st.one_of(st.sampled_from(("none", "usual")), st.sampled_from(sorted(OPTS))),
    transport=st.sampled_from(("udp", "udp", "tcp")),
    client=st.sampled_from(CLIENTS),
    both=st.booleans(),
    upper=st.booleans(),
    flags=st.sampled_from((0x0100, 0x0100, 0, 0x0110, 0x0120)),
)
writes: Final = st.sampled_from(
    [Write(name, text) for name, texts in FILES.items() for text in texts]
)
steps: Final = st.lists(
    st.one_of(asks, asks, asks, st.sampled_from(CHANGES), writes), min_size=10, max_size=40
)


# ---- the test


class Place(Struct, frozen=True):
    """Where the files are, and the upstream."""

    folder: Path
    upstream: NameServer

    def corefile(self, text: str) -> str:
        """A Corefile with the places in it."""
        return text.replace("FOLDER", str(self.folder)).replace(
            "UPSTREAM", f"127.0.0.1:{self.upstream.port}"
        )

    def reset(self) -> None:
        """Write the files as they are at the start."""
        for name, texts in FILES.items():
            (self.folder / name).write_text(texts[0])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "auto").mkdir()
    many = [f"many.up.test. 300 IN A 192.0.2.{at}" for at in range(1, 60)]
    records = (
        "www.up.test. 300 IN A 192.0.2.21",
        "www.up.test. 300 IN A 192.0.2.22",
        "v6.up.test. 300 IN AAAA 2001:db8::1",
        "cname.up.test. 300 IN CNAME www.up.test.",
    )
    with NameServer(*records, *many) as upstream, pytest.MonkeyPatch.context() as patch:
        install(folder, blocks("python"))
        patch.syspath_prepend(str(folder))
        third_party._installed.cache_clear()
        third_party.find.cache_clear()
        yield Place(folder, upstream)
    third_party._installed.cache_clear()
    third_party.find.cache_clear()


@pytest.mark.parametrize("searches", [True, False], ids=["reasons", "short reasons"])
@pytest.mark.parametrize("text", COREFILES.values(), ids=COREFILES)
def test_a_cached_reply_is_the_fresh_one(place: Place, text: str, searches: bool) -> None:
    twins.PARTIAL[:] = [True] if "max_answers" in text else []

    @settings(max_examples=EXAMPLES)
    @given(steps)
    def check(steps: list[Step]) -> None:
        place.reset()
        asyncio.run(_run(place, place.corefile(text), steps))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Budget, "allows", lambda self, now: searches)
        check()
    twins.PARTIAL.clear()


async def _run(place: Place, text: str, steps: list[Step]) -> None:
    async with Twins(text, OBJECTS) as server:
        for step in steps:
            await _take(place, server, step)


async def _take(place: Place, server: Twins, step: Step) -> None:
    match step:
        case Ask():
            other: Transport = "tcp" if step.transport == "udp" else "udp"
            for transport in (step.transport, other)[: 1 + step.both]:
                for _ in range(3):
                    await server.check(replace(step.asked, transport=transport))
        case Write():
            path = place.folder / step.file
            path.write_text(step.text)
            await server.notice(path)
        case _:
            server.apply(step)


def test_every_directive_is_among_them(place: Place) -> None:
    """Those that are not have a reason."""
    used = {
        directive
        for text in COREFILES.values()
        for plan in twins.plans(place.corefile(text))
        for directive in plan.order
    }
    assert set(chain.SUPPORTED) - used == set(EXCEPTIONS)
    assert "hello" in used
