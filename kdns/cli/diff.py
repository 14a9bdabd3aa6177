"""``kdns diff``: the same questions to two sides, and what they answer differently."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from msgspec import Struct

from kdns.cli import configured, servers, sides
from kdns.cli.sides import Question, Side
from kdns.config.tree import ConfigError
from kdns.wire.constants import Type, type_name
from kdns.wire.message import Record
from kdns.wire.names import Name, to_text, wire_to_text
from kdns.wire.presentation import rdata_text

EXAMPLES: Final = """\
examples:
  kdns diff @10.96.0.10 @127.0.0.1:1053 --names api    CoreDNS and kdns: what would change?
  kdns diff before.yaml after.yaml                     two sets of manifests, or kubectl get -o yaml
  kdns diff zones-before @10.96.0.10                   a folder that kdns dump -o wrote, and now
  kdns diff Corefile Corefile.new                      two configurations

Lines with - are answers of the first side only, + of the second. Exit status 0: the same; 1: not; 2: it
could not be found out.
"""

AT_ONCE: Final = 32
"""Questions under way at one time."""
_SERIAL_FROM: Final = -20
_SERIAL_TO: Final = -16
"""Octets of an SOA's serial from its end, which two servers need not share."""


class Difference(Struct, frozen=True):
    """Lines that only one of the sides has, without their sign."""

    name: Name
    qtype: int
    first: list[str]
    second: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "words",
        nargs="*",
        metavar="A B",
        help="each one of @SERVER, manifests, zone files, a Corefile, or api: what the options below name",
    )
    parser.add_argument(
        "--names",
        default="",
        metavar="SIDE",
        help="whose names to ask for (default: those of both sides; a server is asked for them by AXFR)",
    )
    servers.add_port(parser, "the servers' port")
    parser.add_argument("--with-ttl", action="store_true", help="compare TTLs too")
    configured.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the differences. Returns 0 for none, 1 for some, 2 where it could not be found out."""
    try:
        if len(options.words) != 2:
            raise ConfigError("expected two sides, such as @10.96.0.10 and @127.0.0.1:1053")
        count, found = asyncio.run(_compare(options))
    except ConfigError as error:
        print(f"kdns: {error}", file=sys.stderr)
        return 2
    for difference in found:
        for sign, lines in (("-", difference.first), ("+", difference.second)):
            print("".join(f"{sign} {line}\n" for line in lines), end="")
    print(f"; {count} questions, {len(found)} answered differently", file=sys.stderr)
    return 1 if found else 0


async def _compare(options: argparse.Namespace) -> tuple[int, list[Difference]]:
    async with AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(sides.opened(word, options)) for word in options.words
        ]
        telling = both
        if options.names:
            telling = [await stack.enter_async_context(sides.opened(options.names, options))]
        questions = _worth_asking([await side.questions() for side in telling])
        if not questions:
            for side in both:
                await side.ask((), Type.SOA)  # who is not there at all is told first
            raise ConfigError(
                "neither side tells its names, a server only where it allows transfers (AXFR): "
                "say by --names whose to ask for, such as api or manifests"
            )
        return len(questions), await _differences(both, questions, options.with_ttl)


def _worth_asking(told: list[set[Question]]) -> list[Question]:
    """What is there, and both address types of each name, which applications ask for."""
    found = {question for questions in told for question in questions}
    addressed = {name for name, _ in found if name[-1:] != ("arpa",)}
    found |= {(name, qtype) for name in addressed for qtype in (Type.A, Type.AAAA)}
    return sorted(
        ((name, qtype) for name, qtype in found if qtype != Type.CNAME),
        key=lambda question: (question[0][::-1], question[1]),
    )


async def _differences(
    both: list[Side], questions: list[Question], with_ttl: bool
) -> list[Difference]:
    await asyncio.gather(*(side.ask(*questions[0]) for side in both))  # fails at once, if it does
    slots = asyncio.Semaphore(AT_ONCE)

    async def compare(name: Name, qtype: int) -> Difference:
        async with slots:
            answers = [await side.ask(name, qtype) for side in both]
        first, second = (set(_lines(name, qtype, *answer, with_ttl)) for answer in answers)
        return Difference(name, qtype, sorted(first - second), sorted(second - first))

    found = await asyncio.gather(*(compare(*question) for question in questions))
    return [each for each in found if each.first or each.second]


def _lines(
    name: Name, qtype: int, kind: str, records: Sequence[Record], with_ttl: bool
) -> list[str]:
    if kind:
        chain = (
            f"{type_name(each.rtype)} {rdata_text(each.rtype, each.rdata)}" for each in records
        )
        return [" after ".join((f"{to_text(name)} {type_name(qtype)} {kind}", *chain))]
    return [_line(record, with_ttl) for record in records]


def _line(record: Record, with_ttl: bool) -> str:
    data = record.rdata
    if record.rtype == Type.SOA:
        data = data[:_SERIAL_FROM] + bytes(4) + data[_SERIAL_TO:]
    ttl = f" {record.ttl}" if with_ttl else ""
    owner = wire_to_text(record.owner).lower()
    return f"{owner}{ttl} {type_name(record.rtype)} {rdata_text(record.rtype, data)}"
