"""``debug { socket [PATH]; log }``: debug lines, and a socket for ``kdns tail``, ``top``, ``fault``."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct

from kdns.config.tree import Option

MAX_PATH: Final = 100
"""Octets: sockaddr_un holds 107 and a zero on Linux, 103 on macOS."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    log: bool = True
    """Whether debug lines are logged: alone, the directive means that."""
    socket: str = ""
    """Path of the socket; "" for none."""
    directive: Option = Option("debug")


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    log, path = not directive.options, ""
    for option in directive.options:
        if option.name == "log":
            option.none()
            log = True
        elif option.name == "socket":
            path = _path(option)
        else:
            option.fail("not an option of debug; expected socket or log")
    return Settings(log, path, directive)


def _path(option: Option) -> str:
    path = option.one() if option.args else default_path()
    if not path:
        option.fail("expected a path: its usual folder, $XDG_RUNTIME_DIR, is not set")
    if len(os.fsencode(path)) > MAX_PATH or "\0" in path:
        option.fail(f"the path of a socket has at most {MAX_PATH} octets")
    return path


def default_path() -> str:
    """Where the socket is without a path: a folder that only this user can write to; "" for none."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return "/run/kdns.sock"
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(folder, "kdns.sock") if folder else ""
