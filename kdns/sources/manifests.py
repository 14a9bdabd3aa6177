"""Manifests as a source: what the declared objects would be in a cluster, kept current.

``load`` reads everything and fails loudly; ``run`` watches, and from then on a broken file is logged
once and its last good content stays. Only differences are emitted, so an edit does not disturb what
is cached for other names. What a manifest means is told in ``records.cluster`` and
``records.declared``; how files are read, in ``manifest_files`` and ``documents``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final

from kdns.config.access import ManifestAccess
from kdns.records import cluster, selectors
from kdns.records.cluster import Selection, State
from kdns.records.objects import Change, Kind, Object, Replaced
from kdns.sources.manifest_files import ManifestFiles, Refreshed
from kdns.sources.noticing import notices
from kdns.status import ResourceStatus, SourceStatus
from kdns.supervisor import call_all

logger = logging.getLogger("kdns.manifests")

RETRY: Final = 1.0
"""Seconds until a watch is tried again that the system refused, as when the folder is away."""


class Manifests:
    """Emits the objects of a manifest folder, file or dump, and every change to them.

    Raises ValueError when a selector in ``access`` is invalid.
    """

    def __init__(
        self, access: ManifestAccess, status: SourceStatus, emit: Callable[[Change], None]
    ) -> None:
        self._path = Path(access.path)
        self._files = ManifestFiles(self._path)
        self._status = status
        self._emit = emit
        self._state: State = {}
        self._unwatched = ""
        self._outdated = False
        """Whether ``_state`` was not brought up to the files' content yet."""
        self._selection = Selection(
            labels=selectors.parse(access.labels),
            namespace_labels=selectors.parse(access.namespace_labels),
            pods=access.pods,
            endpoints=access.endpoints,
            imports=access.imports,
            nodes=access.nodes,
        )
        status.resources.update({kind.value: ResourceStatus() for kind in self._selection.kinds})

    def load(self) -> None:
        """Read everything and emit it whole. Raises ManifestError, naming the file and the line."""
        self._files.load()
        self._state = self._assemble()
        for kind in self._selection.kinds:
            self._emit(Replaced(kind, tuple(self._of(kind))))
        self._confirm()
        if not self._files.declared:
            logger.warning("manifests %s: nothing in it that names are made from", self._path)
        logger.info("manifests %s: %d objects", self._path, len(self._state))

    async def run(self) -> None:
        """Follow changes until cancelled. ``load`` comes first."""
        while True:
            try:
                await self._watch()
            except OSError as error:  # no inotify watches left, the folder away
                self._log_unwatched(f"{type(error).__name__}: {error}")
            await asyncio.sleep(RETRY)
            await self.refresh()

    @property
    def name(self) -> str:
        return self._status.name

    def failed(self, problem: str) -> None:
        self._status.failed(problem)

    def settled(self) -> None:
        """Each look at the files says so."""

    async def _watch(self) -> None:
        """A file is watched through its folder: editors put a new one in its place."""
        is_folder = self._path.is_dir()
        watched = self._path if is_folder else self._path.parent
        async with aclosing(notices([watched.absolute()], recursive=is_folder)) as noticed:
            async for paths in noticed:
                await self.refresh(set(map(Path, paths)))

    async def refresh(self, touched: Collection[Path] = ()) -> None:
        """Look at the files now; ``touched`` ones are read even if they look the same."""
        # Reading takes a while for a large dump, and answers must not wait for it.
        refreshed, state = await asyncio.to_thread(self._read, self._own(touched))
        self._log_problems(refreshed)
        if refreshed.changed:
            self._log_difference(state)
        before, self._state = self._state, state
        call_all(partial(self._emit, change) for change in cluster.changes(before, state))
        self._confirm()

    def _own(self, touched: Collection[Path]) -> set[Path]:
        """Spell noticed paths as the files are named here: relative to the working folder or not."""
        absolute = self._path.absolute()
        return {
            self._path / path.relative_to(absolute)
            for path in touched
            if path.is_relative_to(absolute)
        }

    def _read(self, touched: Collection[Path]) -> tuple[Refreshed, State]:
        refreshed = self._files.refresh(touched)
        self._outdated = self._outdated or refreshed.changed
        state = self._assemble() if self._outdated else self._state
        self._outdated = False
        return refreshed, state

    def _assemble(self) -> State:
        return cluster.assemble(self._files.declared, self._selection)

    def _of(self, kind: Kind) -> list[Object]:
        return [each for key, each in self._state.items() if key[0] is kind]

    def _confirm(self) -> None:
        problem = "; ".join(self._files.problems)
        for resource in self._status.resources.values():
            resource.synced = True
            resource.confirmed_at = time.time()
            resource.problem, resource.lost_at = problem, 0.0

    def _log_unwatched(self, reason: str) -> None:
        if reason != self._unwatched:
            logger.warning(
                "manifests %s: looked at every %g s, cannot be watched: %s",
                self._path,
                RETRY,
                reason,
            )
        self._unwatched = reason

    def _log_difference(self, state: State) -> None:
        made = len(state.keys() - self._state.keys())
        gone = len(self._state.keys() - state.keys())
        changed = sum(1 for key, each in state.items() if self._state.get(key, each) != each)
        if made or changed or gone:
            logger.info("manifests %s: +%d ~%d -%d objects", self._path, made, changed, gone)

    def _log_problems(self, refreshed: Refreshed) -> None:
        for problem in refreshed.failed:
            logger.error("%s; what was there before stays", problem)
        for path in refreshed.recovered:
            if path.exists():
                logger.info("%s: in order again", path)
