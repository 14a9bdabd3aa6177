"""Padding (RFC 7830, RFC 8467): sizes, and what dnspython reads of it."""

from __future__ import annotations

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire.constants import EdnsOption
from kdns.wire.layouts import MAX_MESSAGE
from kdns.wire.message import Edns, Query, Transport
from kdns.wire.padding import REPLY_BLOCK, is_wanted, padding

QUERY_BLOCK = 128
"""What RFC 8467 section 4.1 recommends to clients."""


@pytest.mark.parametrize(
    ("length", "padded"),
    [
        (12, 468),
        (463, 468),
        (464, 468),
        (465, 936),
        (468, 936),
        (932, 936),
        (65516, 65520),
        (65517, 65535),
        # There is no room for another block, and at last none for the option.
        (65520, 65535),
        (65531, 65535),
        (65532, 65532),
        (65535, 65535),
    ],
)
def test_sizes_of_replies(length: int, padded: int) -> None:
    assert length + len(padding(length)) == min(padded, MAX_MESSAGE)


@given(st.integers(17, MAX_MESSAGE), st.sampled_from((QUERY_BLOCK, REPLY_BLOCK)))
def test_a_whole_number_of_blocks_and_no_block_too_many(length: int, block: int) -> None:
    option = padding(length, block)
    padded = length + len(option)
    assert padded <= MAX_MESSAGE
    if option:
        assert padded % block == 0 or padded == MAX_MESSAGE
        assert padded - block < length + 4
        assert option[:4] == EdnsOption.PADDING.to_bytes(2) + (len(option) - 4).to_bytes(2)
        assert not any(option[4:])


def test_a_datagram_has_a_limit_of_its_own() -> None:
    assert 500 + len(padding(500, limit=512)) == 512
    assert padding(510, limit=512) == b""


def test_dnspython_reads_it() -> None:
    message = dns.message.make_query("a.test", "A", use_edns=True)
    wire = message.to_wire()
    option = padding(len(wire), QUERY_BLOCK)
    at = len(wire) - 2  # of the OPT record's length, which ends the message
    padded = wire[:at] + len(option).to_bytes(2) + option
    assert len(padded) == QUERY_BLOCK
    (read,) = dns.message.from_wire(padded).options
    assert (read.otype, len(read.to_wire() or b"")) == (
        dns.edns.OptionType.PADDING,
        len(option) - 4,
    )


@pytest.mark.parametrize(
    ("transport", "options", "wanted"),
    [
        ("tls", ((EdnsOption.PADDING, b""),), True),
        ("tls", ((EdnsOption.COOKIE, bytes(8)), (EdnsOption.PADDING, bytes(90))), True),
        ("tls", ((EdnsOption.COOKIE, bytes(8)),), False),
        ("tcp", ((EdnsOption.PADDING, b""),), False),
        ("udp", ((EdnsOption.PADDING, b""),), False),
        ("internal", ((EdnsOption.PADDING, b""),), False),
    ],
)
def test_who_wants_it(
    transport: Transport, options: tuple[tuple[int, bytes], ...], wanted: bool
) -> None:
    query = Query(b"\1a\0", ("a",), 1, transport=transport, edns=Edns(options=options))
    assert is_wanted(query) is wanted


def test_nobody_wants_it_without_edns() -> None:
    assert not is_wanted(Query(b"\1a\0", ("a",), 1, transport="tls"))
