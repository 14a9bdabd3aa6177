"""``errors``: a failure of a later stage becomes one log line and SERVFAIL.

Lines are CoreDNS's, so that what reads its log reads this: ``plugin/errors: 2 NAME TYPE: TEXT``.
With ``consolidate`` the errors that match a pattern are counted and reported once a period.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from msgspec import Struct

from kdns.config import durations
from kdns.config.tree import Option
from kdns.plugins import go_regex
from kdns.plugins.interface import Context, Handler
from kdns.wire.constants import Rcode, type_name
from kdns.wire.message import Answer, Query
from kdns.wire.names import to_text

logger: Final = logging.getLogger("kdns.errors")

LEVELS: Final = {
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
UNHANDLED: Final = "plugin/errors: no next plugin found"
"""The peer's words when a question falls out of the chain's end."""


class Pattern(Struct, frozen=True):
    """``consolidate PERIOD REGEX [LEVEL] [show_first]``."""

    period: float
    """Seconds."""
    regex: str
    level: int = logging.ERROR
    show_first: bool = False


class Settings(Struct, frozen=True):
    """What the directive says."""

    stacktrace: bool = False
    patterns: tuple[Pattern, ...] = ()


def parse(directive: Option) -> Settings:
    """``errors [stdout] { stacktrace; consolidate … }``. Raises ``ConfigError``."""
    if directive.args not in {(), ("stdout",)}:
        directive.fail(f"takes no argument but 'stdout', got {' '.join(directive.args)!r}")
    patterns, stacktrace = [], False
    for option in directive.options:
        match option.name:
            case "stacktrace":
                stacktrace = True
            case "consolidate":
                patterns.append(_parse_pattern(option))
            case _:
                option.fail("not an option of errors; expected stacktrace or consolidate")
    return Settings(stacktrace, tuple(patterns))


def _parse_pattern(option: Option) -> Pattern:
    if not 2 <= len(option.args) <= 4:
        option.fail("expected DURATION REGEX [LEVEL] [show_first]")
    period, regex, *extras = option.args
    level, show_first = _parse_extras(option, extras)
    seconds = durations.read(option, period)
    _check_regex(option, regex)
    return Pattern(seconds, regex, level, show_first)


def _check_regex(option: Option, regex: str) -> None:
    try:
        go_regex.compile(regex)
    except ValueError as error:
        option.fail(str(error))


def _parse_extras(option: Option, extras: list[str]) -> tuple[int, bool]:
    levels = [word for word in extras if word in LEVELS]
    for word in extras:
        if word not in LEVELS and word != "show_first":
            option.fail(f"unknown word {word!r}; expected {', '.join(LEVELS)} or show_first")
    if len(levels) > 1:
        option.fail("more than one log level")
    show_first = "show_first" in extras
    if levels and show_first and extras[0] == "show_first":
        option.fail("the log level must stand before show_first")
    return LEVELS[levels[0]] if levels else logging.ERROR, show_first


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Catch what later stages raise."""
    report = Report(settings)

    async def answer(query: Query) -> Answer:
        try:
            reply = await next_handler(query)
        except Exception as error:
            report(query, str(error) or type(error).__name__, error)
            return Answer(Rcode.SERVFAIL, authoritative=False, keep_until=0.0)
        if reply.failure and query.transport != "internal":
            report(query, reply.failure)
        if not reply.handled and reply.rcode == Rcode.SERVFAIL and query.transport != "internal":
            report(query, UNHANDLED)
        return reply

    return answer


class Report:
    """Logs an error at once, or counts it for the summary of its pattern."""

    def __init__(self, settings: Settings) -> None:
        self.stacktrace = settings.stacktrace
        self.consolidations = [Consolidation(pattern) for pattern in settings.patterns]

    def __call__(self, query: Query, text: str, error: Exception | None = None) -> None:
        level = logging.ERROR
        for consolidation in self.consolidations:
            if consolidation.matches(text):
                if consolidation.count_one():
                    return
                level = consolidation.pattern.level
                break
        name, rtype = to_text(query.name), type_name(query.qtype)
        trace = error if self.stacktrace else None
        logger.log(
            level, "plugin/errors: %d %s %s: %s", Rcode.SERVFAIL, name, rtype, text, exc_info=trace
        )


_open: WeakSet[Consolidation] = WeakSet()


class Consolidation:
    """The errors of one pattern since the first one of the running period."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.matches: Callable[[str], object] = go_regex.compile(pattern.regex).search
        self.count = 0
        self._timer: asyncio.TimerHandle | None = None

    def count_one(self) -> bool:
        """Whether the error needs no line of its own."""
        self.count += 1
        if self.count > 1:
            return True
        self._timer = asyncio.get_running_loop().call_later(self.pattern.period, self.flush)
        _open.add(self)
        return not self.pattern.show_first

    def flush(self) -> None:
        """End the period: one line for what was not shown."""
        if self._timer:
            self._timer.cancel()
        count, self.count = self.count, 0
        if count > 1 or (count and not self.pattern.show_first):
            logger.log(
                self.pattern.level,
                "plugin/errors: %d errors like '%s' occurred in last %s",
                *(count, self.pattern.regex, durations.format_duration(self.pattern.period)),
            )


def flush() -> None:
    """Log every summary that is still open. For the end of the server: its timers will not fire."""
    for consolidation in tuple(_open):
        consolidation.flush()
