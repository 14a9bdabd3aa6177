"""``kdns wait``: for scripts and CI, until a name is there, is gone, or has an address."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from time import monotonic
from typing import Final, TypeAlias

from msgspec.structs import replace

from kdns.cli import query
from kdns.cli.query import Question
from kdns.cli.telling import ignore
from kdns.config.durations import parse_duration
from kdns.config.tree import ConfigError
from kdns.stub.flavours import FLAVOURS
from kdns.stub.resolver_config import ResolverConfig
from kdns.stub.walk import Result, walk
from kdns.wire.constants import Rcode, rcode_name, type_name
from kdns.wire.presentation import rdata_text

EXAMPLES: Final = """\
examples:
  kdns wait web.shop.svc.cluster.local @10.96.0.10                    until it has an address
  kdns wait db -n shop @10.96.0.10 --for count=3 --timeout 2m         until three Pods are ready
  kdns wait web.shop.svc.cluster.local. @10.96.0.10 --for absent      until it is gone
  kdns wait web -n shop @10.96.0.10 --for address=10.96.7.7
"""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks: few at first, since a change is visible within milliseconds."""
ATTEMPT: Final = 1
"""Seconds for one question: a server that restarts is to be asked again soon."""

_PROOF: Final = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})
"""Response codes that say whether there is something."""

Test: TypeAlias = Callable[[Result], bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments: those of ``kdns query``, and what to wait for."""
    query.add_question(parser)
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--for",
        dest="condition",
        default="present",
        metavar="WHAT",
        help="present, absent, address=ADDRESS, or count=N records at least (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        dest="patience",
        default="60s",
        metavar="TIME",
        help="give up after this time, such as 90s or 5m (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Wait. Returns 0 once it is so, 1 when the time is over."""
    asked = query.question(options)
    test, seconds = condition(options.condition), _seconds(options.patience)
    started = monotonic()
    conf = replace(query.resolver(options, asked), timeout=ATTEMPT, attempts=1)
    met, last = asyncio.run(_until(asked, options, conf, test, seconds))
    spent = f"after {monotonic() - started:.1f} s"
    if not asked.short:
        print(
            f"{asked.name}: {'' if met else f'still not {options.condition}, '}{spent}: {said(last)}"
        )
    return 0 if met else 1


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"--timeout: {error}") from None
    if seconds < 0:
        raise ConfigError(f"--timeout: {text} is over already")
    return seconds


def condition(text: str) -> Test:
    """What ``--for`` asks for. Raises ``ConfigError``."""
    kind, _, value = text.partition("=")
    if text == "present":
        return lambda result: bool(result.records)
    if text == "absent":
        return _absent
    if kind == "count" and value.isascii() and value.isdigit():
        if not int(value[:9]):
            raise ConfigError("--for count=0 would always be so; say absent")
        return lambda result: len(result.records) >= int(value[:9])
    try:
        wanted = ip_address(value).packed if kind == "address" else b""
    except ValueError as error:
        raise ConfigError(f"--for address: {error}") from None
    if not wanted:
        raise ConfigError(
            f"--for: expected present, absent, address=ADDRESS or count=N, found {text!r}"
        )
    return lambda result: any(record.rdata == wanted for record in result.records)


def _absent(result: Result) -> bool:
    """Somebody must have said so: silence and failures are no proof."""
    replies = [step.rcode for step in result.steps]
    return not result.records and all(code in _PROOF for code in replies)


async def _until(
    asked: Question, options: argparse.Namespace, conf: ResolverConfig, test: Test, seconds: float
) -> tuple[bool, Result]:
    """Look until the test is met or the time is over; at least once."""
    flavour = FLAVOURS[options.resolver]
    async with query.asking(options, conf) as known:
        end, pause = monotonic() + seconds, FIRST_PAUSE
        while True:
            result = await walk(asked.name, asked.qtypes, known, flavour, ignore)
            left = end - monotonic()
            if test(result) or left <= 0:
                return test(result), result
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)


def said(result: Result) -> str:
    """What the last look has shown."""
    if result.records:
        return ", ".join(rdata_text(each.rtype, each.rdata) for each in result.records)
    # The first question is what was meant; but what failed is why absence is not sure.
    step = next((each for each in result.steps if each.rcode not in _PROOF), result.steps[0])
    what = rcode_name(step.rcode) if step.response else step.problem
    reasons = "".join(f", {reason}" for reason in step.reasons)
    return f"{step.name} {type_name(step.qtype)} {what}{reasons}"
