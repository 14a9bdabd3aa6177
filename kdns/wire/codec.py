"""Whole messages by dnslib: requests that ``question`` does not read itself.

Such are requests with records besides the OPT (IXFR, TSIG) or odd names. dnslib is for correctness
here; the usual request never comes this way. Names are skipped and not followed: of all owners only
the OPT's matters, which is the root. dnslib would follow each pointer anew, so that one message of
64 KiB could hold the server for seconds, and it refuses labels that are not UTF-8.
"""

from __future__ import annotations

from typing import Final

from dnslib.dns import DNSHeader
from dnslib.label import DNSBuffer
from msgspec import Struct

from kdns.wire.constants import Type
from kdns.wire.names import MAX_LABEL, BadNameError

_POINTER: Final = 0xC0


class Undecodable(Struct, frozen=True):
    """Bytes that are no DNS message; why, for a debug line."""

    reason: str


class Decoded(Struct, frozen=True):
    """The parts of a request that matter; those of the OPT record are 0 and empty without one."""

    qname: bytes
    """As it stands there. Before it is nothing that a pointer could lead to: with one it is no name."""
    qtype: int
    qclass: int
    opt_records: int = 0
    payload_size: int = 0
    version: int = 0
    dnssec_ok: bool = False
    options: bytes = b""
    """RDATA of the OPT record."""
    serial: int | None = None
    """Of the SOA in the authority section."""


def decode(data: bytes) -> Decoded | Undecodable:
    """Decode a request with exactly one question; trailing bytes make it undecodable."""
    try:
        return _decode(DNSBuffer(data))
    except Exception as error:
        return Undecodable(f"{type(error).__name__}: {error}")


def _decode(buffer: DNSBuffer) -> Decoded:
    header = DNSHeader.parse(buffer)
    qname = _name(buffer)
    qtype, qclass = buffer.unpack("!HH")
    opt_records = size = ttl = 0
    options = b""
    serial = None
    for at in range(header.a + header.auth + header.ar):
        owner = _name(buffer)
        rtype, rclass, record_ttl, length = buffer.unpack("!HHIH")
        rdata = bytes(buffer.get(length))
        if rtype == Type.OPT:
            if owner != b"\0":  # RFC 6891 section 6.1.2: the name of an OPT must be the root
                raise BadNameError("the OPT record is not at the root")
            opt_records, size, ttl, options = opt_records + 1, rclass, record_ttl, rdata
        elif rtype == Type.SOA and header.a <= at < header.a + header.auth:
            serial = int.from_bytes(rdata[-20:-16])
    if buffer.remaining():
        raise ValueError(f"{buffer.remaining()} bytes after the last record")
    return Decoded(
        *(qname, qtype, qclass, opt_records, size),
        *(ttl >> 16 & 0xFF, bool(ttl & 0x8000), options, serial),
    )


def _name(buffer: DNSBuffer) -> bytes:
    """The octets of a name as they stand there, up to the root or a pointer (RFC 1035 section 4.1.4)."""
    start: int = buffer.offset
    while size := buffer.get(1)[0]:
        if size > MAX_LABEL:
            buffer.get(1)
            if size < _POINTER:
                raise BadNameError("a label is longer than 63 octets")
            break
        buffer.get(size)
    return bytes(buffer.data[start : buffer.offset])
