"""The C programs of this folder, compiled when they are first needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.rounds import NotRunError

_SOURCES = Path(__file__).parent


def program(name: str, folder: Path) -> Path:
    """The binary of ``NAME.c`` in ``folder``. Raises ``NotRunError`` without a C compiler."""
    binary = folder / name
    if not binary.exists():
        compiler = shutil.which("cc")
        if compiler is None:
            raise NotRunError("no C compiler (cc)")
        source = _SOURCES / f"{name}.c"
        subprocess.run([compiler, "-O2", "-pthread", "-o", binary, source], check=True)
    return binary
