"""A CPU limit as a container has it: a control group with a quota (cgroups(7)), version 1 or 2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.rounds import NotRunError

_PERIOD: Final = 100_000
"""Microseconds, the kubelet's default."""
_MOUNTS: Final = Path("/proc/mounts")
_ENTER: Final = 'echo $$ >"$0" && exec "$@"'


@contextmanager
def limited(millicores: int) -> Iterator[tuple[str, ...]]:
    """A group with the limit, as the beginning of a command that then runs in it.

    Its processes must have ended when the context ends. Raises ``NotRunError`` with the reason where the
    system allows no such group.
    """
    folder, files = _new_group(millicores)
    try:
        folder.mkdir()
        try:
            for name, text in files.items():
                (folder / name).write_text(text)
            yield "sh", "-c", _ENTER, str(folder / "cgroup.procs")
        finally:
            folder.rmdir()
    except PermissionError as error:
        raise NotRunError(f"no CPU limit can be set here: {error}") from error


def _new_group(millicores: int) -> tuple[Path, dict[str, str]]:
    """Where the group is to be made, and what is to be written there."""
    quota = _PERIOD * millicores // 1000
    name = f"kdns-bench-{os.getpid()}-{millicores}m"
    for line in _MOUNTS.read_text().splitlines():
        _, mounted, kind, options = line.split()[:4]
        if kind == "cgroup" and "cpu" in options.split(","):
            files = {"cpu.cfs_period_us": f"{_PERIOD}", "cpu.cfs_quota_us": f"{quota}"}
            return Path(mounted) / name, files
        if kind == "cgroup2" and _delegates_cpu(Path(mounted)):
            return Path(mounted) / name, {"cpu.max": f"{quota} {_PERIOD}"}
    raise NotRunError("no CPU limit can be set here: no cgroup hierarchy with the cpu controller")


def _delegates_cpu(root: Path) -> bool:
    """Whether groups below the root of a version 2 hierarchy can have a CPU limit; enables it if need be."""
    if "cpu" not in (root / "cgroup.controllers").read_text().split():
        return False
    control = root / "cgroup.subtree_control"
    try:
        if "cpu" not in control.read_text().split():
            control.write_text("+cpu")
    except OSError as error:
        raise NotRunError(f"no CPU limit can be set here: {error}") from error
    return True
