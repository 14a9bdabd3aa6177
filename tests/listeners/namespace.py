"""A network namespace with addresses of its own, for sockets that a test uses from outside."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import pytest

from tests.cluster.processes import wait_until

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000


def inside(addresses: str, make: Callable[[], T]) -> T:
    """What ``make`` returns, run in a new namespace that has a pair of links, veth0 and veth1.

    Each line of ``addresses`` is one of a link: it is added when the links are up, and waited for, since the
    kernel does that later. A socket stays in the namespace that it was made in. Skips the test where that
    needs more privileges.
    """

    def run() -> T | str:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWNET):
            return f"no network namespace: {os.strerror(ctypes.get_errno())}"
        try:
            _ip("link set lo up")
            _ip("link add veth0 type veth peer name veth1")
            _ip("link set veth0 up")
            _ip("link set veth1 up")
            wait_until(lambda: _ip("-oneline link").count("state UP") == 2, 30, "links that are up")
            for address, link in map(str.split, addresses.strip().splitlines()):
                _ip(f"addr add {address} dev {link}" + " nodad" * (":" in address))
                route = f"local {address.partition('/')[0]} dev {link} "
                wait_until(partial(_has_route, route), 30, route)
        except (OSError, subprocess.CalledProcessError) as error:
            return str(error)
        return make()

    with ThreadPoolExecutor(1) as thread:  # a namespace is a thread's own, and ends with it
        made = thread.submit(run).result(60)
    if isinstance(made, str):
        assert os.environ.get("CI") != "true", made
        pytest.skip(made)
    return made


def _has_route(route: str) -> bool:
    return any(route in _ip(f"-{family} route show table local") for family in (4, 6))


def _ip(command: str) -> str:
    words = ["ip", *command.split()]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout
