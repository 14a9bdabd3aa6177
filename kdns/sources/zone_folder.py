"""Which zones are served from which files: named one by one, or found in a folder by their names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from kdns.plugins import go_regex
from kdns.wire import names
from kdns.wire.names import Name

logger: Final = logging.getLogger("kdns.zonefiles")

_PLACEHOLDER: Final = re.compile(r"\$?\{(\w+)\}")


class Listing(Protocol):
    """The zones there are to be, as far as is known without reading them."""

    paths: Mapping[Name, str]
    """The master file of each zone; replaced as a whole by ``refresh``."""
    folders: tuple[str, ...]
    """What is to be watched beside the folders of the files."""
    lenient: bool
    """Whether a broken file at the start is only that zone's trouble."""

    def refresh(self) -> None:
        """Look again."""

    def covers(self, name: Name) -> bool:
        """Whether questions for ``name`` may be answered from these zones."""


class NamedFiles:
    """The files of ``file`` directives; always the same."""

    def __init__(self, files: Iterable[tuple[Name, str]]) -> None:
        self.paths: Mapping[Name, str] = dict(files)
        self.folders = tuple(
            {os.path.dirname(os.path.abspath(path)) for path in self.paths.values()}
        )
        self.lenient = False

    def refresh(self) -> None:
        """Nothing comes or goes."""

    def covers(self, name: Name) -> bool:
        return True


class Folder:
    """The files in a folder, and in those below it, whose names tell their zone.

    ``pattern`` is searched in the file's name, ``template`` makes the origin from its groups as in
    ``{1}``; questions are answered below ``origins``. Of several files for a zone the first in
    alphabetical order of paths is taken. Raises ``ValueError`` if ``pattern`` is no regular expression.
    """

    def __init__(self, folder: str, pattern: str, template: str, origins: tuple[Name, ...]) -> None:
        self._pattern = go_regex.compile(pattern)
        self._folder = folder
        self._template = template
        self._origins = origins
        self._complaints: set[str] = set()
        self.paths: Mapping[Name, str] = {}
        self.folders: tuple[str, ...] = ()
        self.lenient = True

    def covers(self, name: Name) -> bool:
        return any(names.is_below(name, origin) for origin in self._origins)

    def refresh(self) -> None:
        paths: dict[Name, str] = {}
        complaints: set[str] = set()
        self.folders = (os.path.dirname(os.path.abspath(self._folder)),)
        if not os.path.isdir(self._folder):
            # A volume that is away for a moment takes no zone out of service.
            self._complain({f"{self._folder} is not a folder; no new zones from it"})
            return
        try:
            files = list(self._files())
        except OSError as error:
            # Nor does one that cannot be read, as when file descriptors have run out.
            self._complain({f"{error.filename or self._folder}: {error.strerror}; zones stay"})
            return
        for path in files:
            origin = self._origin_of(os.path.basename(path), complaints)
            if origin is None or not self._matters(origin):
                continue
            if paths.setdefault(origin, path) != path:
                zone = names.to_text(origin)
                complaints.add(f"zone {zone} is served from {paths[origin]}, not from {path}")
        self._complain(complaints)
        self.paths = paths

    def _files(self) -> Iterator[str]:
        """In alphabetical order. A ConfigMap's hidden ``..data`` holds the same files once more."""
        for folder, below, files in os.walk(self._folder, onerror=_unless_gone):
            below[:] = sorted(name for name in below if not name.startswith(".."))
            self.folders += (os.path.abspath(folder),)
            yield from (os.path.join(folder, name) for name in sorted(files))

    def _origin_of(self, file: str, complaints: set[str]) -> Name | None:
        groups = self._pattern.search(file)
        if groups is None:
            return None
        named = self._pattern.named(groups)
        # As in Go: a group that is not there is empty.
        text = _PLACEHOLDER.sub(lambda hole: named.get(hole[1], ""), self._template)
        try:
            return names.from_text(text)
        except names.BadNameError as error:
            complaints.add(f"{os.path.join(self._folder, file)} names no zone: {error}")
            return None

    def _matters(self, origin: Name) -> bool:
        """Whether some name that is covered lies in the zone."""
        return self.covers(origin) or any(names.is_below(one, origin) for one in self._origins)

    def _complain(self, complaints: set[str]) -> None:
        for complaint in sorted(complaints - self._complaints):
            logger.warning("%s", complaint)
        self._complaints = complaints


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
