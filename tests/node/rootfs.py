"""Debian root file systems, of which bases and test clients are made (kept; a minute to make)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.node import places
from tests.node.shell import run

RELEASE: Final = "bookworm"

PACKAGES: Final = {
    # What the python image brings beside CPython, so that its standard library works whole.
    "slim": (
        "ca-certificates,netbase,tzdata,libffi8,libssl3,libsqlite3-0,liblzma5,zlib1g,libbz2-1.0,"
        "libreadline8,libexpat1,libncursesw6,libuuid1,libgdbm6,libdb5.3"
    ),
    # A client with glibc's resolver, and with the tools of upstream's test images.
    "glibc": (
        "bind9-dnsutils,ca-certificates,curl,dnsperf,iproute2,procps,python3-minimal,"
        "libpython3-stdlib,netcat-openbsd"
    ),
}

_UNWANTED: Final = tuple(
    f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")
)


def provide(name: str) -> Path:
    """A tar file of the root file system ``name``."""
    tar = places.NODE / "rootfs" / f"{name}.tar"
    if not tar.exists():
        tar.parent.mkdir(parents=True, exist_ok=True)
        part = tar.with_name(f"{name}.part.tar")
        part.unlink(missing_ok=True)
        run(
            *("nice", "-n", "10", "mmdebstrap", "--quiet", "--variant=minbase", *_UNWANTED),
            *(f"--include={PACKAGES[name]}", RELEASE, part),
        )
        part.rename(tar)
    return tar
