"""The one shape of a stage, and what the server lends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeAlias

from kdns.config.access import Access
from kdns.config.tree import ServerBlock
from kdns.records.index import Index
from kdns.records.zone import Zone
from kdns.status import SourceStatus
from kdns.wire.message import Answer, Query
from kdns.wire.names import Name

Handler: TypeAlias = Callable[[Query], Awaitable[Answer]]


class Observer(Protocol):
    """Told of answers after they were encoded (``log``); it changes nothing."""

    def wants(self, query: Query, answer: Answer) -> bool:
        """Whether calls with this answer come to anything.

        It depends on the name, the opcode and type, and what the answer says, so whoever keeps a
        reply needs to ask only once and need not call for its hits when the answer was no.
        """

    def __call__(
        self, query: Query, answer: Answer, response_size: int, duration_seconds: float
    ) -> None:
        """``response_size`` is octets of the DNS message, ``duration_seconds`` since it came in."""


class ZoneStore(Protocol):
    """Zone files that are loaded and kept current by a source."""

    def find(self, name: Name) -> tuple[Name, Zone | None] | None:
        """The longest zone that holds ``name``; its data are None while it cannot be loaded."""


class Context(Protocol):
    """What a stage may ask of the server while the chain is built. One per server block."""

    block: ServerBlock

    def cluster(self, access: Access) -> tuple[Index, SourceStatus]:
        """The index that the source of ``access`` keeps; equal access, same index."""

    def zone_files(self, files: Iterable[tuple[Name, str]], reload: float) -> ZoneStore:
        """The zones of ``(origin, path)``, looked at again every ``reload`` seconds (0: never)."""

    def zone_folder(
        self, folder: str, pattern: str, template: str, origins: tuple[Name, ...], reload: float
    ) -> ZoneStore:
        """The zones of the files in ``folder`` whose name matches ``pattern``."""

    def resolve(self, query: Query) -> Awaitable[Answer]:
        """Ask the whole server: server block by longest suffix, then its chain."""

    def now(self) -> float:
        """Unix time in seconds."""

    def local_addresses(self) -> tuple[str, ...]:
        """This server's own addresses, not loopback ones."""
