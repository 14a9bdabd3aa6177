"""The options of ``forward``, as CoreDNS 1.15 takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, get_args

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import durations
from kdns.config.addresses import Address
from kdns.config.keys import expand_zone
from kdns.config.tree import Location, Option
from kdns.plugins.forward.targets import MAX_TARGETS, check_target
from kdns.plugins.name_servers import read_address, read_source
from kdns.plugins.options import read_number, read_options
from kdns.upstream.probes import Check
from kdns.upstream.upstream import Options, Policy
from kdns.wire import names
from kdns.wire.constants import Rcode, rcode_number
from kdns.wire.names import Name, is_below

POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)
MAX_NUMBER: Final = 2**32 - 1


class Settings(Struct, frozen=True):
    """What the directive says."""

    zones: tuple[Name, ...]
    """Names at or below these are forwarded: FROM, all of its zones where it is a network."""
    to: tuple[str, ...]
    """As written: addresses, files, host names."""
    options: Options = Options()
    excepted: tuple[Name, ...] = ()
    tls: tuple[str, ...] = ()
    """Paths: CA; or certificate and key; or all three."""
    servername: str = ""
    next_rcodes: frozenset[int] = frozenset()
    """Rcodes for which the ``forward`` after this one is asked."""
    next_on_nodata: bool = False
    resolvers: tuple[Address, ...] = ()
    """Who knows the addresses of host names in ``to``; none: the system."""
    location: Location = Location("")
    warnings: tuple[str, ...] = ()

    def covers(self, name: Name) -> bool:
        """Whether the name is to be forwarded. FROM itself cannot be excepted."""
        if not any(is_below(name, zone) for zone in self.zones):
            return False
        return name in self.zones or not any(is_below(name, zone) for zone in self.excepted)


def covers_root(settings: Iterable[object]) -> bool:
    """Whether one of these forwards every name, so that the server offers recursion."""
    return any(isinstance(each, Settings) and () in each.zones for each in settings)


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``. Files and host names are looked at when the server starts."""
    if len(directive.args) < 2:
        directive.fail("expected FROM and at least one TO: an address, a file or a host name")
    source, *to = directive.args
    zones = expand_zone(source, directive.location)
    settings = Settings(zones, tuple(to), location=directive.location)
    for text in to:
        check_target(directive, text)
    if len(to) > MAX_TARGETS:
        directive.fail(f"{len(to)} upstreams; {MAX_TARGETS} is the most")
    settings = read_options(directive, settings, _PARSERS)
    _check_together(directive, settings)
    return settings


def _check_together(directive: Option, settings: Settings) -> None:
    limits = settings.options.limits
    if 0 < limits.max_age < limits.expire:
        directive.fail(f"max_age ({limits.max_age:g}s) is less than expire ({limits.expire:g}s)")
    if settings.servername and any("%" in text for text in settings.to if "tls://" in text):
        directive.fail("tls_servername together with a name after % in tls://; write one of them")


def _number(option: Option) -> int:
    return read_number(option, option.one(), 0, MAX_NUMBER)


def _rcodes(option: Option) -> frozenset[int]:
    if not option.args:
        option.fail("expected at least one rcode, such as NXDOMAIN")
    found: set[int] = set()
    for text in option.args:
        number = rcode_number(text)
        if number is None:
            option.fail(f"{text!r} is no rcode; expected names such as NXDOMAIN, SERVFAIL, REFUSED")
        found.add(number)
    return frozenset(found)


# ---- one function per option


