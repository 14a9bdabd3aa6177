"""Text files that directives read (a hosts file): loaded at the start, read again when they change.

Knows nothing of what the text means: whoever asks for the file gives the function that reads it. A
file that goes away, cannot be read, or has a mistake in it leaves what was last read in service.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, Generic, TypeVar

from kdns import whole_file
from kdns.config.tree import ConfigError
from kdns.plugins.interface import file_key
from kdns.sources.noticing import Signature, folders_of, follow, signature
from kdns.wire.message import Key

logger: Final = logging.getLogger("kdns.textfiles")

MAX_BYTES: Final = 64 * 1024 * 1024  # block lists have some megabytes; also ends reading /dev/zero
T_co = TypeVar("T_co", covariant=True)


class TextFile(Generic[T_co]):
    """A file, and in ``value`` what ``read`` made of its text ("" before there is one).

    ``reload`` is the longest time in seconds between two looks at it; 0 for never again. ``on_change``
    gets the key of the file after each change.
    """

    def __init__(
        self,
        path: str,
        reload: float,
        read: Callable[[str], T_co],
        on_change: Callable[[frozenset[Key]], None],
    ) -> None:
        self.path, self._reload = path, reload
        self._read, self._on_change = read, on_change
        self._text = ""
        self._seen: Signature = ()
        self._problem = ""
        self.changed_at = 0.0
        """Unix time of the file's last change; 0 while it was never read."""
        self._value = read("")

    @property
    def value(self) -> T_co:
        return self._value

    def load(self) -> None:
        """Read it, before ``run``; a file that is not there is waited for.

        Raises ``ConfigError`` if ``read`` does.
        """
        looked = self._look()
        if isinstance(looked[1], ConfigError):
            raise looked[1]
        self._take(looked)

    async def run(self) -> None:
        """Follow changes until cancelled; returns at once where there are no reloads."""
        if not self._reload:
            return
        async with aclosing(follow(lambda: folders_of([self.path]), self._reload)) as notices:
            async for _ in notices:
                await self._refresh()

    async def _refresh(self) -> None:
        if signature((self.path,)) == self._seen:
            return
        if self._take(await asyncio.to_thread(self._look)):
            logger.info("%s has changed, read again", self.path)
            self._on_change(frozenset((file_key(self.path),)))

    def _look(self) -> tuple[Signature, str | OSError | ConfigError, T_co | None]:
        """The signature is from before the reading: what changes meanwhile is read once more."""
        seen = signature((self.path,))
        try:
            text = read(self.path)
            return seen, text, None if text == self._text else self._read(text)
        except (OSError, ConfigError) as error:
            return seen, error, None

    def _take(self, looked: tuple[Signature, str | OSError | ConfigError, T_co | None]) -> bool:
        """Whether the file says something else now."""
        self._seen, text, value = looked
        if not isinstance(text, str):
            self._complain(text)
            return False
        self._problem = ""
        if self._seen and self._seen[0]:
            self.changed_at = self._seen[0][0] / 1e9
        if value is None:
            return False
        self._text, self._value = text, value
        return True

    def _complain(self, error: OSError | ConfigError) -> None:
        problem = str(error)
        if isinstance(error, OSError):
            problem = f"{self.path}: {error.strerror or error}"
        if problem != self._problem:
            self._problem = problem
            kept = (
                "going on with what was last read" if self._text else "as if empty until it is read"
            )
            logger.warning("%s; %s", problem, kept)


def read(path: str) -> str:
    """The text of a file, octets that are no UTF-8 surrogate-escaped. Raises ``OSError``."""
    octets = whole_file.read(path, MAX_BYTES)
    return octets.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
