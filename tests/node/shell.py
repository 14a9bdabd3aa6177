"""Programs run to their end, with their last words in the error."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


class CommandError(Exception):
    """A program failed."""


def run(
    *command: str | Path,
    input_text: str | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 600,
) -> str:
    """Its standard output. Raises ``CommandError``."""
    done = _run(command, input_text, environment, seconds)
    if done.returncode:
        words = (done.stdout + done.stderr).strip()[-3000:]
        raise CommandError(f"{' '.join(map(str, command))}\n{words}")
    return done.stdout


def try_run(*command: str | Path, seconds: float = 60) -> tuple[int, str]:
    """Exit status, and all that it printed."""
    done = _run(command, None, None, seconds)
    return done.returncode, done.stdout + done.stderr


def _run(
    command: tuple[str | Path, ...],
    text: str | None,
    environment: Mapping[str, str] | None,
    seconds: float,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        input=text if text is not None else "",
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
