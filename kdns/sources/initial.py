"""The list that a watch begins with, put together from its events.

https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists

A server that does not know of such lists refuses the question, or takes it for that of an ordinary
watch, which brings the same events but never says that they are all. Nothing but that word makes a list.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from kdns.records.objects import Object
from kdns.records.schema import Event
from kdns.sources.watch import Limits, Listing

REFUSALS: Final = frozenset({400, 403, 405, 406, 415, 422})
"""What servers answer that do not offer it, and those that grant the right to list but not to watch."""


class NotOffered(Exception):  # noqa: N818 - it is no error: there is another way
    """The watch does not begin with a list, or not soon enough."""


class Initial:
    """What has come of one list."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._end = monotonic() + limits.initial
        self._objects: dict[tuple[str, str], Object] = {}
        self._rejected: list[str] = []

    def take(self, event: Event) -> Listing | None:
        """Return the list when ``event`` completes it. Raises ``NotOffered``.

        Objects may change and go before the server has sent them all.
        """
        if event.type == "BOOKMARK":
            return self._listing(event)
        self._rejected += event.rejected
        if (item := event.current) is not None:
            self._objects[event.namespace, event.name] = item
        else:
            self._objects.pop((event.namespace, event.name), None)
        if monotonic() > self._end:
            raise NotOffered(f"not complete after {self._limits.initial:g} s")
        return None

    def _listing(self, event: Event) -> Listing:
        if not event.ends_list or not event.resource_version:
            raise NotOffered("an ordinary watch came instead")
        return Listing(tuple(self._objects.values()), event.resource_version, tuple(self._rejected))

    def be_patient(self, silent: float) -> None:
        """Wait on after so many seconds without a byte, or raise ``NotOffered``."""
        if silent >= self._limits.answer:
            raise NotOffered(f"nothing came for {silent:g} s")
