"""The manifest files below a path: which there are, and the last good content of each.

A file is read again only when it has changed. What cannot be used leaves its last good content in
place: text that is broken, or an object that another file declares too. Once every file is in order,
the content is the same as that of a fresh start. Knows nothing of watching, DNS or logging.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.records.declared import Declared
from kdns.sources import documents
from kdns.sources.documents import ManifestError, Placed
from kdns.sources.noticing import Stamp, stamp

SUFFIXES: Final = frozenset((".yaml", ".yml", ".json"))
NOT_MANIFESTS: Final = frozenset(("kustomization.yaml", "kustomization.yml"))
"""Lie between manifests without being any; they need not even name a kind."""

Content: TypeAlias = tuple[Placed, ...]


class Refreshed(Struct, frozen=True):
    """What a look at the files has shown."""

    changed: bool = False
    """Whether the declared objects may differ from before."""
    failed: tuple[str, ...] = ()
    """New problems, each beginning with the file and the line."""
    recovered: tuple[Path, ...] = ()


class ManifestFiles:
    """The files of one folder, or one file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps: dict[Path, Stamp] = {}
        self._latest: dict[Path, Content | ManifestError] = {}
        self._good: dict[Path, Content] = {}
        self._problems: dict[Path, str] = {}

    @property
    def declared(self) -> list[Declared]:
        """All objects, in the order of the file names."""
        return [each.declared for path in sorted(self._good) for each in self._good[path]]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is in the way at the moment, by file name."""
        return tuple(self._problems[path] for path in sorted(self._problems))

    def load(self) -> None:
        """Read all files. Raises ManifestError for the first that cannot be used."""
        self.refresh()
        for problem in self.problems:
            raise ManifestError(problem)

    def refresh(self, touched: Collection[Path] = ()) -> Refreshed:
        """Read what has changed since the last time, and ``touched`` files in any case."""
        try:
            found = dict(self._scan())
        except OSError as error:
            missing = {self._root: f"manifests {self._root}: {error.strerror or error}"}
            return self._report(missing, changed=False)
        stale = [
            path
            for path, stamp in found.items()
            if path not in self._stamps or self._stamps[path] != stamp or path in touched
        ]
        vanished = self._stamps.keys() - found.keys()
        for path in stale:
            self._latest[path] = _read(path)
        for path in vanished:
            del self._latest[path]
        self._stamps = found
        if not stale and not vanished and self._root not in self._problems:
            return Refreshed()
        return self._settle()

    def _scan(self) -> Iterator[tuple[Path, Stamp]]:
        """Find the files; hidden ones are left out, as are the folders behind a mounted ConfigMap."""
        if not self._root.is_dir():
            self._root.stat()
            yield self._root, stamp(self._root)
            return
        for folder, folders, names in os.walk(self._root, onerror=_unless_gone):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if path.suffix in SUFFIXES and name not in NOT_MANIFESTS and name[0] != ".":
                    yield path, stamp(path)

    def _settle(self) -> Refreshed:
        """Take the latest content of each file, but for what is broken or declared elsewhere."""
        wanted: dict[Path, Content] = {}
        problems: dict[Path, str] = {}
        for path, latest in self._latest.items():
            if isinstance(latest, ManifestError):
                problems[path] = str(latest)
                wanted[path] = self._good.get(path, ())
            else:
                wanted[path] = latest
        while conflict := _conflict(wanted):
            path, problem = self._blamed(conflict, wanted)
            problems[path] = problem
            wanted[path] = self._good.get(path, ())
        changed = wanted != self._good
        self._good = wanted
        return self._report(problems, changed=changed)

    def _blamed(
        self, conflict: tuple[_Claim, _Claim], wanted: Mapping[Path, Content]
    ) -> tuple[Path, str]:
        """Of two files that declare the same object, blame the one that changed; else the later."""
        first, second = conflict
        if wanted[second.path] is self._good.get(second.path):
            first, second = second, first
        each = second.placed.declared
        what = f"{each.kind} {each.namespace}/{each.name}".replace(" /", " ")
        problem = f"{second.placed.place}: {what} is declared twice, also at {first.placed.place}"
        return second.path, problem

    def _report(self, problems: dict[Path, str], *, changed: bool) -> Refreshed:
        before, self._problems = self._problems, problems
        return Refreshed(
            changed=changed,
            failed=tuple(each for path, each in problems.items() if before.get(path) != each),
            recovered=tuple(path for path in before if path not in problems),
        )


class _Claim(Struct, frozen=True):
    path: Path
    placed: Placed


def _conflict(wanted: Mapping[Path, Content]) -> tuple[_Claim, _Claim] | None:
    """Find an object that is declared twice, by kind, namespace and name."""
    seen: dict[tuple[str, str, str], _Claim] = {}
    for path in sorted(wanted):
        for placed in wanted[path]:
            each = placed.declared
            claim = _Claim(path, placed)
            first = seen.setdefault((each.kind, each.namespace, each.name), claim)
            if first is not claim:
                return first, claim
    return None


def _read(path: Path) -> Content | ManifestError:
    try:
        return documents.read(path)
    except ManifestError as error:
        return error


def _unless_gone(error: OSError) -> None:
    """A folder that cannot be read (no more file descriptors, say) is not an empty one."""
    if not isinstance(error, FileNotFoundError):
        raise error
