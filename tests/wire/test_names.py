"""Names: text, wire form and labels lead to one another, as dnspython and ipaddress have it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.name
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import names
from kdns.wire.names import BadNameError

octets = st.binary(min_size=1, max_size=63)
labels = st.lists(octets, max_size=8).filter(lambda found: sum(map(len, found)) + len(found) < 255)


def wire_of(parts: list[bytes]) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


@given(labels)
def test_wire_to_labels_and_back(parts: list[bytes]) -> None:
    wire = wire_of(parts)
    name = names.from_wire(wire)
    assert names.to_wire(name) == wire.lower()
    assert name == tuple(part.lower().decode("latin-1") for part in parts)


@given(labels)
def test_text_and_back(parts: list[bytes]) -> None:
    wire = wire_of(parts)
    text = names.wire_to_text(wire)
    assert names.wire_from_text(text) == wire
    assert names.from_text(text) == names.from_wire(wire)
    assert names.from_text(names.to_text(names.from_wire(wire))) == names.from_wire(wire)


@given(labels)
def test_dnspython_reads_the_same_from_text(parts: list[bytes]) -> None:
    theirs = dns.name.from_text(names.wire_to_text(wire_of(parts)))
    assert theirs.to_wire() == wire_of(parts)


@given(labels)
def test_text_is_one_line_of_printable_ascii(parts: list[bytes]) -> None:
    text = names.wire_to_text(wire_of(parts))
    assert text.isascii()
    assert text.isprintable()


@given(st.binary(max_size=300))
def test_any_octets_are_a_name_or_refused(data: bytes) -> None:
    try:
        name = names.from_wire(data)
    except BadNameError:
        return
    assert names.to_wire(name) == data.lower()


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        wire = names.wire_from_text(text)
    except BadNameError:
        return
    assert names.from_wire(wire) == names.from_text(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (".", ()),
        ("Web.Default", ("web", "default")),
        ("web.", ("web",)),
        (r"a\.b.c", ("a.b", "c")),
        (r"a\032b", ("a b",)),
        (r"\200X", ("\xc8x",)),  # only ASCII letters have a case (RFC 4343 section 3)
    ],
)
def test_from_text(text: str, name: tuple[str, ...]) -> None:
    assert names.from_text(text) == name


def test_from_text_is_relative_without_a_final_dot() -> None:
    origin = ("cluster", "local")
    assert names.from_text("web", origin) == ("web", *origin)
    assert names.from_text("web.", origin) == ("web",)
    assert names.from_text("@", origin) == origin
    assert names.wire_from_text("Web", b"\1A\0") == b"\3Web\1A\0"
    assert names.wire_from_text("@", b"\1A\0") == b"\1A\0"


@pytest.mark.parametrize(
    "text",
    ["a..b", ".a", "..", "a" * 64, ".".join(["a" * 63] * 4), r"a\25", r"a\256", "a\\", "ä"],
)
def test_no_names(text: str) -> None:
    with pytest.raises(BadNameError):
        names.from_text(text)


@pytest.mark.parametrize(
    "wire",
    [b"", b"\1", b"\1a", b"\2a\0", b"\0\0", b"\1a\0b", b"\x40" + b"a" * 64 + b"\0", b"\xc0\0"],
    ids=repr,
)
def test_no_wire_forms(wire: bytes) -> None:
    with pytest.raises(BadNameError):
        names.from_wire(wire)


@pytest.mark.parametrize(
    "name", [("",), ("a" * 64,), ("a" * 256,), ("a" * 63,) * 4, ("a", "", "b"), ("日本",)]
)
def test_no_labels(name: tuple[str, ...]) -> None:
    with pytest.raises(BadNameError):
        names.to_wire(name)


@given(st.ip_addresses().filter(lambda found: not getattr(found, "ipv4_mapped", None)))
def test_reverse_names_and_back(address: IPv4Address | IPv6Address) -> None:
    text = str(address)
    name = names.reverse(text)
    assert names.to_text(name) == str(dns.reversename.from_address(text))
    assert names.address_of(name) == str(ip_address(text))


@pytest.mark.parametrize(
    "name",
    [
        "1.0.0.10.example",
        "0.0.10.in-addr.arpa",
        "x.1.0.0.10.in-addr.arpa",
        "01.0.0.10.in-addr.arpa",
        "256.0.0.10.in-addr.arpa",
        "a.0.0.10.in-addr.arpa",
        "1.ip6.arpa",
        ".".join(["00", *["0"] * 31, "ip6.arpa"]),
        ".".join(["g", *["0"] * 31, "ip6.arpa"]),
        "in-addr.arpa",
        ".",
    ],
)
def test_names_that_are_no_whole_address(name: str) -> None:
    assert names.address_of(names.from_text(name)) is None


@given(st.lists(st.sampled_from([":", "%", ".", "1", "f", "\xb2", "-"]), min_size=32, max_size=32))
def test_no_odd_nibbles_make_an_address(nibbles: list[str]) -> None:
    found = names.address_of((*nibbles, "ip6", "arpa"))
    assert found is None or set(nibbles) <= {"1", "f"}


def test_skip_and_is_below() -> None:
    wire = names.wire_from_text("Web.Shop.svc.")
    assert names.skip(wire, 2) == b"\3svc\0"
    assert names.skip(wire, 0) == wire
    assert names.is_below(("a", "b"), ("b",))
    assert names.is_below(("b",), ("b",))
    assert names.is_below(("b",), ())
    assert not names.is_below(("b",), ("a", "b"))
    assert not names.is_below(("ab",), ("b",))
