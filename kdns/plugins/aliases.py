"""The alias chaser: follows aliases through the server, and merges what their targets are answered.

RFC 1034 section 4.3.2 step 3a: the records of an alias's target stand behind the alias. The response code is
that of the last name (RFC 6604 section 3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire.aliases import ChainEnd, chain_end
from kdns.wire.constants import ErrorCode, Rcode, Type, rcode_name
from kdns.wire.message import Answer, ExtendedError, Query, Record
from kdns.wire.names import from_wire, wire_to_text
from kdns.wire.reasons import because

_SPECIFIC: Final = frozenset({Type.CNAME, Type.ANY})
_FINAL: Final = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.SERVFAIL, Rcode.YXDOMAIN})
"""Response codes that say something of the target. Others, such as REFUSED, leave it to the client."""


def follows(qtype: int) -> bool:
    """Whether aliases are followed for a query of this type: CNAME and ANY ask for the alias itself."""
    return qtype not in _SPECIFIC


def depending(answer: Answer, *others: Answer) -> Answer:
    """``answer``, cached for as long as all of these hold: ``others`` decided that it is given."""
    return replace(
        answer,
        keys=answer.keys.union(*[other.keys for other in others]),
        keep_until=min(answer.keep_until, *[other.keep_until for other in others]),
    )


class AliasChaser(Struct, frozen=True):
    """Follows the aliases of one directive."""

    resolve: Callable[[Query], Awaitable[Answer]]
    """Answers the queries for targets."""
    subject: str = ""
    """What reasons call the alias; empty for no reasons where a target is left to the client."""

    async def follow(self, query: Query, answer: Answer, path: tuple[Record, ...]) -> Answer:
        """``answer`` with what the server says of the last target of ``path``.

        ``path`` are CNAME records of ``answer``, each one's target the next one's owner. Nothing is followed
        where that makes a loop, or more than ``MAX_ALIASES``: the answer ends there, with the reason.
        """
        followed = query.followed or (query.name,)
        for record in path:
            name = from_wire(record.rdata)
            if end := chain_end(followed, name):
                return _ended(query, answer, end)
            followed = (*followed, name)
        target = path[-1].rdata
        found = await self.resolve(query.follow(target, followed))
        if found.handled and not found.silent and found.rcode in _FINAL:
            return self._merged(query, answer, target, found)
        errors = (*answer.errors, *self._unanswered(query, target, found))
        return depending(replace(answer, errors=errors), found)

    def _merged(self, query: Query, answer: Answer, target: bytes, found: Answer) -> Answer:
        """All that is said of the names of a chain, as one answer."""
        complete = any(record.rtype == query.qtype for record in found.answer)
        merged = replace(
            answer,
            rcode=answer.rcode or found.rcode,
            answer=tuple(dict.fromkeys((*answer.answer, *found.answer))),
            # Without data at the end, the SOA (RFC 2308 section 2) or the referral of that end.
            authority=answer.authority if complete else found.authority,
            additional=tuple(dict.fromkeys((*answer.additional, *found.additional))),
            authenticated=answer.authenticated and found.authenticated,
            recursion_available=answer.recursion_available or found.recursion_available,
            truncated=answer.truncated or found.truncated,
            errors=tuple(dict.fromkeys((*answer.errors, *self._reasons(query, target, found)))),
            at_most=found.at_most or answer.at_most,
            ordered=answer.ordered or found.ordered,
            failure=answer.failure or found.failure,
            replayed=(*answer.replayed, *found.replayed),
            metadata=(*answer.metadata, *found.metadata),
        )
        return depending(merged, found)

    def _reasons(self, query: Query, target: bytes, found: Answer) -> tuple[ExtendedError, ...]:
        """Those of the target, which say that it is another name than the client's that they are about."""
        if not self.subject or found.answer or not query.wants_reason:
            return found.errors
        first, rest = found.errors[:1], found.errors[1:]
        if first and first[0].code == ErrorCode.OTHER:
            return (*self._leads(query, target, first[0].text), *rest)
        if found.rcode == Rcode.NOERROR:
            return found.errors
        return (*self._leads(query, target, rcode_name(found.rcode)), *found.errors)

    def _unanswered(self, query: Query, target: bytes, found: Answer) -> tuple[ExtendedError, ...]:
        if not self.subject:
            return ()
        if not found.handled or found.silent:
            return self._leads(query, target, "nothing here answers for it")
        return self._reasons(query, target, found)

    def _leads(self, query: Query, target: bytes, text: str) -> tuple[ExtendedError, ...]:
        text = f"{self.subject} leads to {wire_to_text(target)}: {text}"
        return because(query, ErrorCode.OTHER, text)


def _ended(query: Query, answer: Answer, end: ChainEnd) -> Answer:
    errors = (*answer.errors, *because(query, ErrorCode.OTHER, end.reason))
    authority = answer.authority if end.rcode == Rcode.NOERROR else ()
    return replace(answer, rcode=end.rcode, authority=authority, errors=errors)
