"""Builds the project's Dockerfile with buildah where no registry is reached.

The bases are made here: Debian's root file system, and for ``python:`` this interpreter's CPython on top of
it, under /usr/local as in the official image. Steps of the Dockerfile run unchanged, with the host's network.
"""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.node import archives, places, rootfs
from tests.node.shell import run, try_run

_STORE: Final = places.NODE / "buildah"
_PATH: Final = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_LEFT_OUT: Final = re.compile(
    r"/(__pycache__|python3\.\d+/(test|idlelib|site-packages|config-[^/]*)|[^/]*\.a|_tkinter[^/]*)$"
)
_HOST_FILES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
"""What an image's build needs of the host to reach the package index."""


def buildah(*arguments: str | Path, seconds: float = 900) -> str:
    return run(*_command(*arguments), seconds=seconds)


def _command(*arguments: str | Path) -> tuple[str | Path, ...]:
    store = ("--root", _STORE / "root", "--runroot", _STORE / "run", "--storage-driver", "overlay")
    return ("nice", "-n", "10", "buildah", *store, *arguments)


def build(context: Path, name: str) -> Path:
    """Build ``context/Dockerfile`` as ``name``; returns an archive of the image (docker's format)."""
    text = (context / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    for base in sorted(set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages - {"scratch"}):
        _provide_base(base)
    mounts = [f"--volume={path}:{path}:ro" for path in _HOST_FILES if Path(path).exists()]
    buildah(
        *("bud", "--isolation", "chroot", "--network", "host", "--pull-never"),
        *("--format", "docker", *mounts, "--tag", name),
        context,
    )
    archive = places.NODE / "built" / f"{name.rpartition('/')[2].replace(':', '-')}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    buildah("push", "--quiet", name, f"docker-archive:{archive}:{name}")
    buildah("rm", "--all")  # left by builds that failed; the store is ours alone
    buildah("rmi", "--prune")  # the image that had the name before
    return archive


def inspect(name: str) -> dict[str, Any]:
    """The image's configuration, as in its manifest."""
    found: dict[str, Any] = msgspec.json.decode(buildah("inspect", "--type", "image", name))
    config: dict[str, Any] = found["Docker"]["config"]
    return config


def unpack(name: str, folder: Path) -> Path:
    """The image's root file system with its extended attributes, in ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    container = buildah("from", "--pull-never", name).strip()
    try:
        mounted = buildah("mount", container).strip()
        run("cp", "-a", f"{mounted}/.", folder)
        buildah("umount", container)
    finally:
        buildah("rm", container)
    return folder


def _provide_base(base: str) -> None:
    reference = f"docker.io/library/{base}"
    if not try_run(*_command("inspect", "--type", "image", reference))[0]:
        return
    found = re.fullmatch(r"python:(3\.\d+)(-slim)?(-bookworm)?", base)
    if not found:
        raise LookupError(f"no way is known to make the base image {base}")
    archive = places.NODE / "built" / f"base-{base.replace(':', '-')}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    layers = (rootfs.provide("slim"), _cpython(found[1]))
    config = {"Cmd": ["python3"], "Env": [_PATH, "LANG=C.UTF-8"]}
    archives.write(archive, [archives.Image((reference,), layers, config)])
    made = buildah("pull", "--quiet", f"oci-archive:{archive}").strip()
    buildah("tag", made, reference)
    archive.unlink()


def _cpython(version: str) -> Path:
    """A layer with this interpreter's CPython under /usr/local, and with the pip that it ships."""
    running = ".".join(map(str, sys.version_info[:2]))
    prefix = Path(sys.base_prefix)
    if running != version or prefix == Path("/usr"):
        raise LookupError(
            f"the base image python:{version} is made of the CPython {version} that runs this, built under"
            f" a prefix of its own; this is {running} in {prefix}"
        )
    folder = places.NODE / "base"
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(rootfs.provide("slim")) as debian:
        debian.extractall(folder, filter="fully_trusted")
    shutil.copytree(
        prefix, folder / "usr/local", symlinks=True, dirs_exist_ok=True, ignore=_leave_out
    )
    for name in ("python", "python3"):
        _link(folder / "usr/local/bin" / name, f"python{version}")
    inside = ("env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "/usr/sbin/chroot", folder)
    run(*inside, "/sbin/ldconfig")
    run(*inside, "python3", "-m", "ensurepip")
    _link(folder / "usr/local/bin/pip", "pip3")
    layer = places.NODE / "rootfs" / f"cpython-{version}.tar"
    run("tar", "-C", folder, "--numeric-owner", "-cf", layer, "usr/local", "etc/ld.so.cache")
    shutil.rmtree(folder)
    return layer


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _leave_out(folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "bin":  # the scripts of packages that are not in the image
        return {name for name in names if not re.fullmatch(r"python3(\.\d+)?", name)}
    return {name for name in names if _LEFT_OUT.search(f"{folder}/{name}")}
