"""The options of ``cache``, as CoreDNS 1.15 takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import durations
from kdns.config.keys import expand_zone
from kdns.config.tree import Option
from kdns.plugins.options import read_number
from kdns.wire.names import Name

DEFAULT_CAPACITY: Final = 9984
LEAST_CAPACITY: Final = 1024
"""What a smaller number becomes, as in CoreDNS."""

MAX_SERVFAIL: Final = 300.0  # seconds; RFC 2308 section 7.1
MAX_RECHECK: Final = 300.0  # seconds; RFC 8767 section 5


class Bounds(Struct, frozen=True):
    """How many answers of a kind are kept, and for how many seconds."""

    max_ttl: int
    capacity: int = DEFAULT_CAPACITY
    min_ttl: int = 5


class Prefetch(Struct, frozen=True):
    """Fetch anew, before its end, what was asked for ``amount`` times without a pause of ``gap``."""

    amount: int
    gap: float = 60.0
    """Seconds."""
    percentage: int = 10
    """Of its lifetime, that is left when it is fetched: 10 to 90."""


class Stale(Struct, frozen=True):
    """Answer from what has ended where nothing newer is to be had (RFC 8767). Times are seconds."""

    up_to: float = 3600.0
    """Since its end."""
    verify: bool = False
    """Whether the source is asked first, and not only afterwards."""
    timeout: float = 0.0
    """How long ``verify`` waits; 0 for as long as it takes."""
    ttl: int = 0
    """TTL of what is answered so."""
    recheck: float = 0.0
    """After a failed attempt, for how long none is made."""
    prefer_positive: bool = False
    """Whether what has ended wins over a newer negative answer."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    success: Bounds = Bounds(3600)
    denial: Bounds = Bounds(1800)
    servfail: float = 5.0
    """Seconds that a failure is kept; 0 for not at all."""
    prefetch: Prefetch | None = None
    stale: Stale | None = None
    success_off: tuple[Name, ...] = ()
    denial_off: tuple[Name, ...] = ()
    """Zones below which answers of the kind are not kept."""
    keep_ttl: bool = False
    """Whether TTLs do not count down."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    args, settings = directive.args, Settings()
    if args and args[0].lstrip("-").isdigit():
        ttl = _positive(directive, args[0])
        settings = Settings(success=Bounds(ttl), denial=Bounds(ttl))
        args = args[1:]
    zones = [zone for text in args for zone in expand_zone(text, directive.location)]
    settings = replace(settings, zones=tuple(zones))
    prefer_positive = False
    for option in directive.options:
        if option.name == "serve_stale_policy":
            prefer_positive = _policy(option, repeated=prefer_positive)
        elif option.name in _PARSERS:
            settings = _PARSERS[option.name](settings, option)
        else:
            known = ", ".join(sorted([*_PARSERS, "serve_stale_policy"]))
            option.fail(f"unknown option of cache; known are {known}")
    return _with_policy(directive, settings) if prefer_positive else settings


def _policy(option: Option, *, repeated: bool) -> bool:
    if repeated:
        option.fail("is there already")
    if option.one().lower() != "prefer_positive":
        option.fail(f"expected prefer_positive, got {option.args[0]!r}")
    return True


def _with_policy(directive: Option, settings: Settings) -> Settings:
    if settings.stale is None:
        directive.fail("serve_stale_policy has no effect without serve_stale")
    return replace(settings, stale=replace(settings.stale, prefer_positive=True))


def _integer(option: Option, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 11):
        option.fail(f"expected a whole number, got {text!r}")
    return int(text)


def _positive(option: Option, text: str) -> int:
    number = _integer(option, text)
    if number <= 0:
        option.fail(f"the TTL must be more than 0, got {text}")
    return number


def _bounds(option: Option, bounds: Bounds) -> Bounds:
    """``CAPACITY [TTL [MINTTL]]``."""
    if not 1 <= len(option.args) <= 3:
        option.fail("expected CAPACITY [TTL [MINTTL]]")
    numbers = [_integer(option, text) for text in option.args]
    bounds = replace(bounds, capacity=max(numbers[0], LEAST_CAPACITY))
    if len(numbers) > 1:
        bounds = replace(bounds, max_ttl=_positive(option, option.args[1]))
    if len(numbers) > 2:
        if numbers[2] < 0:
            option.fail(f"MINTTL cannot be negative, got {numbers[2]}")
        bounds = replace(bounds, min_ttl=numbers[2])
    return bounds


# ---- one function per option


def _success(settings: Settings, option: Option) -> Settings:
    return replace(settings, success=_bounds(option, settings.success))


def _denial(settings: Settings, option: Option) -> Settings:
    return replace(settings, denial=_bounds(option, settings.denial))


def _prefetch(settings: Settings, option: Option) -> Settings:
    if not 1 <= len(option.args) <= 3:
        option.fail("expected AMOUNT [DURATION [PERCENTAGE%]]")
    amount = _integer(option, option.args[0])
    if amount < 0:
        option.fail(f"AMOUNT cannot be negative, got {amount}")
    prefetch = Prefetch(amount)
    if len(option.args) > 1:
        prefetch = replace(prefetch, gap=durations.read_positive_or_zero(option, option.args[1]))
    if len(option.args) > 2:
        prefetch = replace(prefetch, percentage=_percentage(option, option.args[2]))
    return replace(settings, prefetch=prefetch if amount else None)


def _percentage(option: Option, text: str) -> int:
    if not text.endswith("%"):
        option.fail(f"expected a percentage such as 10%, got {text!r}")
    return read_number(option, text.removesuffix("%"), 10, 90, "a percentage")


def _serve_stale(settings: Settings, option: Option) -> Settings:
    duration, mode, *rest = (*option.args, *("1h", "immediate")[len(option.args) :])
    if mode.lower() not in {"immediate", "verify"}:
        option.fail(f"expected immediate or verify, got {mode!r}")
    stale = Stale(
        durations.read_positive_or_zero(option, duration), verify=mode.lower() == "verify"
    )
    if stale.verify and rest:
        stale = replace(stale, timeout=durations.read_positive_or_zero(option, rest.pop(0)))
    if len(rest) > 2:
        option.fail(
            "expected [DURATION] [immediate [TTL [RECHECK]]|verify [TIMEOUT [TTL [RECHECK]]]]"
        )
    if rest:
        stale = replace(stale, ttl=_whole(option, rest[0]))
    if len(rest) > 1:
        stale = replace(stale, recheck=_at_most(option, rest[1], MAX_RECHECK))
    return replace(settings, stale=stale if stale.up_to else None)


def _whole(option: Option, text: str) -> int:
    seconds = durations.read_positive_or_zero(option, text)
    if seconds != int(seconds) or seconds >= 2**31:
        option.fail(f"the TTL must be whole seconds, got {text}")
    return int(seconds)


def _at_most(option: Option, text: str, most: float) -> float:
    seconds = durations.read_positive_or_zero(option, text)
    if seconds > most:
        option.fail(f"{most:g}s is the most, got {text}")
    return seconds


def _servfail(settings: Settings, option: Option) -> Settings:
    return replace(settings, servfail=_at_most(option, option.one(), MAX_SERVFAIL))


def _disable(settings: Settings, option: Option) -> Settings:
    if not option.args or option.args[0] not in {"success", "denial"}:
        option.fail("expected success or denial, and zones")
    zones = [zone for text in option.args[1:] for zone in expand_zone(text, option.location)]
    return replace(settings, **{f"{option.args[0]}_off": tuple(zones) or ((),)})


def _keepttl(settings: Settings, option: Option) -> Settings:
    option.none()
    return replace(settings, keep_ttl=True)


_PARSERS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "denial": _denial,
    "disable": _disable,
    "keepttl": _keepttl,
    "prefetch": _prefetch,
    "serve_stale": _serve_stale,
    "servfail": _servfail,
    "success": _success,
}
