"""The end of a chain of aliases that leads to no data: it is too long, or a loop (RFC 1034 section 3.6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from kdns.wire.constants import Rcode
from kdns.wire.names import Name, to_text

MAX_ALIASES: Final = 11
"""CNAMEs followed for one query, in all directives and server blocks; CoreDNS's limit in a cluster."""

_NAMED: Final = 3  # names of a loop in a reason, which has 200 octets


class ChainEnd(Struct, frozen=True):
    """Why a chain of aliases is not followed to its next target, and the answer's response code."""

    rcode: int
    """SERVFAIL for a chain that is too long: its end may exist. NOERROR for a loop, which is all told."""
    reason: str


def chain_end(followed: Sequence[Name], target: Name) -> ChainEnd | None:
    """The end of a chain before ``target``; None where that is to be looked up.

    ``followed`` are the names of the chain so far, the query's own first.
    """
    if target in followed:
        return ChainEnd(Rcode.NOERROR, _loop(followed[followed.index(target) :]))
    if len(followed) > MAX_ALIASES:
        text = f"more than {MAX_ALIASES} aliases, one after the other; {to_text(target)} is not asked for"
        return ChainEnd(Rcode.SERVFAIL, text)
    return None


def _loop(names: Sequence[Name]) -> str:
    shown = [to_text(name) for name in names[:_NAMED]]
    if len(names) > _NAMED:
        shown.append("…")
    return f"the aliases form a loop of {len(names)}: {' -> '.join([*shown, shown[0]])}"
