"""Files read and replaced as a whole. Blocking: for a thread."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class NotRegularError(OSError):
    """A FIFO, device, socket or folder where a file was expected."""

    def __init__(self) -> None:
        super().__init__(None, "not a regular file")


def read(path: str | Path, most: int) -> bytes:
    """The content of a regular file of at most ``most`` octets; of ``/dev/null``, nothing.

    Never blocks on a FIFO without a writer, nor reads a device without an end. Raises ``OSError``, also
    for a path with a NUL character.
    """
    try:
        with open(path, "rb", opener=_unblocked) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) and str(path) != os.devnull:
                raise NotRegularError
            content = file.read(most + 1)
    except ValueError as error:  # a NUL character
        raise OSError(None, str(error)) from error
    if len(content) > most:
        raise OSError(None, f"is larger than {most} bytes")
    return content


def check_regular(path: str | Path) -> None:
    """Raise ``OSError`` unless a file can be opened that another library is going to read."""
    with open(path, "rb", opener=_unblocked) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotRegularError


def _unblocked(path: str, flags: int) -> int:
    """A FIFO opens at once; for regular files the flag means nothing."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


@contextmanager
def replacing(path: Path, new: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Write to ``new``, in the same folder, which at the end becomes ``path``; where that fails it goes.

    Nobody else can read it before it has its ``mode``. Raises ``OSError``.
    """
    new.unlink(missing_ok=True)  # else its owner, its mode, or where a link leads would stay
    try:
        with open(new, "xb", opener=_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
