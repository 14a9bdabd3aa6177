"""The Corefiles that distributions ship: every one is planned and built as far as directives exist.

Prints which of them start, and which directive the others still miss.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from kdns.config import corefile
from kdns.config.tree import ConfigError
from kdns.plugins import chain, ignored
from tests.plugins.chains import block

COREFILES: Final = Path(__file__).parent.parent / "config" / "corefiles"
NAMES: Final = sorted(path.stem for path in COREFILES.glob("*.Corefile"))


def load(pattern: str, importing_file: str) -> list[tuple[str, str]]:
    """The globs of these files match nothing, as on a fresh node."""
    assert "*" in pattern
    return []


@pytest.mark.parametrize("name", NAMES)
def test_default_corefile(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (COREFILES / f"{name}.Corefile").read_text()
    blocks = corefile.parse(text, f"{name}.Corefile", load=load)
    missing = {d.name for b in blocks for d in b.directives} - chain.SUPPORTED.keys()
    with capsys.disabled():
        print(f"\n  {name}: " + (f"misses {', '.join(sorted(missing))}" if missing else "starts"))
    try:
        plans = [chain.plan(each) for each in blocks]
    except ConfigError as error:
        words = re.sub(r"^\S+:\d+: ", "", str(error))
        assert any(f"directive {m} of" in words for m in missing)
    else:
        assert not missing
        assert all(planned.order for planned in plans)


@pytest.mark.parametrize("name", ignored.DIRECTIVES)
def test_harmless_directives_are_warned_about(name: str) -> None:
    planned = chain.plan(block(f"{name} a b {{\nc d\n}}"))
    assert planned.warnings == (f"Corefile:2: {name} has no effect: {ignored.DIRECTIVES[name]}",)
