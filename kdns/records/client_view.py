"""The part of a cluster that one client may know of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from kdns.records.index import Index
from kdns.records.lookup import is_exposed
from kdns.records.outcome import View
from kdns.wire.names import Name

Permits: TypeAlias = Callable[[Name], bool]
"""Whether the client may query a name."""


def everything(name: Name) -> bool:
    """For a client that may query every name."""
    return True


class ClientView(Struct, frozen=True):
    """A cluster as it is shown to a client: what explains an answer names nothing else."""

    index: Index
    view: View
    ending: Name
    """What follows ``SERVICE.NAMESPACE`` in the names that the client queries."""
    permits: Permits = everything
    searches: bool = True
    """Whether names are searched for that are much like the one queried, which takes the most time."""

    def has_namespace(self, namespace: str) -> bool:
        """Whether it is exposed, and names in it may be queried."""
        return is_exposed(self.index, self.view, namespace) and self.permits(
            (namespace, *self.ending)
        )

    def has_service(self, namespace: str, name: str) -> bool:
        """Whether there is one, which may be queried."""
        return self.index.service(namespace, name) is not None and self.may_name(namespace, name)

    def may_name(self, namespace: str, name: str, *below: str) -> bool:
        """Whether a name of a Service, or ``below`` it, may be queried."""
        return is_exposed(self.index, self.view, namespace) and self.permits(
            (*below, name, namespace, *self.ending)
        )
