"""A snapshot of the cluster on disk, for a start while the API server cannot be asked.

It is written in a thread, a few objects at a time, to a file beside it that then takes its place; at
most every ``Pace.changed`` seconds. At start it is read only when the API server has not given its lists
soon; what it says is served, marked as stale, until each list replaces its part.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from msgspec import Struct

from kdns.config.access import ApiAccess
from kdns.records.index import Index
from kdns.records.objects import Change, Kind, Replaced
from kdns.records.snapshot import MARK, Header, Snapshot, SnapshotError, decode, encode
from kdns.status import SourceStatus
from kdns.whole_file import replacing

logger: Final = logging.getLogger("kdns.snapshot")

MAX_BYTES: Final = 1 << 30
"""100,000 endpoints take about 15 MB."""

MAX_HEADER: Final = 1 << 16
"""Octets of the first line, which tells a snapshot from other files."""


class Pace(Struct, frozen=True):
    """Seconds."""

    patience: float = 1.0
    """For the API server at start; less when it is known to be away."""
    changed: float = 30.0
    """Between two snapshots at least."""
    unchanged: float = 300.0
    """After which one is written though nothing has changed, since its age is told to askers."""
    look: float = 0.05
    """Between two looks at what has come, at start; twenty times that later."""
    breath: float = 0.001
    """Of the writing thread after each line, so that questions never wait long for it."""


class SnapshotFile:
    """The file, and for which cluster it is."""

    def __init__(self, access: ApiAccess) -> None:
        self.path = Path(access.snapshot).expanduser()
        self._selection = _selection(access)
        self._depends_on_today = bool(access.kubeconfig) and not access.context

    def header(self, taken_at: float, address: str) -> Header:
        return Header(taken_at=taken_at, address=address, selection=self._selection)

    def read(self, address: str) -> Snapshot | None:
        """What it holds; None when there is no such file.

        ``address`` is the API server's, "" when it is not known. Blocks. Raises ``SnapshotError`` for
        what is damaged, of a newer format, or of another cluster.
        """
        try:
            with _open(self.path) as file:
                # What is no snapshot may be one line of any length.
                snapshot = decode(chain([file.readline(MAX_HEADER)], file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SnapshotError(error.strerror or str(error)) from error
        self._check(snapshot.header, address)
        return snapshot

    def _check(self, header: Header, address: str) -> None:
        if header.selection != self._selection:
            raise SnapshotError(
                f"taken with other settings ({header.selection or 'none'};"
                f" now {self._selection or 'none'})"
            )
        if address and header.address and address != header.address:
            raise SnapshotError(f"of {header.address}, not of {address}")
        if not address and self._depends_on_today:
            raise SnapshotError(
                "without credentials it is not known which context is the current one"
            )

    def write(self, snapshot: Snapshot, breath: float) -> None:
        """Put a new snapshot in the old one's place, for nobody else to read. Blocks.

        Raises ``OSError``, or ``SnapshotError`` when something else is there: it is not ours.
        """
        with suppress(FileNotFoundError), _open(self.path) as file:
            if file.read(len(MARK)) not in {MARK, b""}:
                raise SnapshotError("not a snapshot of kdns, so it is not overwritten")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        with replacing(self.path, new) as file:
            for line in encode(snapshot):
                file.write(line)
                time.sleep(breath)


def _open(path: Path) -> BinaryIO:
    """Open a plain file of sensible size: not a device, not a pipe without a writer."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise SnapshotError("not a file")
    if found.st_size > MAX_BYTES:
        raise SnapshotError(f"larger than {MAX_BYTES} bytes")
    return path.open("rb")


def _selection(access: ApiAccess) -> str:
    """The settings that decide what is in a snapshot, in words."""
    values = {
        "endpoint": access.endpoint,
        "kubeconfig": access.kubeconfig,
        "context": access.context,
        "labels": access.labels,
        "namespace_labels": access.namespace_labels,
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if value)


class Addressed(Protocol):
    """The source that follows the cluster."""

    @property
    def address(self) -> str:
        """The API server's URL; "" while it is not known."""


