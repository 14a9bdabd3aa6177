"""What an answer from another server is to a cache: whether it may be cached, and for how long.

RFC 2308 for what is negative, RFC 2181 section 5.2 and 8 for TTLs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins.cache.settings import Settings
from kdns.wire.address_records import LazyRecords
from kdns.wire.constants import Rcode, Type
from kdns.wire.encode import encode, reply
from kdns.wire.message import Answer, Query, Record
from kdns.wire.relayed import EMPTY, Relayed, echoed, message_of, sections, with_message
from kdns.wire.responses import Response, decode

Kind: TypeAlias = Literal["success", "denial", "failure"]

_FAILURES: Final = frozenset({Rcode.SERVFAIL, Rcode.NOTIMP})
_CACHED: Final = _FAILURES | {Rcode.NOERROR, Rcode.NXDOMAIN}
_MAX_CHAIN: Final = 64  # CNAMEs in one answer

_META_TYPES: Final = frozenset({0, Type.OPT, *range(128, 255)})
"""Types that no record has (RFC 6895 section 3.1): what servers say of them says little about the name."""


class Cacheable(Struct, frozen=True):
    """The records of an answer that may be cached, their TTLs inside the bounds."""

    kind: Kind
    message: Relayed
    changed: bool
    """Whether these are other octets than those in the sections of the answer."""
    ttl: float
    """Seconds that they may be cached."""
    tree: object | None = None
    """Where the whole name is denied and not only a type of it, who says so (``Denial.tree``)."""


def classify(query: Query, answer: Answer, settings: Settings) -> Cacheable | None:
    """What may be cached of the answer; None for nothing."""
    rcode = answer.rcode
    own = message_of(answer)
    came = _packed(query, answer) if own is None else own.asked_as(query.qname)
    if came is None or answer.truncated or rcode not in _CACHED:
        return None
    kind, ttl, tree = _kind(query, rcode, came), settings.servfail, None
    if kind == "failure":
        message = came.bounded(0, settings.success.max_ttl)
    elif kind == "success":
        bounds = settings.success
        message = came.bounded(bounds.min_ttl, bounds.max_ttl)
        ttl = message.least
    elif came.soa < 0:  # RFC 2308 section 5
        return None
    else:
        bounds, tree = settings.denial, _denier(query, answer)
        message = came.denying(bounds.min_ttl, bounds.max_ttl)
        ttl = message.least_of(2)
    return Cacheable(kind, message, message is not own, ttl, tree)


def _kind(query: Query, rcode: int, message: Relayed) -> Kind:
    if rcode in _FAILURES:
        return "failure"
    return "success" if rcode == Rcode.NOERROR and _is_positive(query, message) else "denial"


def capped(answer: Answer, settings: Settings) -> Answer:
    """The answer with TTLs no longer than answers are cached, for what is not cached itself."""
    most = (settings.success if answer.answer else settings.denial).max_ttl
    for section in (answer.answer, answer.authority, answer.additional):
        if type(section) is not tuple:
            return _capped(answer, most)
        for record in section:
            if record.ttl > most:
                return _capped(answer, most)
    return answer


def _capped(answer: Answer, most: int) -> Answer:
    message = message_of(answer)
    if message is not None:
        return answer if message.most <= most else with_message(answer, message.bounded(0, most))
    found = (answer.answer, answer.authority, answer.additional)
    if True not in [_exceeds(section, most) for section in found]:
        return answer
    answers, authorities, additionals = (
        tuple([replace(record, ttl=min(record.ttl, most)) for record in section])
        for section in found
    )
    return replace(answer, answer=answers, authority=authorities, additional=additionals)


def _exceeds(section: Sequence[Record], most: int) -> bool:
    if isinstance(section, LazyRecords):  # they have one TTL: for this alone none is made
        return section.ttl > most
    return any(record.ttl > most for record in section)


def _packed(query: Query, answer: Answer) -> Relayed | None:
    """The records as in a message to this client. None if none can hold them."""
    if not (answer.answer or answer.authority or answer.additional):
        return EMPTY
    answer = replace(echoed(query, answer), errors=(), options=())
    alone = replace(query, edns=None, transport="tcp")
    response = decode(b"\0\0" + reply(alone, encode(alone, answer)))
    if not isinstance(response, Response) or response.truncated:
        return None
    return message_of(Answer(0, response.answer, response.authority, response.additional))


def _denier(query: Query, answer: Answer) -> object | None:
    """Who denies the name itself, and not the target of an alias or something unusual; None for nobody."""
    denial = answer.denial
    if denial is None or answer.rcode != Rcode.NXDOMAIN or answer.answer:
        return None
    return denial.tree if denial.name == query.name and query.qtype not in _META_TYPES else None


def _is_positive(query: Query, message: Relayed) -> bool:
    """Whether it has what was asked for, at the end of the CNAMEs, or refers to who may have it."""
    if message.answered:
        return True
    answer, authority, _ = sections(message)
    if not answer:
        return message.soa < 0 and any(record.rtype == Type.NS for record in authority)
    if query.qtype == Type.ANY:
        return True
    owners = {(r.owner.lower(), r.rtype): r for r in answer}
    name = query.qname.lower()
    for _ in range(_MAX_CHAIN):
        if (name, query.qtype) in owners:
            return True
        if (alias := owners.get((name, Type.CNAME))) is None:
            return False
        name = alias.rdata.lower()
    return False
