"""``loadbalance [round_robin|weighted FILE] { … }``: the order of addresses changes from answer to answer.

Where this directive is in the server block, the addresses at the end of a reply are rotated when it is
encoded or sent from the reply cache, each of them first equally often. This stage orders the rest. Where
rotating does not do (weights, preferred networks) the answer says so, and is not cached when there is
something to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import count
from random import choices
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import durations
from kdns.config.tree import Option
from kdns.plugins.interface import Context, Followed, Handler, file_key
from kdns.plugins.options import read_options
from kdns.plugins.root import rooted
from kdns.plugins.weights import Weights, parse_weights
from kdns.wire.address_records import AddressRecords, LazyRecords
from kdns.wire.constants import TRANSFERS, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import from_wire

ADDRESSES: Final = frozenset({Type.A, Type.AAAA})
WEIGHTED: Final = frozenset({Type.A, Type.AAAA, Type.SRV})
"""The types of questions whose answers have weights."""

POLICIES: Final = ("round_robin", "weighted")
DEFAULT_RELOAD: Final = 30.0  # seconds
DEFAULT_WEIGHT: Final = 1

Network: TypeAlias = IPv4Network | IPv6Network


class Settings(Struct, frozen=True):
    """What the directive says."""

    weights: str = ""
    """The file of ``weighted``; "" for ``round_robin``."""
    reload: float = DEFAULT_RELOAD
    """Seconds between two looks at that file at most; 0 for never."""
    prefer: tuple[Network, ...] = ()
    """Whose addresses come first, in this order."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    policy, *rest = directive.args or (POLICIES[0],)
    if policy not in POLICIES:
        directive.fail(f"unknown policy {policy!r}; expected {' or '.join(POLICIES)}")
    if policy == "weighted" and len(rest) != 1:
        directive.fail(f"weighted takes exactly one file, got {len(rest)}")
    if policy != "weighted" and rest:
        directive.fail(f"round_robin takes no argument, got {rest[0]!r}")
    settings = Settings("".join(rest))
    return read_options(directive, settings, _OPTIONS)


def _reload(settings: Settings, option: Option) -> Settings:
    if not settings.weights:
        option.fail("is for weighted alone")
    return replace(settings, reload=durations.read_positive_or_zero(option, option.one()))


def _prefer(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("takes at least one network")
    try:
        networks = tuple(ip_network(word, strict=False) for word in option.args if "/" in word)
    except ValueError as error:
        option.fail(str(error))
    if len(networks) != len(option.args):
        option.fail("takes networks such as 10.0.0.0/8")
    return replace(settings, prefer=(*settings.prefer, *networks))


_OPTIONS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "reload": _reload,
    "prefer": _prefer,
}

_turn = count()


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Order the answers of later stages."""
    if settings.weights or settings.prefer:
        return Balancer(settings, next_handler, context).answer

    async def answer(query: Query) -> Answer:
        reply = await next_handler(query)
        if query.qtype != Type.MX or len(reply.answer) < 2:
            return reply  # addresses are rotated in the reply
        return replace(reply, answer=rotate(reply.answer, next(_turn)))

    return answer


class Balancer:
    """The stage with weights or preferred networks."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.next, self.prefer = next_handler, settings.prefer
        self.file: Followed[Weights] | None = None
        if settings.weights:
            path = rooted(settings.weights, context.block)
            read = partial(parse_weights, path=path)
            self.file = context.text_file(path, settings.reload, read)
            self.keys = frozenset((file_key(path),))

    async def answer(self, query: Query) -> Answer:
        reply = await self.next(query)
        if reply.rcode != Rcode.NOERROR or query.qtype in TRANSFERS:
            return reply
        chosen = False
        if self.file is None:
            turn = next(_turn)
            reply = replace(reply, answer=rotate(reply.answer, turn))
        elif query.qtype in WEIGHTED:
            reply, chosen = self._weigh(reply, self.file.value)
        if self.prefer:
            reply = self._put_first(reply)
            chosen = chosen or any(map(self._has_choice, (reply.answer, reply.additional)))
        return replace(reply, keep_until=0.0, ordered=True) if chosen else reply

    def _weigh(self, reply: Answer, weights: Weights) -> tuple[Answer, bool]:
        """With an address first that was drawn, and whether they have different chances.

        Where all have the same, rotating in the reply is as good.
        """
        reply = replace(reply, keys=reply.keys | self.keys)
        answer, drawn = _draw(reply.answer, weights)
        additional, drawn_too = _draw(reply.additional, weights)
        return replace(reply, answer=answer, additional=additional), drawn or drawn_too

    def _put_first(self, reply: Answer) -> Answer:
        """Addresses of preferred networks first; others keep their order."""
        answer, additional = map(self._ordered, (reply.answer, reply.additional))
        return replace(reply, answer=answer, additional=additional, ordered=True)

    def _ordered(self, records: Sequence[Record]) -> tuple[Record, ...]:
        addresses = [record for record in records if record.rtype in ADDRESSES]
        addresses.sort(key=self._rank)
        aliases = [record for record in records if record.rtype == Type.CNAME]
        rest = [r for r in records if r.rtype not in ADDRESSES and r.rtype != Type.CNAME]
        return (*aliases, *addresses, *rest)

    def _rank(self, record: Record) -> int:
        address = ip_address(record.rdata)
        ranks = (rank for rank, network in enumerate(self.prefer) if address in network)
        return next(ranks, len(self.prefer))

    def _has_choice(self, records: Sequence[Record]) -> bool:
        """Whether two addresses stand in an order that is as good as another."""
        ranks = [self._rank(record) for record in records if record.rtype in ADDRESSES]
        return len(set(ranks)) < len(ranks)


def _draw(records: Sequence[Record], weights: Weights) -> tuple[Sequence[Record], bool]:
    places = [at for at, record in enumerate(records) if record.rtype in ADDRESSES]
    if len(places) < 2:
        return records, False
    shares = [
        weights.get(from_wire(records[at].owner), {}).get(records[at].rdata, DEFAULT_WEIGHT)
        for at in places
    ]
    (drawn,) = choices(places, shares)
    found = list(records)
    found[places[0]], found[drawn] = found[drawn], found[places[0]]
    return tuple(found), len(set(shares)) > 1


def rotate(records: Sequence[Record], turn: int) -> Sequence[Record]:
    """Other records first as they are (CNAMEs lead), then the addresses and MX, each turned."""
    if isinstance(records, AddressRecords):
        return records.turned(turn)
    if isinstance(records, LazyRecords):  # SRV, which are chosen among by weight
        return records
    addresses = [record for record in records if record.rtype in ADDRESSES]
    exchanges = [record for record in records if record.rtype == Type.MX]
    others = [r for r in records if r.rtype not in ADDRESSES and r.rtype != Type.MX]
    return (*others, *_turned(addresses, turn), *_turned(exchanges, turn))


def _turned(records: list[Record], turn: int) -> list[Record]:
    at = turn % len(records) if records else 0
    return records[at:] + records[:at]
