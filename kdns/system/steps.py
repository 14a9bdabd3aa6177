"""What is changed on a machine: files written and commands run, each with its way back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.config.addresses import Address


class Wanted(Struct, frozen=True):
    """Which names are to be sent where."""

    zones: tuple[str, ...]
    """Without final dot."""
    search: tuple[str, ...] = ()
    """Domains for names that are not complete, in order."""
    address: Address | None = None
    """Where kdns listens, an IP address of this machine; None leaves the choice to the method."""


class WriteFile(Struct, frozen=True, tag="file"):
    """Put a file in place of what is there, which is kept."""

    path: str
    content: str


class RunCommand(Struct, frozen=True, tag="command"):
    """Run a command; an empty one does nothing."""

    do: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


WRITTEN: Final = "# Written by 'kdns laptop --install'."
"""What files of ours begin with."""

Step: TypeAlias = WriteFile | RunCommand


class Plan(Struct, frozen=True):
    """All that an installation does."""

    method: str
    """For people: ``systemd-resolved``."""
    wanted: Wanted
    """With the address chosen."""
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    """What whoever installs has to know or do."""


class PlanError(Exception):
    """It cannot be done like this; the text says why and what to do."""


def shell_lines(steps: Iterable[Step]) -> list[str]:
    """The steps as somebody would type them."""
    lines: list[str] = []
    for step in steps:
        if isinstance(step, WriteFile):
            lines += [f"cat > {shlex.quote(step.path)} <<'END'", *step.content.splitlines(), "END"]
        elif step.do:
            lines.append(shlex.join(step.do))
    return lines
