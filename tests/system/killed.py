"""Ends itself by SIGKILL before the n-th thing that it changes, for every n; then it is undone.

Started by ``test_installed.py`` as a program of its own, since it forks. It prints how many places it was
killed at, and each in which something was left.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from kdns.config.addresses import Address
from kdns.system.installed import install, uninstall
from kdns.system.machine import Machine
from kdns.system.steps import Plan, RunCommand, Wanted, WriteFile

CHANGES: Final = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.chmod", "os.chown"),
    "subprocess.Popen",
}

WANTED: Final = Wanted(("cluster.internal",), (), Address("127.0.0.1", 53))
PLAN: Final = Plan(
    "test",
    WANTED,
    (
        RunCommand(undo=("true",)),
        WriteFile("/etc/resolv.conf", "nameserver 127.0.0.1\n"),
        WriteFile("/etc/link", "ours\n"),
        RunCommand(do=("true",), undo=("true",)),
        WriteFile("/etc/new/folder/file", "ours\n"),
    ),
)


def prepare(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "var/lib").mkdir(parents=True)
    (root / "etc/resolv.conf").write_bytes(b"nameserver 192.0.2.1\n\xff\n")
    (root / "etc/resolv.conf").chmod(0o640)
    (root / "etc/link").symlink_to("../run/resolv.conf")


def files(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(root))] = (mode, content)
    return found


def kill_at(number: int) -> None:
    left = number

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        writes = (
            event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if event in CHANGES or writes:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def killed(number: int, machine: Machine, what: str) -> bool:
    child = os.fork()
    if not child:
        kill_at(number)
        if what == "install":
            install(machine, PLAN)
        else:
            uninstall(machine)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status), f"failed with {status}"
    return status != 0


def attempt(number: int, what: str) -> bool:
    """Whether it was killed; afterwards everything has to be as it was."""
    root = Path(tempfile.mkdtemp())
    try:
        prepare(root)
        before, machine = files(root), Machine(str(root), "linux")
        if what == "uninstall":
            install(machine, PLAN)
        was_killed = killed(number, machine, what)
        problems = uninstall(machine)
        if problems or files(root) != before:
            print(f"{what}, killed at {number}: {problems} {files(root)}")
        return was_killed
    finally:
        shutil.rmtree(root)


def main() -> None:
    for what in ("install", "uninstall"):
        number = 1
        while attempt(number, what):
            number += 1
        print(f"{what}: {number - 1} places")


if __name__ == "__main__":
    main()
