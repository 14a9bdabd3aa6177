"""``fault NAME { delay D | rcode R | drop | truncate … }``: trouble on purpose, at a name and below it.

For finding out how an application takes it. Chance is seeded, so that a run can be repeated. No answer
that a fault touched or might have touched is kept, nor does ``cache`` see it.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import durations
from kdns.config.tree import Location, Option
from kdns.plugins.interface import Context, Handler
from kdns.plugins.options import read_number
from kdns.wire.constants import ErrorCode, rcode_name, rcode_number
from kdns.wire.message import Answer, Query
from kdns.wire.names import BadNameError, Name, from_text, is_below, to_text
from kdns.wire.reasons import because

NAME: Final = "fault"

MAX_DELAY: Final = 60.0
"""Seconds: each delayed question is kept in memory meanwhile, and nobody waits for longer."""

MAX_SEED: Final = 999_999_999

PLACE: Final = Location("fault set")
"""Where a fault is written that no file has."""

Kind: TypeAlias = Literal["delay", "drop", "rcode", "truncate"]
_PERCENT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%")


class Trouble(Struct, frozen=True):
    """One thing that goes wrong."""

    kind: Kind
    percent: float = 100.0
    """Of the questions."""
    delay: float = 0.0
    """Seconds."""
    rcode: int = 0

    def __str__(self) -> str:
        what = {
            "delay": f"delay {durations.format_duration(self.delay)}",
            "rcode": f"rcode {rcode_name(self.rcode)}",
        }.get(self.kind, self.kind)
        return what if self.percent >= 100 else f"{what} {self.percent:g}%"


class Settings(Struct, frozen=True):
    """A name and what goes wrong there."""

    name: Name
    troubles: tuple[Trouble, ...]
    seed: int = 0

    def __str__(self) -> str:
        seed = f" seed {self.seed}" if self.seed else ""
        return f"{to_text(self.name)} {' '.join(map(str, self.troubles))}{seed}"


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    name = name_of(directive.one(), directive)
    troubles: list[Trouble] = []
    seed = 0
    for option in directive.options:
        if option.name == "seed":
            seed = read_number(option, option.one(), 0, MAX_SEED)
        elif option.name in _OPTIONS:
            troubles.append(_trouble(option))
        else:
            option.fail(f"not an option of fault; expected {', '.join(_OPTIONS)} or seed")
    if not troubles:
        directive.fail(f"nothing goes wrong; say which of {', '.join(_OPTIONS)}")
    return Settings(name, tuple(troubles), seed)


_OPTIONS: Final[tuple[Kind, ...]] = ("delay", "drop", "rcode", "truncate")
_TAKES_VALUE: Final = frozenset({"delay", "rcode"})


def _trouble(option: Option) -> Trouble:
    words, percent = list(option.args), 100.0
    if words and (found := _PERCENT.fullmatch(words[-1])) and float(found[1]) <= 100:
        percent = float(found[1])
        words.pop()
    if len(words) != (option.name in _TAKES_VALUE):
        expected = {"delay": "delay DURATION", "rcode": "rcode NAME"}.get(option.name, option.name)
        option.fail(f"expected {expected} and maybe a share such as 10%")
    if option.name == "delay":
        delay = durations.read_positive_or_zero(option, words[0])
        if delay > MAX_DELAY:
            option.fail(f"{MAX_DELAY:g} seconds are the most")
        return Trouble("delay", percent, delay=delay)
    if option.name == "rcode":
        rcode = rcode_number(words[0])
        if rcode is None:
            option.fail(f"expected a response code such as SERVFAIL, not {words[0][:40]!r}")
        return Trouble("rcode", percent, rcode=rcode)
    return Trouble("drop" if option.name == "drop" else "truncate", percent)


def name_of(text: str, option: Option) -> Name:
    """Raises ``ConfigError`` at the option for what is no name."""
    try:
        return from_text(text)
    except BadNameError as error:
        option.fail(str(error))


def from_words(words: list[str]) -> Option:
    """The directive that ``NAME delay 200ms 10% drop …`` on one line stands for, unread."""
    lines: list[list[str]] = []
    for word in words[1:]:
        if word in {*_OPTIONS, "seed"} or not lines:
            lines.append([word])
        else:
            lines[-1].append(word)
    options = tuple(Option(line[0], tuple(line[1:]), PLACE) for line in lines)
    return Option(NAME, tuple(words[:1]), PLACE, options)


def wrap(settings: Settings, next_handler: Handler, context: Context | None = None) -> Handler:
    """The stage; also for faults that are set while the server runs, around a whole chain."""
    return Faulty(settings, next_handler).answer


class Faulty:
    """Things go wrong in the order: later, not at all, another code, cut off."""

    def __init__(self, settings: Settings, next_handler: Handler) -> None:
        self.settings, self.next = settings, next_handler
        order = sorted(settings.troubles, key=lambda trouble: _OPTIONS.index(trouble.kind))
        self.troubles = tuple(order)
        self.random = random.Random(settings.seed)

    async def answer(self, query: Query) -> Answer:
        # What the server asks itself (an alias' target) is a part of another answer.
        if query.transport == "internal" or not is_below(query.name, self.settings.name):
            return await self.next(query)
        for trouble in self.troubles:
            if self.random.random() * 100 >= trouble.percent:
                continue
            if query.trace is not None:
                query.trace.append(f"fault: {trouble}")
            if trouble.kind == "delay":
                await asyncio.sleep(trouble.delay)
            elif trouble.kind != "truncate" or query.transport == "udp":
                return _spoilt(query, trouble)
        return replace(await self.next(query), keep_until=0.0)


def _spoilt(query: Query, trouble: Trouble) -> Answer:
    return Answer(
        trouble.rcode,
        truncated=trouble.kind == "truncate",
        silent=trouble.kind == "drop",
        errors=because(query, ErrorCode.OTHER, f"a fault set on purpose: {trouble}"),
        keep_until=0.0,
        plugin=NAME,
    )