class Snapshots:
    """Restores one cluster at start where that is needed, then saves it now and then.

    ``emit`` takes the restored objects.
    """

    def __init__(
        self,
        access: ApiAccess,
        index: Index,
        status: SourceStatus,
        emit: Callable[[Change], None],
        pace: Pace | None = None,
    ) -> None:
        self.changed = False
        """Set by who sees changes: whether there is anything that the file does not have."""
        self._file = SnapshotFile(access)
        self._index, self._status, self._emit = index, status, emit
        status.keeps_snapshot = True
        self._pace = pace or Pace()
        self._tried_at = 0.0
        self._said = ""
        self._stopping = asyncio.Event()
        self._ending = False

    @property
    def path(self) -> Path:
        return self._file.path

    async def run(self, source: Addressed) -> None:
        """Until ``stop``, which has it save once more."""
        if self._ending:
            return  # restarted after its last save failed
        await self._wait_for_lists()
        if not (self._status.synced or self._stopping.is_set()):
            await self._restore(source.address)
        while not self._stopping.is_set():
            await self._pause(20 * self._pace.look)
            if self._is_due():
                await self._save(source.address, self._pace.breath)
        self._ending = True
        if self._is_current():
            await self._save(source.address, 0.0)

    def stop(self) -> None:
        """Make ``run`` come to its end."""
        self._stopping.set()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    # ---- at start

    async def _wait_for_lists(self) -> None:
        end = time.monotonic() + self._pace.patience
        while not self._status.synced and time.monotonic() < end and not self._stopping.is_set():
            if any(resource.lost_at for resource in self._status.resources.values()):
                return
            await self._pause(self._pace.look)

    async def _restore(self, address: str) -> None:
        try:
            snapshot = await asyncio.to_thread(self._file.read, address)
        except SnapshotError as error:
            logger.warning("%s: %s; starting without it", self._file.path, error)
            return
        if snapshot is None:
            logger.info("%s: no snapshot yet", self._file.path)
            return
        # In one step: no question is answered from a part of it.
        kinds = [kind for kind in snapshot.objects if self._restore_kind(kind, snapshot)]
        if kinds:
            counts = ", ".join(f"{len(snapshot.objects[kind])} {kind.value}" for kind in kinds)
            taken = datetime.fromtimestamp(snapshot.header.taken_at, UTC)
            logger.warning(
                "%s: serving the snapshot of %s (%s; %s)",
                self._file.path,
                f"{taken:%Y-%m-%dT%H:%M:%SZ}",
                counts,
                self._status.problem,
            )

    def _restore_kind(self, kind: Kind, snapshot: Snapshot) -> bool:
        """Take the objects of a kind; False when they are not watched, or their list has come."""
        resource = self._status.resources.get(kind.value)
        if resource is None or resource.synced:
            return False
        resource.synced = resource.restored = True
        resource.lost_at = resource.confirmed_at = snapshot.header.taken_at
        self._emit(Replaced(kind, snapshot.objects[kind]))
        return True

    # ---- later

    def _is_current(self) -> bool:
        """Whether what is known may be saved: it is all from the API server."""
        return self._status.synced and not self._status.restored

    def _is_due(self) -> bool:
        waited = time.monotonic() - self._tried_at
        if not self._is_current() or (self._tried_at and waited < self._pace.changed):
            return False
        away = self._status.age(time.time()) > 0
        return not self._tried_at or self.changed or (waited > self._pace.unchanged and not away)

    async def _save(self, address: str, breath: float) -> None:
        self._tried_at = time.monotonic()
        now = time.time()
        # The objects never change, so holding on to them is all it takes to have one moment's state.
        objects = {
            kind: tuple(self._index.objects(kind))
            for kind in Kind
            if kind.value in self._status.resources
        }
        header = self._file.header(now - self._status.age(now), address)
        self.changed = False
        try:
            await asyncio.to_thread(self._file.write, Snapshot(header, objects), breath)
        except Exception as error:
            self.changed = True
            self._status.save_failures += 1
            if not isinstance(error, OSError | SnapshotError):
                raise
            self._say(getattr(error, "strerror", None) or str(error))
        else:
            self._status.saved_at = now
            self._say("")

    def _say(self, problem: str) -> None:
        """Log a problem once, and its end."""
        if problem and problem != self._said:
            logger.error("%s: cannot be saved: %s", self._file.path, problem)
        elif self._said and not problem:
            logger.info("%s: saved again", self._file.path)
        self._said = problem
