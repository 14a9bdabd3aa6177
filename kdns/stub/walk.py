"""A name's whole way: one candidate after the other until the library would stop."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

from msgspec import Struct

from kdns.stub.exchange import Exchange, Report
from kdns.stub.flavours import Flavour
from kdns.stub.resolver_config import ResolverConfig
from kdns.stub.steps import Step, Verdict
from kdns.wire.constants import Type
from kdns.wire.message import Record

ADDRESSES: Final = (Type.A, Type.AAAA)


class Result(Struct, frozen=True):
    """What the application gets."""

    steps: tuple[Step, ...]
    records: tuple[Record, ...]
    """Of the types that were asked for; empty where it fails."""
    name: str
    """The name that was found, or the last that was tried."""
    failure: str
    """The library's words; "" where something was found."""
    seconds: float

    @property
    def wasted(self) -> int:
        """How many questions were about other names than the one that was found."""
        return sum(step.name != self.name for step in self.steps) if self.records else 0


async def walk(
    name: str, qtypes: Sequence[int], conf: ResolverConfig, flavour: Flavour, report: Report
) -> Result:
    """Ask as the library would. ``conf`` has at least one server."""
    steps: list[Step] = []

    def note(step: Step) -> None:
        steps.append(step)
        report(step)

    exchange, started = Exchange(conf, note), monotonic()
    wanted = [qtype for qtype in qtypes if not (conf.no_aaaa and qtype == Type.AAAA)]
    verdicts: list[tuple[str, Verdict]] = []
    records: tuple[Record, ...] = ()
    left = flavour.candidates(name, conf)
    while left:
        candidate, *left = left
        final = await exchange.ask(flavour.name, candidate, wanted or list(qtypes))
        found = flavour.judge(final)
        verdicts.append((candidate, found))
        if found is Verdict.FOUND:
            records = tuple([record for step in final for record in step.found])
            break
        left = flavour.after(candidate, found, left, name)
    failure = "" if records else flavour.failure(verdicts, name)
    return Result(tuple(steps), records, verdicts[-1][0], failure, monotonic() - started)
