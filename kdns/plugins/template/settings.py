"""The options of the ``template`` directive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins import go_regex
from kdns.plugins.options import read_options
from kdns.plugins.template.definitions import (
    Definitions,
    compile_definitions,
    read_condition,
    read_variable,
)
from kdns.plugins.template.go_template import TemplateError, compile_template
from kdns.plugins.zones import Fallthrough, parse_fallthrough, parse_zones
from kdns.wire.constants import Class, Rcode, rcode_number
from kdns.wire.message import ExtendedError
from kdns.wire.names import Name
from kdns.wire.scalars import number, type_number

SECTIONS: Final = ("answer", "additional", "authority")
EVERYTHING: Final = ".*"


class Settings(Struct, frozen=True):
    """What the directive says. Patterns and templates are texts that are known to be right."""

    qclass: int
    """``Class.ANY`` for all."""
    qtype: int
    """``Type.ANY`` for all."""
    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    patterns: tuple[str, ...] = (EVERYTHING,)
    """Any of them must match the name, which is lower-case and has its final dot."""
    answer: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    rcode: int = Rcode.NOERROR
    error: ExtendedError | None = None
    fallthrough: Fallthrough = Fallthrough()
    variables: tuple[tuple[str, str], ...] = ()
    """Names and expressions, for templates as ``.Var.NAME``."""
    conditions: tuple[str, ...] = ()
    """Expressions that must all be true, besides a pattern."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    if len(directive.args) < 2:
        directive.fail("takes a class and a type (or ANY), and the zones it is for")
    qclass, qtype, *zones = directive.args
    settings = Settings(
        _class(directive, qclass),
        _type(directive, qtype),
        parse_zones(directive, tuple(zones)),
        patterns=(),
    )
    settings = read_options(directive, settings, _OPTIONS)
    return settings if settings.patterns else replace(settings, patterns=(EVERYTHING,))


def _class(directive: Option, text: str) -> int:
    if text not in Class.__members__:
        directive.fail(f"{text!r} is not a class; expected {', '.join(Class.__members__)}")
    return Class[text]


def _type(directive: Option, text: str) -> int:
    try:
        if not text.isupper():
            raise ValueError(f"a record type in capital letters expected, not {text[:40]!r}")
        return type_number(text)
    except ValueError as error:
        directive.fail(str(error))


def _match(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("takes at least one regular expression")
    for pattern in option.args:
        try:
            go_regex.compile(pattern)
        except ValueError as error:
            option.fail(str(error))
    return replace(settings, patterns=(*settings.patterns, *option.args))


def _section(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("takes at least one template of a record")
    for text in option.args:
        try:
            compile_template(text)
        except TemplateError as error:
            option.fail(f"{text!r} is not a template: {error}")
    section: tuple[str, ...] = getattr(settings, option.name)
    return replace(settings, **{option.name: (*section, *option.args)})


def _rcode(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("takes the name of a response code")
    rcode = rcode_number(option.args[0])
    if rcode is None or not option.args[0].isupper():
        option.fail(f"unknown response code {option.args[0]!r}; expected one such as NXDOMAIN")
    return replace(settings, rcode=rcode)


def _ederror(settings: Settings, option: Option) -> Settings:
    if len(option.args) not in {1, 2}:
        option.fail("takes a code of an Extended DNS Error, and a text")
    code, *text = option.args
    try:
        return replace(settings, error=ExtendedError(number(code, 65535), "".join(text)))
    except ValueError as error:
        option.fail(str(error))


def _fallthrough(settings: Settings, option: Option) -> Settings:
    return replace(settings, fallthrough=parse_fallthrough(option))


def _var(settings: Settings, option: Option) -> Settings:
    variable = read_variable(option, settings.variables)
    return replace(settings, variables=(*settings.variables, variable))


def _expr(settings: Settings, option: Option) -> Settings:
    text = read_condition(option, " ".join(option.args), settings.variables)
    return replace(settings, conditions=(*settings.conditions, text))


def _upstream(settings: Settings, option: Option) -> Settings:
    return settings


_OPTIONS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "match": _match,
    **dict.fromkeys(SECTIONS, _section),
    "rcode": _rcode,
    "ederror": _ederror,
    "fallthrough": _fallthrough,
    "var": _var,
    "expr": _expr,
    "upstream": _upstream,
}


def compiled(settings: Settings) -> tuple[go_regex.Pattern, ...]:
    """The patterns, ready for use."""
    return tuple(go_regex.compile(pattern) for pattern in settings.patterns)


def definitions(settings: Settings) -> Definitions:
    """The expressions, ready for use."""
    return compile_definitions(settings.variables, settings.conditions)
