"""``proxy FROM TO… { … }`` of CoreDNS before 1.5, read as ``forward``, which replaced it.

Clusters that were made long ago still have it. What ``forward`` has no word for is warned about; DNS over
Google's JSON and over gRPC are refused, since something else would be asked than what is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins import forward
from kdns.plugins.forward import Settings, wrap

__all__ = ["Settings", "parse", "wrap"]

_POLICIES: Final = {
    "random": "random",
    "round_robin": "round_robin",
    "first": "sequential",
    "least_conn": "random",
}


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    options: list[Option] = []
    without_effect: list[Option] = []
    for option in directive.options:
        if option.name in _IGNORED:
            without_effect.append(option)
        elif option.name in _TRANSLATED:
            options += _TRANSLATED[option.name](option)
        else:
            known = ", ".join(sorted({*_TRANSLATED, *_IGNORED}))
            option.fail(f"unknown option of proxy; known are {known}")
    warnings = [f"{directive.location}: proxy is retired and read as forward; write forward"]
    warnings += [f"{each.location}: {each.name} of proxy has no effect" for each in without_effect]
    settings = forward.parse(replace(directive, options=tuple(options)))
    return replace(settings, warnings=tuple(warnings))


def _policy(option: Option) -> list[Option]:
    policy = option.one()
    if policy not in _POLICIES:
        option.fail(f"unknown policy {policy!r}; expected {', '.join(_POLICIES)}")
    return [replace(option, args=(_POLICIES[policy],))]


def _protocol(option: Option) -> list[Option]:
    if option.args == ("dns",):
        return []
    if option.args != ("dns", "force_tcp"):
        option.fail("only dns and dns force_tcp are there; forward to a tls:// address instead")
    return [replace(option, name="force_tcp", args=())]


_TRANSLATED: Final[dict[str, Callable[[Option], list[Option]]]] = {
    "except": lambda option: [option],
    "max_fails": lambda option: [option],
    "policy": _policy,
    "protocol": _protocol,
}
_IGNORED: Final = {"fail_timeout", "health_check", "spray"}
"""Upstreams are judged by their replies, and by DNS questions to those that failed."""
