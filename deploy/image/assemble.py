"""Puts the image's root file system together: ``assemble.py PACKAGES ROOT``, run by the Dockerfile.

The interpreter with the standard library, the packages, the shared libraries that these name, certificates,
two launchers; no shell, no package manager. Everything is compiled here, since the root is read-only later.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = Path(sys.base_prefix)
VERSION: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY: Final = PREFIX / "lib" / VERSION

NOT_NEEDED: Final = (
    *("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo", "config-*"),
    *("site-packages", "sqlite3", "curses", "dbm", "__pycache__", "*.a"),
    *(
        "_sqlite3.*",
        "_curses*",
        "readline.*",
        "_gdbm.*",
        "_dbm.*",
        "_tkinter.*",
        "_crypt.*",
        "nis.*",
    ),
    *("_test*.so", "_ctypes_test.*", "_xx*.so", "xx*.so"),
)
"""Of the standard library: what has a terminal, a window or a database file, and the tests."""

NEVER_IMPORTED: Final = (
    "kubernetes/[b-z]*",  # the blocking client; what is used is in kubernetes/aio
    *(f"kubernetes/aio/{name}" for name in ("dynamic", "leaderelection", "stream", "watch")),
    *("kubernetes/aio/client/api/*.py", "kubernetes/aio/client/models/v*.py"),
    *("requests", "requests_oauthlib", "oauthlib", "websocket", "urllib3", "charset_normalizer"),
    *("tzdata", "bin"),
)
"""Of the packages: most of the Kubernetes client, and what only that part of it needs.

kdns asks the API for JSON, and decodes it by itself.
"""

IMPORTED: Final = """
import asyncio, kdns.cli.coredns, kdns.server.lifecycle
from importlib import import_module
from kdns.config.access import ApiAccess
from kdns.plugins.chain import SUPPORTED
from kdns.sources.apiserver import ApiServer
from kdns.status import SourceStatus

async def main():
    source = ApiServer(ApiAccess("https://127.0.0.1:1"), SourceStatus(""), print)
    await source.open()
    await source.close()

asyncio.run(main())
for module in SUPPORTED.values():
    import_module(module)
from kdns.plugins import go_regex
go_regex.compile("a")
from kdns.wire.constants import Type
from kdns.wire.record_types import to_text
assert to_text(Type.TLSA, bytes(4)) == "0 0 0 00"
from kubernetes.aio.config import kube_config, openid
from kubernetes.aio.config.exec_provider import ExecProvider
"""
"""Tried at the end, so that an image that lacks something is not built."""

SOURCES_OF_EXTENSIONS: Final = ("*.c", "*.h", "*.hpp", "*.pxd", "*.pxi", "*.pyi", "*.pyx", "tests")

FILES: Final = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "etc/ld.so.conf": "/usr/local/lib\n",
}

CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

CAP_NET_BIND_SERVICE: Final = 10
VFS_CAP_REVISION_2: Final = 0x02000000
VFS_CAP_FLAGS_EFFECTIVE: Final = 1


def main(packages: Path, root: Path) -> None:
    root.mkdir()
    for folder in ("etc/coredns", "tmp", "usr/local/bin"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    site = _inside(root, LIBRARY) / "site-packages"
    shutil.copytree(LIBRARY, site.parent, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    shutil.copytree(packages, site, ignore=shutil.ignore_patterns(*SOURCES_OF_EXTENSIONS))
    for path in [path for pattern in NEVER_IMPORTED for path in site.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    interpreter = _copy(root, (PREFIX / "bin" / VERSION).resolve())
    binaries = [interpreter, *site.parent.rglob("*.so")]
    binaries += [_copy(root, library) for library in _libraries(binaries)]
    subprocess.run(["strip", "--strip-unneeded", *map(str, binaries)], check=True)
    _copy(root, CERTIFICATES).chmod(0o644)
    for name, text in FILES.items():
        (root / name).write_text(text)
    _compile(root, site)
    trial = f"import sys; sys.path.insert(0, {str(site)!r})\n{IMPORTED}"
    subprocess.run([sys.executable, "-I", "-B", "-c", trial], check=True)
    _install_launchers(root, interpreter)
    subprocess.run(["/sbin/ldconfig", "-r", str(root)], check=True)
    _allow_port_53(interpreter)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _copy(root: Path, path: Path) -> Path:
    target = _inside(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)
    target.chmod(0o755)
    return target


def _libraries(binaries: Iterable[Path]) -> list[Path]:
    """What the dynamic linker would load for them, under the names by which it finds it."""
    return sorted({library for binary in binaries for library in _needed(binary)})


def _needed(binary: Path) -> Iterator[Path]:
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        if "not found" in line:
            raise SystemExit(f"{binary}: {line.strip()}")
        if found := re.search(r"(/\S+) \(0x", line):
            yield Path(found[1])


def _compile(root: Path, site: Path) -> None:
    """Without a check of the sources' times at each start: nobody edits them."""
    compiled = compileall.compile_dir(
        site.parent,
        stripdir=str(root),
        prependdir="/",
        quiet=1,
        maxlevels=20,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise SystemExit("a package does not compile")


def _install_launchers(root: Path, interpreter: Path) -> None:
    """Isolated (-I): what a Pod has in its environment or its working directory changes nothing."""
    text = Path(__file__).with_name("launch.py").read_text()
    for name in ("coredns", "usr/local/bin/kdns"):
        launcher = root / name
        launcher.write_text(f"#!/{interpreter.relative_to(root)} -I\n{text}")
        launcher.chmod(0o755)
    shutil.copy2(Path(__file__).with_name("LICENSE"), root / "LICENSE")


def _allow_port_53(interpreter: Path) -> None:
    """What ``setcap cap_net_bind_service=+ep`` writes.

    The container's own capability is lost when a user other than root starts a program, unless the
    program's file has it too (capabilities(7), "Transformation of capabilities during execve()").
    """
    flags = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE
    value = struct.pack("<5I", flags, 1 << CAP_NET_BIND_SERVICE, 0, 0, 0)
    os.setxattr(interpreter, "security.capability", value)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
