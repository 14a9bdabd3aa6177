"""A denial answers for absent siblings only where the whole way would say the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import dns.edns
import dns.message
import pytest

from kdns.plugins.budget import Budget
from kdns.records.objects import Change, Gone, Kind, Namespace, Put, Service
from tests.fakes.twins import Asked, Twins

OBJECTS = (
    Namespace("shop"),
    Namespace("store"),
    Service("shop", "web", cluster_ips=("10.0.0.1",)),
    Service("store", "db", cluster_ips=("10.0.0.2",)),
)
BELOW = b"\4shop\3svc\7cluster\5local\0"
PLAIN = b"\0\7\1\0\0\1\0\0\0\0\0\0"
WITH_OPT = PLAIN[:11] + b"\1"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


@pytest.fixture(autouse=True)
def spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is left for the search for what was meant, so denials hold with reasons too."""
    monkeypatch.setattr(Budget, "allows", lambda self, now: False)


def run(check: Coroutine[None, None, None]) -> None:
    asyncio.run(check)


def ask(label: str | bytes, qtype: str = "A", *, edns: bool = True) -> Asked:
    octets = label if isinstance(label, bytes) else label.encode("latin-1")
    name = bytes((len(octets),)) + octets + BELOW
    kind = int(dns.rdatatype.from_text(qtype)).to_bytes(2, "big")
    header, opt = (WITH_OPT, OPT) if edns else (PLAIN, b"")
    return Asked(header + name + kind + b"\0\1" + opt)


def kubernetes(options: str = "", zones: str = "cluster.local") -> str:
    return f"kubernetes {zones} {{\n{options}\n}}"


def corefile(directives: str) -> str:
    return f". {{\n{directives}\n}}\n"


async def denied(twins: Twins, *, edns: bool = True) -> None:
    """Have a name denied, so that its siblings may be."""
    await twins.check(ask("absent", edns=edns))


def test_siblings_are_denied_without_the_chain() -> None:
    async def check() -> None:
        for edns in (False, True):
            twins = Twins(corefile(kubernetes()), OBJECTS)
            await denied(twins, edns=edns)
            assert twins.cache.denials.entries
            for label in ("a", "b" * 63, "UPPER", "with.dot", "back\\slash", "\xe4", "ns", "dns"):
                assert await twins.check(ask(label, edns=edns)), label
            assert not await twins.check(ask("web", edns=edns))

    run(check())


@pytest.mark.parametrize(
    "label", ["*", "any", "_tcp", ";", "a;b", "\x01", "\x7f", "\xff" * 63, "x" * 62]
)
@pytest.mark.parametrize("edns", [False, True])
def test_labels(label: str, edns: bool) -> None:
    async def check() -> None:
        twins = Twins(corefile(kubernetes()), OBJECTS)
        await denied(twins, edns=edns)
        await twins.check(ask(label, edns=edns))

    run(check())


TAIL = b"\0\1\0\1"
"""Type and class."""
KEY = BELOW + TAIL + b"\0\0\0\0"
"""Of a denied parent, after the flags and counts: with what its OPT record means."""


def opt(meaning: bytes, options: bytes) -> bytes:
    return OPT[:5] + meaning + len(options).to_bytes(2, "big") + options


