"""Messages of the bench as dnspython reads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import pytest
from dns.message import Message

from bench import cluster, packets

ZONE = "outside.test"
OUTSIDE = [f"host-{at}.{ZONE}" for at in range(100)]


def parsed(messages: list[bytes]) -> list[Message]:
    return [dns.message.from_wire(each) for each in messages]


def name(message: Message) -> str:
    return message.question[0].name.to_text(omit_final_dot=True)


def cookies(message: Message) -> list[bytes]:
    return [o.to_wire() or b"" for o in message.options if o.otype == dns.edns.OptionType.COOKIE]


def test_a_plain_query() -> None:
    (found,) = parsed([packets.message(packets.wire("web.shop."), packets.SRV)])
    assert name(found) == "web.shop"
    assert found.question[0].rdtype == dns.rdatatype.SRV
    assert (found.edns, found.flags) == (-1, dns.flags.RD)


def test_each_query_has_a_client_cookie_of_its_own() -> None:
    found = parsed(list(packets.with_cookies(500)))
    assert {(each.edns, each.payload) for each in found} == {(0, 1232)}
    sent = [octets for each in found for octets in cookies(each)]
    assert len(set(sent)) == 500
    assert {len(octets) for octets in sent} == {8}


def test_letter_case_changes_and_the_name_does_not() -> None:
    names = [name(each) for each in parsed(list(packets.with_mixed_case(2000)))]
    assert len(set(names)) == 2000
    existing = {each.rstrip(".") for each in cluster.names("svc", cluster.SMALL.services)}
    assert {each.lower() for each in names} == existing


@pytest.mark.parametrize(
    ("messages", "edns", "ending"),
    [
        (packets.missing(300), -1, f".{cluster.DOMAIN}"),
        (packets.missing(300, packets.opt()), 0, f".{cluster.DOMAIN}"),
        (packets.external(300, ZONE), -1, f".{ZONE}"),
    ],
    ids=["missing", "missing with EDNS", "external"],
)
def test_names_are_new_each_time(messages: list[bytes], edns: int, ending: str) -> None:
    found = parsed(list(messages))
    assert {each.edns for each in found} == {edns}
    names = {name(each) for each in found}
    assert len(names) == 300
    assert all(each.endswith(ending) for each in names)


def test_spellings_of_one_name_with_a_large_payload() -> None:
    found = parsed(list(packets.spellings("web.shop.svc.cluster.local", 50, 65535)))
    assert {name(each).lower() for each in found} == {"web.shop.svc.cluster.local"}
    assert {each.payload for each in found} == {65535}


def test_the_mix_has_every_kind_of_query() -> None:
    found = parsed(list(packets.mix(8_000, ZONE, OUTSIDE)))
    types = Counter(each.question[0].rdtype.name for each in found)
    assert set(types) == {"A", "AAAA", "SRV", "PTR"}
    assert types["A"] == types["AAAA"], "stub resolvers send both at once"
    styles = {(bool(e.flags & dns.flags.AD), e.edns >= 0, bool(cookies(e))) for e in found}
    plain, authenticated, edns, cookie = (
        (False, False, False),  # glibc
        (True, False, False),  # musl
        (False, True, False),  # Go
        (False, True, True),  # c-ares
    )
    assert styles == {plain, authenticated, edns, cookie}
    names = [name(each) for each in found]
    searched = {each.split(".")[-4] for each in names if each.count(".") in {4, 5}}
    assert {cluster.namespace(at) for at in range(cluster.NAMESPACES)} <= searched
    outside = {each for each in names if each.endswith(ZONE)}
    assert outside & set(OUTSIDE)
    assert outside - set(OUTSIDE), "some external names are new"


def test_the_mix_repeats_so_that_caches_become_warm() -> None:
    def without_edns() -> set[bytes]:
        messages = packets.mix(60_000, ZONE, OUTSIDE)
        return {each for each in messages if each[11] == 0 and ZONE.encode()[:7] not in each}

    first, second = without_edns(), without_edns()
    assert len(second - first) < 0.1 * len(second)


def test_a_file_has_the_length_before_each_message(tmp_path: Path) -> None:
    path = packets.write(tmp_path / "messages", [b"a" * 300, b"b" * 12])
    assert path.read_bytes() == b"\x01\x2c" + b"a" * 300 + b"\x00\x0c" + b"b" * 12
