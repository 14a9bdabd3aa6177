"""Zone files as a source: loaded at the start, read again when they or what they include change.

``ZoneFiles`` is what ``file`` and ``auto`` answer from. Any change of content counts, whether or not
the SOA's serial moved (CoreDNS waits for the serial). A file that breaks leaves the last good zone in
service; the failure is logged once and counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Final

from msgspec import Struct

from kdns.plugins.interface import ZONES_KEY, zone_key
from kdns.records.zone import Zone
from kdns.sources.noticing import Signature, folders_of, follow, signature
from kdns.sources.zone_folder import Listing
from kdns.sources.zone_loading import Loaded, ZoneFileError, load
from kdns.wire import names
from kdns.wire.message import Key
from kdns.wire.names import Name

logger: Final = logging.getLogger("kdns.zonefiles")

OnChange = Callable[[frozenset[Key]], None]


class _Entry(Struct):
    """A zone that is to be served, and how it stands."""

    path: str
    zone: Zone | None = None
    files: tuple[str, ...] = ()
    seen: Signature = ()
    digest: bytes = b""
    problem: str = ""


class _Read(Struct, frozen=True):
    """The result of reading a zone's files again."""

    origin: Name
    path: str
    seen: Signature
    outcome: Loaded | ZoneFileError


class ZoneFiles:
    """Zones from files: a ``ZoneStore``. ``listing`` tells at any time which files hold which zones.

    ``reload`` is the longest time in seconds between two looks at the files; 0 for never again.
    ``on_change`` gets the keys of what changed, after the change.
    """

    def __init__(self, listing: Listing, reload: float, on_change: OnChange) -> None:
        self._listing = listing
        self._reload = reload
        self._on_change = on_change
        self._entries: dict[Name, _Entry] = {}
        self.failures: Counter[str] = Counter()
        """How often each file could not be loaded."""

    def find(self, name: Name) -> tuple[Name, Zone | None] | None:
        """The longest zone that holds ``name``; its data are None while it cannot be loaded."""
        if not self._listing.covers(name):
            return None
        for depth in range(len(name) + 1):
            if (entry := self._entries.get(name[depth:])) is not None:
                return name[depth:], entry.zone
        return None

    @property
    def zones(self) -> Mapping[Name, Zone | None]:
        """All zones, None for those that cannot be loaded."""
        return {origin: entry.zone for origin, entry in self._entries.items()}

    def load(self) -> None:
        """Read everything, before ``run``.

        Raises ``ZoneFileError`` for the first broken file where files were named one by one; one that
        is not there yet is waited for if there are to be reloads. Files of a folder never stop the start.
        """
        reads = self._scan(())
        for read in reads:
            error = read.outcome
            waited_for = self._listing.lenient or (self._reload and _unreadable(error))
            if isinstance(error, ZoneFileError) and not waited_for:
                raise error
        self._apply(self._listing.paths, reads)

    async def run(self) -> None:
        """Follow changes until cancelled; returns at once where there are no reloads."""
        if not self._reload:
            return
        async with aclosing(follow(self._folders, self._reload)) as notices:
            async for touched in notices:
                await self._refresh(touched)

    def _folders(self) -> frozenset[str]:
        files = [file for entry in self._entries.values() for file in entry.files]
        return folders_of(files) | frozenset(filter(os.path.isdir, self._listing.folders))

    async def _refresh(self, touched: Iterable[str]) -> None:
        # Parsing a large zone takes seconds, and answers must not wait for it.
        reads = await asyncio.to_thread(self._scan, frozenset(map(os.path.basename, touched)))
        if changed := self._apply(self._listing.paths, reads):
            self._on_change(changed)

    # What is read, in a thread

    def _scan(self, touched: Iterable[str]) -> list[_Read]:
        """Read what is new, changed, or has a file named in ``touched``."""
        self._listing.refresh()
        reads = []
        for origin, path in self._listing.paths.items():
            entry = self._entries.get(origin)
            if entry is None or entry.path != path or _may_differ(entry, touched):
                reads.append(_read(origin, path))
        return reads

    # What follows from it

    def _apply(self, paths: Mapping[Name, str], reads: list[_Read]) -> frozenset[Key]:
        changed: set[Key] = set()
        for origin in self._entries.keys() - paths.keys():
            path = self._entries.pop(origin).path
            logger.info("zone %s: %s is gone, no longer served", names.to_text(origin), path)
            changed |= {zone_key(origin), ZONES_KEY}
        for read in reads:
            if read.origin not in self._entries:
                self._entries[read.origin] = _Entry(read.path)
                changed.add(ZONES_KEY)
            if self._take(read):
                changed.add(zone_key(read.origin))
        return frozenset(changed)

    def _take(self, read: _Read) -> bool:
        """Whether the zone is another now."""
        entry, outcome = self._entries[read.origin], read.outcome
        entry.path, entry.seen, entry.files = read.path, read.seen, outcome.files
        if isinstance(outcome, ZoneFileError):
            self._note_failure(read.origin, entry, str(outcome))
            return False
        recovered, entry.problem = bool(entry.problem), ""
        if outcome.digest == entry.digest:
            if recovered:
                logger.info("zone %s: %s is in order again", names.to_text(read.origin), read.path)
            return False
        entry.zone, entry.digest = outcome.zone, outcome.digest
        _log_loaded(outcome.zone, read.path)
        return True

    def _note_failure(self, origin: Name, entry: _Entry, problem: str) -> None:
        if problem == entry.problem:
            return
        entry.problem = problem
        self.failures[entry.path] += 1
        zone = names.to_text(origin)
        if entry.zone:
            logger.error("%s; zone %s stays at serial %d", problem, zone, entry.zone.serial)
        else:
            logger.error("%s; zone %s answers SERVFAIL until it is loaded", problem, zone)


def _unreadable(outcome: Loaded | ZoneFileError) -> bool:
    return isinstance(outcome, ZoneFileError) and outcome.unreadable


def _may_differ(entry: _Entry, touched: Iterable[str]) -> bool:
    names_of = {os.path.basename(file) for file in entry.files}
    return not names_of.isdisjoint(touched) or signature(entry.files) != entry.seen


def _read(origin: Name, path: str) -> _Read:
    # The signature is from before the reading: what changes meanwhile is read once more.
    outcome: Loaded | ZoneFileError
    before = signature((path,))
    try:
        outcome = load(origin, path)
    except ZoneFileError as error:
        outcome = error
    return _Read(origin, path, before + signature(outcome.files[1:]), outcome)


def _log_loaded(zone: Zone, path: str) -> None:
    origin = names.to_text(zone.origin)
    logger.info("zone %s: serial %d, %d records, %s", origin, zone.serial, len(zone), path)
    for warning in zone.warnings:
        logger.warning("%s: %s", path, warning)
