"""Changes to the machine, and back: every file as it was, wherever the process was ended in between.

What there was before is written to a state file, complete and flushed, before the first change. Each
step of the way back looks whether it is needed, so the whole can be repeated. A file that somebody else
has changed since is theirs: it is left alone and named.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kdns.system.machine import CHANGE, MAX_BYTES, Machine, printable
from kdns.system.steps import (
    Plan,
    PlanError,
    RunCommand,
    Step,
    Wanted,
    WriteFile,
    shell_lines,
)
from kdns.whole_file import replacing

STATE: Final = {"win32": "/Program Files/kdns/split-dns.json"}
"""Its commands are run to undo an installation, so it is where only administrators may write: not in
ProgramData, where anybody may make a folder."""
STATE_ELSEWHERE: Final = "/var/lib/kdns/split-dns.json"

_NEW: Final = ".kdns-new"
"""Appended to a file's name while it is written."""


class Before(Struct, frozen=True):
    """What was in a file's place: nothing, a symbolic link, or a file."""

    target: str = ""
    content: bytes | None = None
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)


class Change(Struct, frozen=True):
    """A step, and what it found."""

    step: Step
    before: Before = Before()
    folders: tuple[str, ...] = ()
    """Those that the step had to make, the outermost first."""


class State(Struct, frozen=True):
    """An installation, finished or not."""

    method: str
    wanted: Wanted
    changes: tuple[Change, ...]
    done: int = 0
    """How many of the changes were begun and not undone."""


def state_name(machine: Machine) -> str:
    return STATE.get(machine.platform, STATE_ELSEWHERE)


def read_state(machine: Machine) -> State | None:
    """None when nothing is installed. Raises ``PlanError`` when the file cannot be made out."""
    path = machine.path(state_name(machine))
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PlanError(f"{path}: {reason}; remove it when nothing is installed") from error


def installed(machine: Machine | None = None) -> Wanted | None:
    """What was installed on this machine; None when nothing was."""
    try:
        state = read_state(machine or Machine())
    except PlanError:
        return None
    return state.wanted if state else None


def install(machine: Machine, plan: Plan) -> None:
    """Carry a plan out, or when something fails undo it. Nothing may be installed. Raises ``PlanError``."""
    changes = tuple(_look(machine, step) for step in plan.steps)
    for done, change in enumerate(changes, 1):
        _save(machine, State(plan.method, plan.wanted, changes, done))
        if problem := _do(machine, change):
            left = uninstall(machine)
            raise PlanError("; ".join([problem, *left, "what was begun is undone"]))


def uninstall(machine: Machine) -> list[str]:
    """Undo what is installed; what could not be, in words. Raises ``PlanError``."""
    state = read_state(machine)
    found = []
    if state is not None:
        for done in range(state.done, 0, -1):
            _save(machine, replace(state, done=done))
            if problem := _undo(machine, state.changes[done - 1]):
                found.append(problem)
    _forget(machine)
    return found


def _forget(machine: Machine) -> None:
    path = machine.path(state_name(machine))
    path.unlink(missing_ok=True)
    path.with_name(path.name + _NEW).unlink(missing_ok=True)
    _remove_empty(path.parent)


def _save(machine: Machine, state: State) -> None:
    path = machine.path(state_name(machine))
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _replace(path, msgspec.json.encode(state), 0o644)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from error


def describe_undo(machine: Machine, state: State) -> list[str]:
    """What ``uninstall`` would do, in its order."""
    lines = []
    for change in reversed(state.changes[: state.done]):
        step, before = change.step, change.before
        if isinstance(step, RunCommand):
            lines += [shlex.join(step.undo)] if step.undo else []
        elif not is_in_place(machine, change):
            lines.append(f"# {step.path} was changed since; it would be left as it is")
        elif before.target:
            lines.append(f"ln -sf {shlex.quote(before.target)} {shlex.quote(step.path)}")
        elif before.content is None:
            lines.append(f"rm {shlex.quote(step.path)}")
        else:
            content = before.content.decode("utf-8", "replace")
            lines += shell_lines([WriteFile(step.path, content)])
    return lines


def is_in_place(machine: Machine, change: Change) -> bool:
    """Whether a file is still as it was installed."""
    step = change.step
    return not isinstance(step, WriteFile) or _content(machine.path(step.path)) == step.content


def _look(machine: Machine, step: Step) -> Change:
    if isinstance(step, RunCommand):
        return Change(step)
    path = machine.path(step.path)
    folders = [str(folder) for folder in path.parents if not folder.exists()]
    try:
        return Change(step, _before(path), tuple(reversed(folders)))
    except OSError as error:
        raise PlanError(f"{step.path}: {error.strerror}") from error


def _before(path: Path) -> Before:
    if path.is_symlink():
        return Before(target=os.readlink(path))
    if not path.exists():
        return Before()
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        raise PlanError(f"{path} is no file of at most {MAX_BYTES} bytes; it is left alone")
    return Before(
        content=path.read_bytes(),
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
    )


def _do(machine: Machine, change: Change) -> str:
    step = change.step
    if isinstance(step, RunCommand):
        return machine.run(*step.do, limit=CHANGE).problem if step.do else ""
    path = machine.path(step.path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, step.content.encode(), 0o644)
    except OSError as error:
        return _failed(step.path, error)
    return ""


def _undo(machine: Machine, change: Change) -> str:
    step = change.step
    if isinstance(step, RunCommand):
        return machine.run(*step.undo, limit=CHANGE).problem if step.undo else ""
    path = machine.path(step.path)
    try:
        path.with_name(path.name + _NEW).unlink(missing_ok=True)
        if not _is_ours(path, step) and not _is_there(path, change.before):
            return f"{step.path} was changed by somebody else since, and is left as it is"
        _put_back(path, change.before)
        for folder in reversed(change.folders):
            _remove_empty(Path(folder))
    except OSError as error:
        return _failed(step.path, error)
    return ""


def _failed(name: str, error: OSError) -> str:
    reason = printable(error.strerror or str(error))
    if isinstance(error, PermissionError) and getattr(os, "geteuid", lambda: 1)() == 0:
        reason += f"; it may be immutable (lsattr {name}; chattr -i {name})"
    return f"{name}: {reason}"


def _is_ours(path: Path, step: WriteFile) -> bool:
    """Whether it is what we wrote, or its beginning: a file that cannot be replaced is written over."""
    return not path.is_symlink() and step.content.startswith(_content(path) or "")


def _is_there(path: Path, before: Before) -> bool:
    """Whether undoing has nothing to do."""
    if before.target:
        return path.is_symlink() and os.readlink(path) == before.target
    if before.content is None:
        return not path.exists()
    return path.is_file() and not path.is_symlink() and path.read_bytes() == before.content


def _put_back(path: Path, before: Before) -> None:
    if _is_there(path, before):
        return
    if before.target:
        new = path.with_name(path.name + _NEW)
        new.symlink_to(before.target)
        new.replace(path)
    elif before.content is None:
        path.unlink(missing_ok=True)
    else:
        _replace(path, before.content, before.mode, before.owner)


def _content(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return None


def _replace(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Put a file in its place as a whole. Raises ``OSError``."""
    new = path.with_name(path.name + _NEW)
    try:
        with replacing(path, new, mode) as file:
            file.write(content)
            if owner and hasattr(os, "chown"):
                os.chown(new, *owner)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # In a container the file is a mount, which can only be written over.
        path.write_bytes(content)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
