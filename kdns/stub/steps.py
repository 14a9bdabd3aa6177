"""What was asked on the way, and what came of it."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.wire.constants import Flag, Rcode, Type
from kdns.wire.message import Record
from kdns.wire.responses import Response


class Step(Struct, frozen=True):
    """One question to one server."""

    name: str
    """Absolute, with the final dot."""
    qtype: int
    server: Address
    seconds: float
    """Until the reply, or until it was given up."""
    response: Response | None = None
    problem: str = ""
    """Why there is no reply."""
    transport: Literal["udp", "tcp"] = "udp"

    @property
    def rcode(self) -> int:
        """-1 without a reply."""
        return self.response.rcode if self.response else -1

    @property
    def found(self) -> tuple[Record, ...]:
        """The records of the type, where aliases led to."""
        if self.response is None or self.response.rcode != Rcode.NOERROR:
            return ()
        return tuple(
            [each for each in self.response.answer if self.qtype in {each.rtype, Type.ANY}]
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """The texts of its Extended DNS Errors (RFC 8914)."""
        errors = self.response.errors if self.response else ()
        return tuple([error.text for error in errors if error.text])

    @property
    def lame(self) -> bool:
        """An empty answer of a server that neither has the data nor looks for them elsewhere."""
        if self.response is None or self.rcode != Rcode.NOERROR or self.response.answer:
            return False
        return not self.response.flags & (Flag.AA | Flag.RA)


class Verdict(Enum):
    """What all questions for one name come to."""

    FOUND = "found"
    NODATA = "no data"
    NXDOMAIN = "no such name"
    SERVFAIL = "server failure"
    FAILED = "refused or broken"
    SILENT = "no reply"


def verdict(rcode: int) -> Verdict:
    """That of a reply without records."""
    return _VERDICTS.get(rcode, Verdict.FAILED)


_VERDICTS = {
    -1: Verdict.SILENT,
    Rcode.NOERROR: Verdict.NODATA,
    Rcode.NXDOMAIN: Verdict.NXDOMAIN,
    Rcode.SERVFAIL: Verdict.SERVFAIL,
}
