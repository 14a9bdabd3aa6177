"""RDATA as BIND reads it from zone-file text: another program's opinion on what the octets are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import Final

import pytest

_HEADER: Final = 24  # format, version and times
_RRSET: Final = Struct("!IHHHIIH")  # length, class, type, covered, TTL, count, length of the owner
_CHECKS: Final = "-k ignore -n ignore -i none -m ignore -M ignore -r ignore -S ignore -T ignore"


def rdata(records: Sequence[tuple[str, str]], folder: Path) -> list[bytes]:
    """The wire form of each (type, text), relative to ``example.``; skips where BIND is missing."""
    if shutil.which("named-checkzone") is None:
        assert os.environ.get("CI") != "true", "named-checkzone is missing"
        pytest.skip("named-checkzone is missing; tests/programs.sh installs it")
    lines = ["@ 60 SOA . . 1 2 3 4 5", "@ 60 NS ."]
    lines += [f"r{at} 60 {rtype} {text}" for at, (rtype, text) in enumerate(records)]
    source, raw = folder / "zone", folder / "zone.raw"
    source.write_text("\n".join(lines) + "\n")
    words = ["named-checkzone", *_CHECKS.split(), *f"-F raw -o {raw} example. {source}".split()]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = _read(raw.read_bytes())
    return [found[f"r{at}"] for at in range(len(records))]


def _read(octets: bytes) -> dict[str, bytes]:
    """The one record of each owner below the origin, by the owner's first label."""
    found, at = dict[str, bytes](), _HEADER
    while at < len(octets):
        length, *_, owner = _RRSET.unpack_from(octets, at)
        name = octets[at + _RRSET.size :][:owner]
        found[name[1 : 1 + name[0]].decode()] = octets[at + _RRSET.size + owner + 2 : at + length]
        at += length
    return found
