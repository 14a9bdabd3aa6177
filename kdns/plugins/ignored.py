"""Directives of CoreDNS that change no answer and are not there: read, and warned about.

A Corefile that has them goes on working; what they would have done is said once, with the line.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.tree import Option

DIRECTIVES: Final = {
    "trace": "no spans are sent; see the series in /metrics",
    "dnstap": "nothing is sent; see the directive log",
    "pprof": "it shows the inside of Go programs",
    "cancel": "questions to upstreams have a time limit of their own",
    "shed": "what comes in is bounded anyway",
    "timeouts": "idle TCP connections are closed after ten seconds",
    "multisocket": "see the option --workers",
    "geoip": "its metadata are empty",
}
"""By name, why it is no loss."""


class Settings(Struct, frozen=True):
    """Nothing is taken from the directive but that it is there."""

    warnings: tuple[str, ...]


def parse(directive: Option) -> Settings:
    name = directive.name
    return Settings((f"{directive.location}: {name} has no effect: {DIRECTIVES[name]}",))
