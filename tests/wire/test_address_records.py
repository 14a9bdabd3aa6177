"""Records that are made when they are read: a sequence like any other, encoded as the records would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.plugins.loadbalance import rotate
from kdns.wire import names, rdata
from kdns.wire.address_records import AddressRecords, LazyRecords, MadeRecords
from kdns.wire.constants import Type
from kdns.wire.encode import encode, reply
from kdns.wire.message import Answer, Edns, Query, Record, Transport
from kdns.wire.windows import windows

WEB = names.wire_from_text("Web.Shop.svc.Cluster.local.")
OTHER = names.wire_from_text("other.example.")


def addresses(count: int, owner: bytes = WEB, width: int = 4) -> AddressRecords:
    octets = b"".join([number.to_bytes(width) for number in range(count)])
    return AddressRecords(owner, 30, octets, width, Type.A if width == 4 else Type.AAAA)


def srv(count: int, made: list[int] | None = None) -> MadeRecords[int]:
    def make(number: int) -> Record:
        if made is not None:
            made.append(number)
        target = names.to_wire((f"ep-{number}",), WEB)
        return Record(WEB, Type.SRV, 30, rdata.srv(0, 1, 80, target))

    return MadeRecords(30, lambda: range(count), make)


SEQUENCES: dict[str, LazyRecords] = {
    "none": addresses(0),
    "IPv4": addresses(5),
    "IPv6": addresses(5, width=16),
    "SRV": srv(5),
}


@pytest.mark.parametrize("records", SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence(records: LazyRecords) -> None:
    alike = tuple(iter(records))
    assert len(records) == len(alike)
    assert records == alike
    assert alike == records
    assert hash(records) == hash(alike)
    assert records != (*alike, Record(WEB, Type.A, 1, b"abcd"))
    assert bool(records) == bool(alike)
    assert list(reversed(records)) == list(reversed(alike))
    for at in (slice(2), slice(1, -1), slice(None, None, -2), slice(9, 12)):
        assert records[at] == alike[at]
    for number in range(-len(alike), len(alike)):
        assert records[number] == alike[number]
    for number in (len(alike), -len(alike) - 1):
        with pytest.raises(IndexError):
            records[number]
    assert all(record.ttl == records.ttl for record in alike)


SHAPES: dict[str, LazyRecords] = {
    "at the name of the query": addresses(9000),
    "IPv6": addresses(3000, width=16),
    "one": addresses(1),
    "at another name": addresses(700, OTHER),
    "one at another name": addresses(1, OTHER),
    "at the root": addresses(50, b"\0"),
    "SRV": srv(2000),
}


@pytest.mark.parametrize(("transport", "size"), [("udp", 512), ("udp", 1232), ("tcp", 0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_encoded_as_the_records_would_be(shape: str, transport: Transport, size: int) -> None:
    records = SHAPES[shape]
    query = Query(WEB, names.from_wire(WEB), Type.A, edns=Edns(size), transport=transport)
    lazy, collected = (
        encode(query, Answer(answer=each), whole=True) for each in (records, tuple(records))
    )
    assert reply(query, lazy) == reply(query, collected)
    assert reply(query, lazy) == reply(query, encode(query, Answer(answer=tuple(records))))


@given(st.integers(0, 80), st.sampled_from([WEB, OTHER, b"\0"]), st.sampled_from([4, 16]))
def test_any_number_of_additional_addresses(count: int, owner: bytes, width: int) -> None:
    query = Query(WEB, names.from_wire(WEB), Type.SRV)
    records = addresses(count, owner, width)
    before = tuple(srv(3))
    lazy = encode(query, Answer(answer=before, additional=records))
    assert lazy == encode(query, Answer(answer=before, additional=tuple(records)))


def test_a_name_beyond_the_reach_of_pointers() -> None:
    query = Query(WEB, names.from_wire(WEB), Type.A, transport="tcp")
    records, before = addresses(2000, OTHER), tuple(addresses(1500))
    lazy = encode(query, Answer(answer=before, additional=records))
    assert lazy == encode(query, Answer(answer=before, additional=tuple(records)))


def test_what_is_not_sent_is_not_made() -> None:
    made: list[int] = []
    query = Query(WEB, names.from_wire(WEB), Type.SRV, edns=Edns(1232))
    additional: list[int] = []
    answer = Answer(answer=srv(10_000, made), additional=srv(10_000, additional))
    sent = encode(query, answer).counts[0]
    assert 10 < sent < 100
    assert len(made) <= sent + 2  # the first that did not fit, and the last to see what it is
    assert not additional


@pytest.mark.parametrize("turn", [0, 1, 4, 5, 7])
@pytest.mark.parametrize("records", SEQUENCES.values(), ids=SEQUENCES)
def test_turned_as_the_records_would_be(records: LazyRecords, turn: int) -> None:
    assert rotate(records, turn) == rotate(tuple(records), turn)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
@pytest.mark.parametrize("records", SEQUENCES.values(), ids=SEQUENCES)
def test_shortened_as_the_records_would_be(records: LazyRecords, size: int) -> None:
    targets = tuple(
        [Record(r.rdata[6:], Type.A, 30, b"abcd") for r in records if r.rtype == Type.SRV]
    )
    lazy = Answer(answer=records, additional=targets, at_most=size)
    made = Answer(answer=tuple(records), additional=targets, at_most=size)
    assert windows(lazy, 3, 7.0) == windows(made, 3, 7.0)