def _except(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("expected at least one zone")
    zones = [zone for text in option.args for zone in expand_zone(text, option.location)]
    return replace(settings, excepted=(*settings.excepted, *zones))


def _health_check(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("expected DURATION [no_rec] [domain NAME]")
    check = Check(interval=durations.read_positive_or_zero(option, option.args[0]))
    words = iter(option.args[1:])
    for word in words:
        if word == "no_rec":
            check = replace(check, recursion_desired=False)
        elif word == "domain":
            check = replace(check, domain=_domain(option, next(words, None)))
        else:
            option.fail(f"expected no_rec or domain NAME, got {word!r}")
    return _set(settings, check=check)


def _domain(option: Option, text: str | None) -> bytes:
    if text is None:
        option.fail("nothing stands after domain; expected a name such as example.org")
    try:
        return names.wire_from_text(text if text.endswith(".") else text + ".")
    except names.BadNameError as error:
        option.fail(f"domain: {error}")


def _policy(settings: Settings, option: Option) -> Settings:
    text = option.one()
    if text not in POLICIES:
        option.fail(f"unknown policy {text!r}; expected {', '.join(POLICIES)}")
    return _set(settings, policy=text)


def _tls(settings: Settings, option: Option) -> Settings:
    if len(option.args) > 3:
        option.fail("expected at most CERT KEY CA")
    return replace(settings, tls=option.args)


def _failover(settings: Settings, option: Option) -> Settings:
    rcodes = _rcodes(option)
    if Rcode.NOERROR in rcodes:
        option.fail("NOERROR is no failure")
    return _set(settings, failover=settings.options.failover | rcodes)


def _source_address(settings: Settings, option: Option) -> Settings:
    return _set(settings, source=read_source(option))


def _resolver(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("expected at least one IP[:PORT]")
    resolvers = tuple(read_address(option, text) for text in option.args)
    return replace(settings, resolvers=resolvers)


def _doh_method(settings: Settings, option: Option) -> Settings:
    if option.one() not in {"GET", "POST"}:
        option.fail(f"expected GET or POST, got {option.args[0]!r}")
    return settings  # https:// upstreams are refused where they are named


def _read_timeout(settings: Settings, option: Option) -> Settings:
    seconds = durations.read_positive_or_zero(option, option.one())
    if not seconds:
        option.fail("must be more than 0")
    return _set(settings, read_timeout=seconds)


def _servername(settings: Settings, option: Option) -> Settings:
    return replace(settings, servername=option.one())


def _next(settings: Settings, option: Option) -> Settings:
    return replace(settings, next_rcodes=settings.next_rcodes | _rcodes(option))


def _next_on_nodata(settings: Settings, option: Option) -> Settings:
    option.none()
    return replace(settings, next_on_nodata=True)


def _set(settings: Settings, **changes: object) -> Settings:
    return replace(settings, options=replace(settings.options, **changes))


def _limit(settings: Settings, **changes: object) -> Settings:
    return _set(settings, limits=replace(settings.options.limits, **changes))


def _flag(field: str) -> Callable[[Settings, Option], Settings]:
    def parse_flag(settings: Settings, option: Option) -> Settings:
        option.none()
        return _set(settings, **{field: True})

    return parse_flag


def _count(field: str) -> Callable[[Settings, Option], Settings]:
    return lambda settings, option: _set(settings, **{field: _number(option)})


def _kept(field: str) -> Callable[[Settings, Option], Settings]:
    return lambda settings, option: _limit(
        settings, **{field: durations.read_positive_or_zero(option, option.one())}
    )


_PARSERS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "doh_method": _doh_method,
    "except": _except,
    "expire": _kept("expire"),
    "failfast_all_unhealthy_upstreams": _flag("failfast"),
    "failover": _failover,
    "force_tcp": _flag("force_tcp"),
    "health_check": _health_check,
    "max_age": _kept("max_age"),
    "max_concurrent": _count("max_concurrent"),
    "max_connect_attempts": _count("max_connect_attempts"),
    "max_fails": _count("max_fails"),
    "max_idle_conns": lambda settings, option: _limit(settings, max_idle=_number(option)),
    "next": _next,
    "next_on_nodata": _next_on_nodata,
    "policy": _policy,
    "prefer_udp": _flag("prefer_udp"),
    "read_timeout": _read_timeout,
    "resolver": _resolver,
    "source_address": _source_address,
    "tls": _tls,
    "tls_servername": _servername,
}
