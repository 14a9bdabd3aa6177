"""The machine as the rest of this package sees it: its files, its commands, which system it is.

Tests put another root and recorded commands in their place. What files and commands say is cut off at a
length, and a command that does not end is ended: both may be anything.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

MAX_BYTES: Final = 256 * 1024
"""Of a file or of a command's output; what is read here has a few lines."""

LOOK: Final = 2.0
LOOK_IN_POWERSHELL: Final = 5.0
CHANGE: Final = 30.0
"""Seconds for a command that only looks, and for one that changes something."""

_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Looked in after ``PATH``, which for users often lacks them."""


class Ran(Struct, frozen=True):
    """What a command came to."""

    output: str = ""
    """What it wrote to standard output."""
    problem: str = ""
    """Why it failed, in words; "" when it did not."""


class Machine:
    """This machine, or with ``root`` a folder that has its files."""

    def __init__(self, root: str = "/", platform: str = sys.platform) -> None:
        self.root, self.platform = Path(root), platform

    def path(self, name: str) -> Path:
        """Where the file of this absolute name is."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str:
        """The text of a file; "" when it cannot be read."""
        try:
            with self.path(name).open("rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError):
            return ""

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def link(self, name: str) -> str:
        """What a symbolic link points to, as an absolute name; "" when it is none."""
        try:
            target = os.readlink(self.path(name))
        except OSError:
            return ""
        return os.path.normpath(os.path.join(os.path.dirname(name), target))

    def program(self, name: str) -> str:
        """The path of a program, "" when there is none."""
        folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *_FOLDERS))
        return shutil.which(name, path=folders) or ""

    def run(self, *command: str, limit: float = LOOK) -> Ran:
        """Run a command for at most ``limit`` seconds. Never raises."""
        program = self.program(command[0])
        if not program:
            return Ran(problem=f"{command[0]} is not there")
        try:
            return _run((program, *command[1:]), limit)
        except OSError as error:
            return Ran(problem=f"{command[0]}: {error.strerror}")

    @property
    def privileged(self) -> bool:
        """Whether we may change the system."""
        if sys.platform == "win32":
            import ctypes  # noqa: PLC0415 (only there)

            return bool(ctypes.windll.shell32.IsUserAnAdmin())
        return os.geteuid() == 0


def _run(command: Sequence[str], limit: float) -> Ran:
    # Into files: a pipe would be waited for as long as any grandchild holds it.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            _end(process)
            return Ran(problem=f"{Path(command[0]).name} did not end within {limit:g} s")
        output.seek(0)
        errors.seek(0)
        text = output.read(MAX_BYTES).decode("utf-8", "replace")
        if status == 0:
            return Ran(text)
        said = errors.read(MAX_BYTES).decode("utf-8", "replace").strip() or text.strip()
        last = said.splitlines()[-1] if said else f"exit status {status}"
        return Ran(text, f"{Path(command[0]).name}: {printable(last)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def printable(text: str) -> str:
    """A text from elsewhere for people: one short line without control characters."""
    return "".join(c if c.isprintable() else " " for c in text[:200])
