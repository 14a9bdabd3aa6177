"""``ready [ADDRESS] { monitor until-ready|continuously }``: where ``/ready`` is served, and what it says.

Who is ready is found out elsewhere; here it is only decided whether one that once was is asked again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.config.tree import Option
from kdns.plugins.health import address_of

logger: Final = logging.getLogger("kdns.ready")

DEFAULT: Final = Address("", 8181)
MONITORS: Final = ("until-ready", "continuously")


class Settings(Struct, frozen=True):
    """What the directive says."""

    address: Address = DEFAULT
    continuously: bool = False
    """Whether a plugin that was ready once can become unready again."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    monitor = MONITORS[0]
    for option in directive.options:
        if option.name != "monitor":
            option.fail("not an option of ready; expected monitor until-ready|continuously")
        monitor = option.one()
        if monitor not in MONITORS:
            option.fail(f"expected until-ready or continuously, got {monitor!r}")
    return Settings(address_of(directive, DEFAULT), monitor == "continuously")


class Problem(Struct, frozen=True):
    """A plugin that is not ready, and why in words for people ("" if there is nothing to say)."""

    plugin: str
    reason: str = ""


STOPPING: Final = Problem("Shutting down")
"""The peer's whole reply once it was told to stop."""


class Readiness:
    """What ``/ready`` has to report, with the memory that ``until-ready`` needs."""

    def __init__(self, settings: Settings) -> None:
        self.continuously = settings.continuously
        self.stopping = False
        self._ready: set[str] = set()
        self._reported = ""

    def stop(self) -> None:
        """From now on not ready, whatever the plugins say."""
        self.stopping = True

    def problems(self, plugins: Iterable[tuple[str, str | None]]) -> list[Problem]:
        """Filter ``(plugin, reason or None if ready)`` down to what is to be reported, by name.

        A name given several times (one per server block) is ready when all of them are.
        """
        if self.stopping:
            return [STOPPING]
        known = list(plugins)
        missing = {name: reason for name, reason in reversed(known) if reason is not None}
        if not self.continuously:
            self._ready.update(name for name, _ in known if name not in missing)
        problems = [Problem(n, missing[n]) for n in sorted(missing) if n not in self._ready]
        self._log(",".join(problem.plugin for problem in problems))
        return problems

    def _log(self, names: str) -> None:
        if names == self._reported:
            return
        self._reported = names
        if names:
            logger.info('plugin/ready: Plugins not ready: "%s"', names)
        else:
            logger.info("plugin/ready: All plugins are ready")
