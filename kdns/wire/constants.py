"""Numbers of the IANA DNS parameters registry, under their registered names."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Type(IntEnum):
    """RR types by name; any other number is valid too. ``record_types`` says what their RDATA are."""

    A = 1
    NS = 2
    MD = 3
    MF = 4
    CNAME = 5
    SOA = 6
    MB = 7
    MG = 8
    MR = 9
    PTR = 12
    HINFO = 13
    MINFO = 14
    MX = 15
    TXT = 16
    RP = 17
    AFSDB = 18
    X25 = 19
    ISDN = 20
    RT = 21
    NSAP = 22
    SIG = 24
    KEY = 25
    PX = 26
    GPOS = 27
    AAAA = 28
    LOC = 29
    SRV = 33
    NAPTR = 35
    KX = 36
    CERT = 37
    DNAME = 39
    OPT = 41
    APL = 42
    DS = 43
    SSHFP = 44
    IPSECKEY = 45
    RRSIG = 46
    NSEC = 47
    DNSKEY = 48
    DHCID = 49
    NSEC3 = 50
    NSEC3PARAM = 51
    TLSA = 52
    SMIMEA = 53
    HIP = 55
    CDS = 59
    CDNSKEY = 60
    OPENPGPKEY = 61
    CSYNC = 62
    ZONEMD = 63
    SVCB = 64
    HTTPS = 65
    SPF = 99
    NID = 104
    L32 = 105
    L64 = 106
    LP = 107
    EUI48 = 108
    EUI64 = 109
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255
    URI = 256
    CAA = 257
    AVC = 258
    AMTRELAY = 260
    RESINFO = 261
    WALLET = 262


class Class(IntEnum):
    """DNS classes."""

    IN = 1
    CH = 3
    HS = 4
    NONE = 254
    ANY = 255


class Rcode(IntEnum):
    """Response codes; those over 15 need EDNS (RFC 6891 section 6.1.3)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10
    BADVERS = 16
    BADSIG = 16
    BADKEY = 17
    BADTIME = 18
    BADMODE = 19
    BADNAME = 20
    BADALG = 21
    BADTRUNC = 22
    BADCOOKIE = 23


class Opcode(IntEnum):
    """Message kinds."""

    QUERY = 0
    IQUERY = 1
    STATUS = 2
    NOTIFY = 4
    UPDATE = 5


class Flag:
    """Bits of the header's second 16-bit word (RFC 1035 section 4.1.1, RFC 4035 section 3.2)."""

    QR = 0x8000
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100
    RA = 0x0080
    AD = 0x0020
    CD = 0x0010


class EdnsOption(IntEnum):
    """EDNS option codes."""

    NSID = 3
    COOKIE = 10
    TCP_KEEPALIVE = 11
    PADDING = 12
    EXTENDED_ERROR = 15


class ErrorCode(IntEnum):
    """Extended DNS Error INFO-CODEs (RFC 8914 section 4)."""

    OTHER = 0
    STALE_ANSWER = 3
    NOT_READY = 14
    BLOCKED = 15
    FILTERED = 17
    PROHIBITED = 18
    STALE_NXDOMAIN = 19
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23
    INVALID_DATA = 24


TRANSFERS: Final = frozenset({Type.AXFR, Type.IXFR})
"""Types that ask for a whole zone (RFC 5936, RFC 1995)."""


def type_name(rtype: int) -> str:
    """``A``, ``SRV`` … or ``TYPE731`` (RFC 3597 section 5)."""
    try:
        return Type(rtype).name
    except ValueError:
        return f"TYPE{rtype}"


def class_name(rclass: int) -> str:
    """``IN``, ``CH`` … or ``CLASS7`` (RFC 3597 section 5)."""
    try:
        return Class(rclass).name
    except ValueError:
        return f"CLASS{rclass}"


def rcode_name(rcode: int) -> str:
    """``NOERROR``, ``NXDOMAIN`` … or ``RCODE17``."""
    return _RCODE_NAMES.get(rcode) or f"RCODE{rcode}"


def rcode_number(text: str) -> int | None:
    """The number of a response code by its name in any letter case; None if it is none."""
    return Rcode.__members__.get(text.upper())


_RCODE_NAMES: Final = {int(rcode): rcode.name for rcode in Rcode}
