"""``loadbalance [round_robin]``: the order of A, AAAA and MX records changes from answer to answer.

This stage turns what is newly made; replies that are kept as bytes are turned by who keeps them,
when this directive stands in the server block.
"""

from __future__ import annotations

from itertools import count
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import Answer, Query, Record

ADDRESSES: Final = frozenset({Type.A, Type.AAAA})
TRANSFERS: Final = frozenset({Type.AXFR, Type.IXFR})


class Settings(Struct, frozen=True):
    """What the directive says: only ``round_robin``, and so nothing to choose."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``, also for CoreDNS's policies that are not there yet."""
    if directive.args:
        _check_policy(directive)
    for option in directive.options:
        if option.name == "prefer":
            option.fail("not supported yet; only round_robin without options is")
        option.fail("not an option of loadbalance")
    return Settings()


def _check_policy(directive: Option) -> None:
    policy, *rest = directive.args
    if policy == "weighted":
        directive.fail("weighted is not supported yet; only round_robin is")
    if policy != "round_robin":
        directive.fail(f"unknown policy {policy!r}; expected round_robin")
    if rest:
        directive.fail(f"round_robin takes no argument, got {rest[0]!r}")


_turn = count()


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Turn the Answer section of what later stages say."""

    async def answer(query: Query) -> Answer:
        reply = await next_handler(query)
        if len(reply.answer) < 2 or reply.rcode != Rcode.NOERROR or query.qtype in TRANSFERS:
            return reply
        return replace(reply, answer=rotate(reply.answer, next(_turn)))

    return answer


def rotate(records: tuple[Record, ...], turn: int) -> tuple[Record, ...]:
    """Other records first as they are (CNAMEs lead), then the addresses and MX, each turned."""
    addresses = [record for record in records if record.rtype in ADDRESSES]
    exchanges = [record for record in records if record.rtype == Type.MX]
    others = [r for r in records if r.rtype not in ADDRESSES and r.rtype != Type.MX]
    return (*others, *_turned(addresses, turn), *_turned(exchanges, turn))


def _turned(records: list[Record], turn: int) -> list[Record]:
    at = turn % len(records) if records else 0
    return records[at:] + records[:at]
