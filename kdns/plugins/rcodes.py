"""Response codes as Corefiles write them: CoreDNS's names of the IANA registry."""

from __future__ import annotations

from typing import Final

_NAMES: Final = {
    "NOERROR": 0,
    "FORMERR": 1,
    "SERVFAIL": 2,
    "NXDOMAIN": 3,
    "NOTIMP": 4,
    "REFUSED": 5,
    "YXDOMAIN": 6,
    "YXRRSET": 7,
    "NXRRSET": 8,
    "NOTAUTH": 9,
    "NOTZONE": 10,
    "BADSIG": 16,
    "BADVERS": 16,
    "BADKEY": 17,
    "BADTIME": 18,
    "BADMODE": 19,
    "BADNAME": 20,
    "BADALG": 21,
    "BADTRUNC": 22,
    "BADCOOKIE": 23,
}


def rcode_number(text: str) -> int | None:
    """The number of a response code by its name in any letter case; None if it is none."""
    return _NAMES.get(text.upper())
