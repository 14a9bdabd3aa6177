"""An encoded answer, from which the replies to all clients are put together.

Pointers into the question section stay right for every letter case of the client's question, so one
``Encoded`` serves them all: to it are added the client's question section, an OPT record with the client's
EDNS size and cookie, and whatever of the sections fits.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from msgspec import Struct

from kdns.wire.constants import EdnsOption, Flag
from kdns.wire.layouts import EMPTY_OPT, HEADER_AFTER_ID, OPTION, option
from kdns.wire.message import ExtendedError
from kdns.wire.relayed import Run

MIN_UDP: Final = 512
"""Octets that every client accepts (RFC 1035 section 2.3.4)."""

MAX_UDP: Final = 1232
"""Octets of the largest datagram unless ``bufsize`` says otherwise: it arrives unfragmented nearly
everywhere (DNS flag day 2020), and a forged source address gains no more than it by asking us."""

MAX_BUFSIZE: Final = 4096
"""Octets that ``bufsize`` may allow at the most; CoreDNS's bound."""

_COOKIE_CODE: Final = int(EdnsOption.COOKIE).to_bytes(2, "big")
_OPT: Final = b"\0\0\x29"
"""Owner and type of the OPT record."""


class Encoded(Struct, frozen=True, gc=False):
    """A reply without what is one client's own: ID, letter case, EDNS size, cookie."""

    flags: int
    """The header's second word, TC only where the answer is truncated for every client."""
    counts: tuple[int, int, int]
    """Records in the answer, authority and additional section; no OPT."""
    sections: bytes
    """The three sections, which follow the question section in the message."""
    ends: tuple[int, ...] = ()
    """Where in ``sections`` each record ends, those of ``run`` left out."""
    run: Run | None = None
    payload_limit: int = MAX_UDP
    """Octets of a reply over UDP at the most."""
    opt_ttl: bytes = b""
    """Extended rcode, version and DO bit of the OPT record; b"" without one."""
    options: bytes = b""
    """EDNS options without cookie and Extended DNS Errors."""
    errors: bytes = b""
    """Extended DNS Errors as EDNS options."""
    head: bytes = b""
    """The header of a reply that fits whole."""
    is_cut: bool = False
    """Whether records were left out because even the largest reply asked for has no room for them."""

    def limit(self, payload_size: int) -> int:
        """Octets of a reply over UDP to a client that accepts ``payload_size``; 0 without EDNS."""
        size = min(self.payload_limit, payload_size)
        return max(MIN_UDP, size)

    def reply(
        self,
        question: bytes,
        limit: int,
        payload_size: int = 0,
        cookie: bytes = b"",
        turn: int = 0,
        errors: bytes | None = None,
    ) -> bytes:
        """The message without its ID, at most ``limit`` octets with it.

        ``question`` is the client's question section, ``payload_size`` what the OPT record tells the
        client, ``cookie`` the data of a COOKIE option, ``turn`` the number of the address that comes first,
        ``errors`` takes the place of the Extended DNS Errors.

        What does not fit is left out and TC set, but not for additional records alone (RFC 2181
        section 9). Extended DNS Errors never push a record out: they are shortened or left out.
        """
        sections, opt_ttl = self.sections, self.opt_ttl
        room = limit - 12 - len(question) - len(sections)
        if not opt_ttl:
            if room >= 0 and not turn:
                return self.head + question + sections
            return self._reply(question, room, b"", b"", turn, b"")
        options = self.options
        if cookie:
            options += _COOKIE_CODE + len(cookie).to_bytes(2, "big") + cookie
        room -= EMPTY_OPT + len(options)
        payload = payload_size.to_bytes(2, "big")
        if errors is None:
            errors = self.errors
        if room < len(errors) or turn:
            return self._reply(question, room, options, payload, turn, errors)
        options += errors
        length = len(options).to_bytes(2, "big")
        return b"".join((self.head, question, sections, _OPT, payload, opt_ttl, length, options))

    def _reply(
        self,
        question: bytes,
        room: int,
        options: bytes,
        payload: bytes,
        turn: int,
        errors: bytes,
    ) -> bytes:
        """One that does not fit whole, which is so where ``room`` is negative, or whose addresses rotate."""
        head, sections = self.head, self.sections
        if room < 0:
            flags, counts, sections = self._cut(len(sections) + room, turn)
            room += len(self.sections) - len(sections)
            head = HEADER_AFTER_ID.pack(flags, 1, *counts[:2], counts[2] + bool(self.opt_ttl))
        elif turn and self.run is not None:
            sections = self._rotated(turn)
        opt = b""
        if self.opt_ttl:
            options += _fitting(errors, room)
            opt = b"".join((_OPT, payload, self.opt_ttl, len(options).to_bytes(2, "big"), options))
        return b"".join((head, question, sections, opt))

    def _rotated(self, turn: int) -> bytes:
        run = self.run
        assert run is not None
        at = run.start + turn % run.count * run.size
        end = run.start + run.size * run.count
        sections = self.sections
        return b"".join(
            (sections[: run.start], sections[at:end], sections[run.start : at], sections[end:])
        )

    def _cut(self, room: int, turn: int) -> tuple[int, tuple[int, int, int], bytes]:
        """Flags, counts and sections of what fits into ``room`` octets."""
        answers, authorities, _ = self.counts
        run, truncated = self.run, self.flags | Flag.TC
        if run is not None and run.start + run.size * run.count > room >= run.start:
            fits = (room - run.start) // run.size
            sections = self._rotated(turn)[: run.start + fits * run.size]
            return truncated, (answers - run.count + fits, 0, 0), sections
        before = bisect_right(self.ends, room)  # without the run, which fits or is far behind
        end = self.ends[before - 1] if before else 0
        count = before
        if run is not None and room >= run.start + run.size * run.count:
            end = max(end, run.start + run.size * run.count)
            count += run.count
        sections = (self._rotated(turn) if turn and run else self.sections)[:end]
        if count < answers:
            return truncated, (count, 0, 0), sections
        if count < answers + authorities:
            return truncated, (answers, count - answers, 0), sections
        return self.flags, (answers, authorities, count - answers - authorities), sections


def _fitting(errors: bytes, room: int) -> bytes:
    """Extended DNS Errors as EDNS options, the last that fits shortened to ``room`` octets in all."""
    fitting, at = b"", 0
    while at < len(errors) and (left := room - len(fitting)) >= OPTION.size + 2:
        end = at + OPTION.size + int.from_bytes(errors[at + 2 : at + 4], "big")
        error, at = errors[at:end], end
        if len(error) > left:
            text = error[6:left].decode(errors="ignore").encode()
            error = option(EdnsOption.EXTENDED_ERROR, error[4:6] + text)
        fitting += error
    return fitting


def error_option(error: ExtendedError) -> bytes:
    """An Extended DNS Error as an EDNS option."""
    text = error.text.encode(errors="replace")
    return option(EdnsOption.EXTENDED_ERROR, error.code.to_bytes(2, "big") + text)
