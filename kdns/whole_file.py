"""Puts a file in another's place as a whole, on the disk before it is seen. Blocking: for a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