MALFORMED = {
    "no label": WITH_OPT + b"\0" + KEY[:4] + opt(KEY[4:8], KEY[8:]),
    "a label of 64 octets": WITH_OPT + b"\x40" + b"x" * 64 + BELOW + TAIL + OPT,
    "a label of 200 octets": WITH_OPT + b"\xc8" + b"x" * 200 + BELOW + TAIL + OPT,
    "a label that holds the type": WITH_OPT + (b"\x0bab\0" + TAIL) + opt(b"\0\0\0\0", KEY),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_no_malformed_request_is_denied(data: bytes) -> None:
    async def check() -> None:
        twins = Twins(corefile(kubernetes()), OBJECTS)
        await denied(twins)
        await twins.check(Asked(data))
        assert twins.address.hit(data) is None

    run(check())


def test_no_name_beyond_255_octets_is_denied() -> None:
    zone = ".".join(["z" * 60] * 3)

    async def check() -> None:
        twins = Twins(corefile(kubernetes(zones=zone)), OBJECTS)
        parent = b"\4shop\3svc" + (b"\x3c" + b"z" * 60) * 3 + b"\0"
        for size in (1, 50, 56, 57, 61, 62, 63):
            name = bytes((size,)) + b"x" * size + parent
            await twins.check(Asked(WITH_OPT + name + b"\0\1\0\1" + OPT))

    run(check())


OTHERWISE = {
    "fallthrough": corefile(kubernetes("fallthrough other.shop.svc.cluster.local") + "\nwhoami"),
    "a zone of the directive": corefile(
        kubernetes(zones="cluster.local other.shop.svc.cluster.local")
    ),
    "cache": corefile("cache 2 other.shop.svc.cluster.local\n" + kubernetes("ttl 30")),
    "a block": corefile(kubernetes()) + "other.shop.svc.cluster.local {\nwhoami\n}\n",
    "a view by name": corefile(kubernetes())
    + "shop.svc.cluster.local {\nview o {\nexpr name() startsWith 'o'\n}\nwhoami\n}\n",
    "a view by name above": corefile(kubernetes())
    + "local {\nview o {\nexpr name() startsWith 'o'\n}\nwhoami\n}\n",
    "a view of the same zone": ". {\nview o {\nexpr name() startsWith 'o'\n}\nwhoami\n}\n"
    + corefile(kubernetes()),
    "a view for another client": "svc.cluster.local {\nview o {\nexpr incidr(client_ip(),"
    " '192.0.2.128/25')\n}\nwhoami\n}\n" + corefile(kubernetes()),
    "rewrite": corefile(
        "rewrite name other.shop.svc.cluster.local web.shop.svc.cluster.local\n" + kubernetes()
    ),
    "hosts": corefile(
        "hosts {\n192.0.2.9 other.shop.svc.cluster.local\nfallthrough\n}\n" + kubernetes()
    ),
    "template": corefile(
        'template IN A other.shop.svc.cluster.local {\nanswer "{{ .Name }} 5 IN A 192.0.2.7"\n'
        "fallthrough\n}\n" + kubernetes()
    ),
    "acl": corefile("acl other.shop.svc.cluster.local {\nblock\n}\n" + kubernetes()),
    "log": corefile("log\n" + kubernetes()),
    "fault": corefile("fault other.shop.svc.cluster.local {\nrcode REFUSED\n}\n" + kubernetes()),
    "k8s_external": corefile("k8s_external cluster.local\n" + kubernetes()),
    "multicluster": corefile(
        kubernetes(
            "multicluster cluster.local clusterset.local", zones="cluster.local clusterset.local"
        )
    ),
}


@pytest.mark.parametrize("text", OTHERWISE.values(), ids=OTHERWISE)
@pytest.mark.parametrize("client", ["192.0.2.1", "192.0.2.200"])
@pytest.mark.parametrize("edns", [False, True])
def test_a_sibling_that_is_answered_otherwise(text: str, client: str, edns: bool) -> None:
    async def check() -> None:
        twins = Twins(text, OBJECTS)
        for label in ("absent", "other", "another", "OTHER", "web"):
            data = ask(label, edns=edns).data
            await twins.check(Asked(data))
            await twins.check(Asked(data, "tcp"))
            await twins.check(Asked(data, "udp", client))

    run(check())


CHANGES: dict[str, list[Change]] = {
    "created": [Put(Service("shop", "new", cluster_ips=("10.0.0.9",)))],
    "deleted": [Gone(Kind.SERVICE, "shop", "web")],
    "the last one deleted": [Gone(Kind.SERVICE, "shop", "web"), Put(Namespace("shop"))],
    "namespace deleted": [Gone(Kind.NAMESPACE, "", "shop")],
    "namespace again": [Gone(Kind.NAMESPACE, "", "shop"), Put(Namespace("shop"))],
    "created elsewhere": [Put(Service("store", "new", cluster_ips=("10.0.0.9",)))],
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("edns", [False, True])
def test_changes(changes: list[Change], edns: bool) -> None:
    async def check() -> None:
        twins = Twins(corefile(kubernetes()), OBJECTS)
        await denied(twins, edns=edns)
        for number, change in enumerate(changes):
            twins.apply(change)
            for label in ("new", "web", "db", f"n{number}", "absent"):
                await twins.check(ask(label, edns=edns))

    run(check())
