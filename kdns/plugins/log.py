"""``log [NAMES…] [FORMAT] { class … }``: a line for every answered question, as CoreDNS writes it.

Not a stage but an observer: it must know the size of the reply and how long it took.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.interface import Context
from kdns.plugins.log_format import Exchange, Format, parse_format
from kdns.wire.constants import Opcode, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import BadNameError, Name, from_text, is_below

logger: Final = logging.getLogger("kdns.log")

COMMON: Final = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
COMBINED: Final = COMMON + ' "{>opcode}"'

ALL: Final = "all"
CLASSES: Final = ("success", "denial", "error", ALL)


class Rule(Struct, frozen=True):
    """Which names, which classes of answers, and how their line looks."""

    scope: Name = ()
    format: str = COMMON
    classes: frozenset[str] = frozenset({ALL})


class Settings(Struct, frozen=True):
    """What the directive says; the first rule that a name lies in decides."""

    rules: tuple[Rule, ...] = (Rule(),)


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    words, text = list(directive.args), COMMON
    # With a single argument it is a name, whatever it looks like: so the peer reads it.
    if len(words) > 1 and "{" in words[-1]:
        text = words.pop().replace("{common}", COMMON).replace("{combined}", COMBINED)
    classes = _parse_classes(directive.options)
    scopes = [_parse_scope(directive, word) for word in words] or [()]
    return Settings(tuple(Rule(scope, text, classes) for scope in scopes))


def _parse_scope(directive: Option, word: str) -> Name:
    try:
        return from_text(word)
    except BadNameError as error:
        hint = "; a format must follow at least one name" if "{" in word else ""
        directive.fail(f"{error}{hint}")


def _parse_classes(options: tuple[Option, ...]) -> frozenset[str]:
    classes: set[str] = set()
    for option in options:
        if option.name != "class":
            option.fail(f"not an option of log; expected class {'|'.join(CLASSES)}")
        if not option.args:
            option.fail(f"expected at least one of {', '.join(CLASSES)}")
        for word in option.args:
            if word not in CLASSES:
                option.fail(f"unknown class {word!r}; expected {', '.join(CLASSES)}")
        classes.update(option.args)
    return frozenset(classes) or frozenset({ALL})


def observe(context: Context, *settings: Settings) -> QueryLog:
    """The observer of a server block; with several ``log`` directives, all of their rules in order."""
    return QueryLog(tuple(rule for one in settings for rule in one.rules), context)


class QueryLog:
    """Writes the lines."""

    def __init__(self, rules: tuple[Rule, ...], context: Context) -> None:
        self._context = context
        self._rules: list[tuple[Rule, Format]] = [(r, parse_format(r.format)) for r in rules]

    def wants(self, query: Query, answer: Answer) -> bool:
        return self._format_for(query, answer) is not None

    def __call__(
        self, query: Query, answer: Answer, response_size: int, duration_seconds: float
    ) -> None:
        form = self._format_for(query, answer)
        if form is not None and logger.isEnabledFor(logging.INFO):
            published = partial(self._published, query, answer)
            exchange = Exchange(query, answer, response_size, duration_seconds, published)
            logger.info("%s", form(exchange))

    def _published(self, query: Query, answer: Answer, label: str) -> str:
        own = _PUBLISHED.get(label)
        if own is not None:
            answer = replace(answer, metadata=((label, own(query, answer)),))
        return self._context.metadata(query, label, answer)

    def _format_for(self, query: Query, answer: Answer) -> Format | None:
        for rule, form in self._rules:
            if is_below(query.name, rule.scope):
                wanted = ALL in rule.classes or classify(query, answer) in rule.classes
                return form if wanted else None
        return None


def classify(query: Query, answer: Answer) -> str:
    """``success``, ``denial`` or ``error``, as the peer's classes go."""
    return _CLASS_OF.get(typify(query, answer), "error")


def typify(query: Query, answer: Answer) -> str:
    """What sort of answer it is, as the peer tells them apart: ``NOERROR``, ``NODATA`` and so on.

    Transfers and NOTIFY are ``META``. NODATA without an SOA is ``NOERROR``, NXDOMAIN with records (an
    alias to nothing) ``OTHERERROR``.
    """
    if query.opcode == Opcode.UPDATE:
        return "UPDATE"
    if query.opcode == Opcode.NOTIFY or query.qtype in {Type.AXFR, Type.IXFR}:
        return "META"
    if answer.rcode == Rcode.NXDOMAIN:
        return "OTHERERROR" if answer.answer else "NXDOMAIN"
    if answer.rcode == Rcode.SERVFAIL:
        return "SERVERERROR"
    if answer.rcode != Rcode.NOERROR:
        return "OTHERERROR"
    return "NOERROR" if answer.answer else _typify_empty(answer.authority)


def _typify_empty(authority: Sequence[Record]) -> str:
    types = {record.rtype for record in authority}
    if Type.SOA in types:
        return "NODATA"
    return "DELEGATION" if Type.NS in types else "NOERROR"


_CLASS_OF: Final = {
    "NOERROR": "success",
    "DELEGATION": "success",
    "NODATA": "denial",
    "NXDOMAIN": "denial",
}

_PUBLISHED: Final = {"log/class": classify, "log/type": typify}
"""What this directive itself publishes, of answers."""
