"""``reload [INTERVAL [JITTER]]``: the configuration is taken over when its files change.

Files are watched, so a change is noticed at once and the times are not used; they are read so that
every Corefile that CoreDNS takes is taken.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config import durations
from kdns.config.tree import Option

LEAST_INTERVAL: Final = 2.0
LEAST_JITTER: Final = 1.0
"""Seconds; CoreDNS refuses less."""


class Settings(Struct, frozen=True):
    """That it is there is all that counts."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    if len(directive.args) > 2:
        directive.fail("expected at most INTERVAL and JITTER")
    directive.no_options()
    interval, jitter = (*directive.args, *("30s", "15s")[len(directive.args) :])
    if durations.read(directive, interval) < LEAST_INTERVAL:
        directive.fail(f"the interval must be at least {LEAST_INTERVAL:g}s, got {interval}")
    if 0 != durations.read(directive, jitter) < LEAST_JITTER:
        directive.fail(f"the jitter must be 0 or at least {LEAST_JITTER:g}s, got {jitter}")
    return Settings()
