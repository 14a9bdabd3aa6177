"""What is told of one watched collection: in its status, for ``/ready`` and metrics, and in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from kdns.sources.resources import Resource
from kdns.status import ResourceStatus

log = logging.getLogger("kdns.sources.apiserver")

SHOWN_REASONS: Final = 20
"""Of one list, so many rejected parts are logged at debug level; the others are counted."""


class Reporter:
    """``now`` gives Unix seconds."""

    def __init__(
        self, resource: Resource, status: ResourceStatus, now: Callable[[], float]
    ) -> None:
        self._resource, self._status, self._now = resource, status, now
        self._said = ""
        """The problem that was logged last."""
        self._relisted = False
        """Whether a list was logged since the watch was last good for something."""

    def confirm(self) -> None:
        """What is known is current."""
        self._status.confirmed_at = self._now()

    def listed(self, count: int, because: str) -> None:
        """A whole list is in place."""
        status, name = self._status, self._resource.name
        if status.restored:
            status.restored, status.lost_at = False, 0.0
            log.info("%s: synced, %d objects, in place of the snapshot", name, count)
        elif status.synced:
            status.relists += 1
            if status.lost_at:
                status.lost_at = self._now()  # until then everything is known again
            level = logging.DEBUG if self._relisted else logging.INFO
            log.log(level, "%s: relisted, %d objects, because %s", name, count, because)
            self._relisted = True
        else:
            log.info("%s: synced, %d objects", name, count)
        status.synced = True

    def settled(self) -> None:
        """The watch is good for something: a list from now on is news."""
        self._relisted = False

    def found(self) -> None:
        """The watch stands."""
        status = self._status
        status.problem = ""
        if status.lost_at:
            away = self._now() - status.lost_at
            log.info("%s: back after %.1f s", self._resource.name, away)
            status.lost_at = 0.0
            status.restarts += 1

    def lost(self, problem: str, *, answered: bool) -> None:
        """Nothing comes any more; ``answered`` is whether the API server said why.

        While it starts, it says one thing and another; what it repeats is worth a line.
        """
        status = self._status
        repeated = answered and status.problem == problem != self._said
        if not status.lost_at or repeated:
            log.warning("%s: lost: %s", self._resource.name, problem)
            self._said = problem
        status.lost_at = status.lost_at or self._now()
        status.problem = problem

    def failed(self, problem: str) -> None:
        """Its feed failed unexpectedly, which is logged elsewhere."""
        self._status.lost_at = self._status.lost_at or self._now()
        self._status.problem = problem

    def not_installed(self) -> bool:
        """Its CustomResourceDefinition is not there; whether that is news."""
        status, title = self._status, self._resource.title
        problem = f"{title}: no such CustomResourceDefinition"
        news = status.problem != problem
        if news:
            log.warning("%s is not installed (no such CustomResourceDefinition)", title)
        status.problem, status.synced, status.restored, status.lost_at = problem, True, False, 0.0
        self.confirm()
        return news

    def rejected(self, reasons: tuple[str, ...]) -> None:
        """Parts of objects were left out."""
        for reason in reasons[:SHOWN_REASONS]:
            log.debug("left out: %s", reason)
        if len(reasons) > SHOWN_REASONS:
            log.debug("left out: %d more of %s", len(reasons), self._resource.name)
