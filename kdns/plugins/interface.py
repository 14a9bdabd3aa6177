"""The one shape of a stage, and what the server lends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Final, Protocol, TypeAlias, TypeVar

from kdns.config.access import Access
from kdns.config.tree import ServerBlock
from kdns.metrics import Metrics
from kdns.records.index import Index
from kdns.records.zone import Zone
from kdns.status import SourceStatus
from kdns.upstream.pool import Pool
from kdns.wire.message import Answer, Key, Query, Record
from kdns.wire.names import Name, to_text

Handler: TypeAlias = Callable[[Query], Awaitable[Answer]]


def file_key(path: str) -> Key:
    """What answers made from a text file depend on."""
    return ("file", path)


def zone_key(origin: Name) -> Key:
    """What answers from a zone depend on."""
    return ("zone", to_text(origin))


ZONES_KEY: Final[Key] = ("zones",)
"""What answers depend on where a zone may come or go, as opposed to a change in one."""


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


class Condition(Protocol):
    """Which questions a server block is for (``view``)."""

    by_asker: bool
    """Whether it may be different for another asker of the same question."""

    def __call__(self, query: Query) -> bool:
        """Whether the block is for this question; it never raises."""


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Followed(Protocol[T_co]):
    """What a file says, kept current by a source."""

    @property
    def value(self) -> T_co: ...

    @property
    def changed_at(self) -> float:
        """Unix time of the file's last change; 0 while it was never read."""


class Offer(Protocol):
    """Zones of a directive that can be handed over whole (``transfer``)."""

    def zones(self) -> Iterable[Name]:
        """Those that there are data of."""

    def records(self, zone: Name) -> Iterator[Record] | None:
        """All of one of them, the SOA first; None for no zone of it.

        What changes after the second was read does not show.
        """


class ZoneStore(Protocol):
    """Zones that are loaded and kept current by a source."""

    @property
    def zones(self) -> Mapping[Name, Zone | None]:
        """All zones, None for those that cannot be loaded."""

    def find(self, name: Name) -> tuple[Name, Zone | None] | None:
        """The longest zone that holds ``name``; its data are None while it cannot be loaded."""


class Context(Protocol):
    """What a stage may ask of the server while the chain is built. One per server block."""

    block: ServerBlock
    metrics: Metrics
    directive: str
    """The one whose stage is being built."""
    server: str
    """What the block is called in the series' label ``server``."""
    offers: list[Offer]
    """What ``transfer`` may hand over, the last directive first."""
    pools: list[Pool]
    """The upstreams of the block's ``forward`` directives, once they are known."""

    def prepare(self, work: Callable[[], None]) -> None:
        """Have blocking work done before any question is answered; it may raise ``ConfigError``."""

    def run(self, service: Callable[[], Coroutine[None, None, None]]) -> None:
        """Have it run while the chain is in use: it is cancelled at the end.

        When it raises, it is called again after a while; returning ends it.
        """

    def on_change(self, forget: Callable[[Iterable[Key]], None]) -> None:
        """Have ``forget`` called with the keys of every change, for who keeps answers."""

    def changed(self, keys: frozenset[Key]) -> None:
        """Have all replies forgotten that depend on one of ``keys``."""

    def on_notify(self, take: Callable[[Query], Answer]) -> None:
        """Have NOTIFY messages (RFC 1996) for names of the block answered by ``take``."""

    def on_scrape(self, report: Callable[[], None]) -> None:
        """Have ``report`` called before the metrics are read, for who counts by itself."""

    def cluster(self, access: Access) -> tuple[Index, SourceStatus]:
        """The index that the source of ``access`` keeps; equal access, same index."""

    def zone_files(self, files: Iterable[tuple[Name, str]], reload: float) -> ZoneStore:
        """The zones of ``(origin, path)``, looked at again every ``reload`` seconds (0: never)."""

    def zone_folder(
        self, folder: str, pattern: str, template: str, origins: tuple[Name, ...], reload: float
    ) -> ZoneStore:
        """The zones of the files in ``folder`` whose name matches ``pattern``."""

    def text_file(self, path: str, reload: float, read: Callable[[str], T]) -> Followed[T]:
        """What ``read`` makes of the text of a file, looked at every ``reload`` seconds (0: never).

        ``read`` is called with "" while there is no such file, and may be called in a thread. If it
        raises ``ConfigError``, that ends the start; later it is logged, and what was read before stays.
        Answers from it depend on ``file_key(path)``.
        """

    def metadata(self, query: Query, label: str, answer: Answer | None = None) -> str:
        """What a directive of the block says of a question under a label such as ``kubernetes/service``.

        Some is known with the answer alone. "" without the directive ``metadata``, and where nobody says
        anything.
        """

    def receives(self, query: Query, name: Name) -> tuple[bool, bool]:
        """Whether ``query`` would come to this server block if it were for ``name``.

        Also whether that depends on the client (``view``).
        """

    def resolve(self, query: Query) -> Awaitable[Answer]:
        """Ask the whole server: server block by longest suffix, then its chain."""

    def now(self) -> float:
        """Unix time in seconds."""

    def local_addresses(self) -> tuple[str, ...]:
        """Where the block's questions arrive: those of ``bind``, else the machine's but loopback."""
