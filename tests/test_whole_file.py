"""Reading whole files: what is none is refused at once, wherever the configuration names one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kdns.config.tree import ConfigError, Option
from kdns.plugins.tls import Settings
from kdns.sources import documents, files, textfiles, zone_loading
from kdns.sources.certificates import make_context
from kdns.sources.documents import ManifestError
from kdns.sources.zone_loading import ZoneFileError
from kdns.upstream.resolv import ResolvError, nameservers
from kdns.whole_file import read

READERS: dict[str, Callable[[Path], object]] = {
    "a Corefile": lambda path: files.read(str(path)),
    "an import": lambda path: files.load(str(path), "Corefile"),
    "a zone file": lambda path: zone_loading.load(("example", "org"), str(path)),
    "$INCLUDE": lambda path: zone_loading.load(("example", "org"), _including(path)),
    "a hosts file": lambda path: textfiles.read(str(path)),
    "a manifest": documents.read,
    "resolv.conf": lambda path: nameservers(str(path)),
    "a certificate": lambda path: make_context(
        Settings(certificate=str(path), key=str(path)), Option("tls")
    ),
}


def _including(path: Path) -> str:
    master = path.with_name("master")
    master.write_text(f"$INCLUDE {path}\n")
    return str(master)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("what", ["fifo", "folder", "/dev/zero", "link to /dev/zero"])
def test_what_is_no_file_is_refused_at_once(
    what: str, reader: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "x"
    match what:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "/dev/zero":
            path = Path("/dev/zero")
        case _:
            path.symlink_to("/dev/zero")
    if what == "/dev/zero" and reader is READERS["$INCLUDE"]:
        pytest.skip("the link is that case")
    with pytest.raises((OSError, ConfigError, ZoneFileError, ManifestError, ResolvError)) as raised:
        reader(path)
    assert "regular file" in str(raised.value) or "directory" in str(raised.value)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read(tmp_path / "x", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read(tmp_path / "x", 4)


def test_the_null_device_is_an_empty_file() -> None:
    assert read(os.devnull, 10) == b""
