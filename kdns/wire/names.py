"""Domain names in their two forms: label tuples for comparing, wire bytes for sending.

A ``Name`` is a tuple of lower-case labels without the root, so ``svc.cluster.local.`` is
``("svc", "cluster", "local")`` and the root is ``()``. Labels are latin-1 text: every octet that can
stand in a DNS label maps to one character and back, so nothing is lost. Upper case survives only in
the wire form, which is what an answer echoes (RFC 4343 section 4.1: case is preserved, not compared).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

Name: TypeAlias = tuple[str, ...]

MAX_LABEL: Final = 63  # RFC 1035 section 2.3.4
MAX_NAME: Final = 255  # RFC 1035 section 2.3.4, octets of the wire form with the root

IN_ADDR: Final[Name] = ("in-addr", "arpa")
IP6: Final[Name] = ("ip6", "arpa")

MAX_PARENTS: Final = 4096
"""Parents of names that are remembered as labels: most queries are for names below a few."""

_parents: dict[bytes, Name] = {}

_ESCAPED: Final = {ord(c): f"\\{c}" for c in '".;\\()@$'} | {
    code: f"\\{code:03d}" for code in (*range(33), *range(127, 256))
}

_PUNCTUATION: Final = {ord(c): None for c in ".-_"}


class BadNameError(ValueError):
    """A text or a wire form that is not a domain name; the message says what is wrong with it."""


def from_text(text: str, origin: Name = ()) -> Name:
    """Parse presentation format (RFC 1035 section 5.1) into a lower-case name.

    A name without a final dot is relative to ``origin``; ``@`` is the origin itself.
    Raises ``BadNameError`` for empty or overlong labels, overlong names and broken escapes.
    """
    labels, absolute = _split(text, origin)
    name = tuple(label.encode("latin-1").lower().decode("latin-1") for label in labels)
    return name if absolute else name + origin


def wire_from_text(text: str, origin: bytes = b"\0") -> bytes:
    """Like ``from_text``, but to the wire form and with letter case kept."""
    labels, absolute = _split(text, ())
    if text == "@":
        return origin
    return to_wire(tuple(labels), b"\0" if absolute else origin)


def _split(text: str, origin: Name) -> tuple[list[str], bool]:
    if text == "@":
        return list(origin), True
    if text in {".", ""}:
        return [], text == "."
    labels, absolute = _unescape(text)
    for label in labels:
        if not label:
            raise BadNameError(f"{text!r} has an empty label")
        if len(label) > MAX_LABEL:
            raise BadNameError(f"{text!r} has a label of {len(label)} octets; 63 is the most")
    if sum(map(len, labels)) + len(labels) + 1 > MAX_NAME:
        raise BadNameError(f"{text[:40]!r}… is longer than 255 octets")
    return labels, absolute


def _unescape(text: str) -> tuple[list[str], bool]:
    if not text.isascii():
        raise BadNameError(
            f"{text!r} has characters outside ASCII; write it in Punycode (xn--...), or octets as \\DDD"
        )
    if "\\" not in text:
        absolute = text.endswith(".")
        labels = (text[:-1] if absolute else text).split(".")
        return labels, absolute
    labels, label, at, absolute = [], "", 0, False
    while at < len(text):
        char = text[at]
        absolute = char == "."
        if char == "\\":
            step, char = _escape(text, at)
            at += step
            label += char
        elif absolute:
            labels.append(label)
            label, at = "", at + 1
        else:
            label, at = label + char, at + 1
    if not absolute:
        labels.append(label)
    return labels, absolute


def _escape(text: str, at: int) -> tuple[int, str]:
    digits = text[at + 1 : at + 4]
    if len(digits) == 3 and digits.isascii() and digits.isdigit() and int(digits) < 256:
        return 4, chr(int(digits))
    if not digits or digits[0].isdigit():
        raise BadNameError(f"{text!r} has a broken escape")
    return 2, digits[0]


def to_text(name: Name) -> str:
    """Presentation format, absolute (with the final dot), special characters escaped."""
    if not name:
        return "."
    text = ".".join(name)
    is_plain = text.isascii() and text.translate(_PUNCTUATION).isalnum()
    if is_plain and text.count(".") == len(name) - 1:
        return text + "."
    return "".join(label.translate(_ESCAPED) + "." for label in name)


def to_wire(name: Name, suffix: bytes = b"\0") -> bytes:
    """The wire form of ``name`` before ``suffix`` (itself a wire form; the root by default).

    Raises ``BadNameError`` when the result would exceed 255 octets or a label is empty or over 63.
    """
    if all(0 < len(label) <= MAX_LABEL for label in name):
        try:
            parts = [bytes((len(label),)) + label.encode("latin-1") for label in name]
        except UnicodeEncodeError:
            raise BadNameError(f"{name!r} has characters that no octet stands for") from None
        wire = b"".join(parts) + suffix
        if len(wire) <= MAX_NAME:
            return wire
    raise BadNameError(f"{to_text(name)[:60]!r} is not a domain name: a label or it is too long")


def from_wire(wire: bytes) -> Name:
    """The lower-case name of an uncompressed wire form. Raises ``BadNameError`` if it is not one."""
    size = wire[0] if wire else 0
    parent = wire[size + 1 :]
    above = _parents.get(parent)
    if above is None:
        return _from_wire(wire, parent)
    if size > MAX_LABEL or not size or len(wire) > MAX_NAME:
        raise BadNameError("a label or the name is too long")
    return (wire[1 : size + 1].lower().decode("latin-1"), *above)


def _from_wire(wire: bytes, parent: bytes) -> Name:
    folded = wire.lower().decode("latin-1")  # length octets are below 64: never letters
    labels, at, end = [], 0, len(wire)
    while at < end and (size := wire[at]):
        if size > MAX_LABEL or at + size + 1 >= end:
            raise BadNameError("a label runs past the end of the name")
        start = at + 1
        at = start + size
        labels.append(folded[start:at])
    if at != end - 1 or end > MAX_NAME:
        raise BadNameError("the name does not end where it should")
    name = tuple(labels)
    if name:
        if len(_parents) >= MAX_PARENTS:
            _parents.clear()
        _parents[parent] = name[1:]
    return name


def wire_to_text(wire: bytes) -> str:
    """Presentation format of an uncompressed wire form, letter case kept."""
    labels, at = [], 0
    while at < len(wire) and wire[at]:
        labels.append(wire[at + 1 : at + 1 + wire[at]].decode("latin-1"))
        at += wire[at] + 1
    return to_text(tuple(labels))


def end_of(wire: bytes, at: int = 0) -> int:
    """Where the name ends that begins at ``at`` in wire forms. Raises ``IndexError`` if it is cut off."""
    while wire[at]:
        at += wire[at] + 1
    return at + 1


def skip(wire: bytes, labels: int) -> bytes:
    """What is left of a wire form after its first ``labels`` labels."""
    at = 0
    for _ in range(labels):
        at += wire[at] + 1
    return wire[at:]


def is_below(name: Name, zone: Name) -> bool:
    """Whether ``name`` is ``zone`` or lies below it."""
    return not zone or name[-len(zone) :] == zone


def is_address(text: str) -> bool:
    """Whether it is an IP address, maybe with an IPv6 scope, and not a host name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """An address without its IPv6 scope, and as IPv4 where it is mapped into IPv6 (RFC 4291 section 2.5.5.2).

    Raises ``ValueError``.
    """
    address = ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def reverse(address: str) -> Name:
    """The name that holds the PTR of an address (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    return from_text(ip_address(address).reverse_pointer)


def address_of(name: Name) -> str | None:
    """The address whose PTR name this is, in canonical text; None for partial or other names."""
    if name[-2:] == IN_ADDR and len(name) == 6:
        return _address(IPv4Address, ".".join(reversed(name[:4])))
    if name[-2:] == IP6 and len(name) == 34 and all(len(nibble) == 1 for nibble in name[:32]):
        digits = "".join(reversed(name[:32]))
        return _address(IPv6Address, ":".join(digits[i : i + 4] for i in range(0, 32, 4)))
    return None


def _address(kind: type[IPv4Address | IPv6Address], text: str) -> str | None:
    try:
        return str(kind(text))
    except ValueError:
        return None
