"""A network namespace with addresses of its own, for sockets that a test uses from outside."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import pytest

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000


def inside(commands: str, make: Callable[[], T]) -> T:
    """What ``make`` returns, run in a new namespace, after each line of ``commands`` was given to ip(8).

    A socket stays in the namespace that it was made in. Skips the test where that needs more privileges.
    """

    def run() -> T | str:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWNET):
            return f"no network namespace: {os.strerror(ctypes.get_errno())}"
        for command in commands.strip().splitlines():
            try:
                subprocess.run(
                    ["ip", *command.split()], check=True, capture_output=True, timeout=30
                )
            except (OSError, subprocess.CalledProcessError) as error:
                return f"ip {command.strip()}: {error}"
        return make()

    with ThreadPoolExecutor(1) as thread:  # a namespace is a thread's own, and ends with it
        made = thread.submit(run).result(60)
    if isinstance(made, str):
        assert os.environ.get("CI") != "true", made
        pytest.skip(made)
    return made
