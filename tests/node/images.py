"""The images that the node has beside kdns: made here, under upstream's names where those are expected.

pause, CoreDNS and agnhost are upstream's programs. The two clients differ in the resolver that a Pod asks
with: ``resolve`` (resolve.c) is linked with musl in one and with glibc in the other.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.node import places, rootfs
from tests.node.archives import Image, write
from tests.node.shell import run

PAUSE: Final = "registry.k8s.io/pause:3.10.2"
AGNHOST: Final = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
GLIBC_TESTING: Final = "registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0"
_LAYERS: Final = places.NODE / "layers"
_RESOLVE: Final = places.HERE / "resolve.c"
_LOAD: Final = places.HERE / "load.py"
_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NONROOT: Final = "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
_SLEEP: Final = ["sleep", "infinity"]


def provide() -> Path:
    """An archive with all of them."""
    archive = places.NODE / "images.tar"
    programs = (places.PROGRAMS / "coredns", places.PROGRAMS / "agnhost")
    inputs = (Path(__file__), _RESOLVE, _LOAD, *programs)
    if not archive.exists() or any(_newer(path, archive) for path in inputs):
        shutil.rmtree(_LAYERS, ignore_errors=True)
        write(archive, _images())
        shutil.rmtree(_LAYERS)
    return archive


def _newer(path: Path, other: Path) -> bool:
    return path.stat().st_mtime > other.stat().st_mtime


def _images() -> list[Image]:
    debian = rootfs.provide("glibc")
    glibc = (debian, _layer(_glibc_client()))
    return [
        Image((PAUSE,), (_layer(_pause()),), {"Entrypoint": ["/pause"], "User": "65535:65535"}),
        Image(
            (places.COREDNS,),
            (_layer(_coredns()),),
            {"Entrypoint": ["/coredns"], "User": "65532:65532", "WorkingDir": "/"},
        ),
        Image((places.MUSL,), (_layer(_musl_client()),), {"Cmd": _SLEEP, "Env": ["PATH=/bin"]}),
        Image((places.GLIBC, GLIBC_TESTING), glibc, {"Cmd": _SLEEP, "Env": [_PATH]}),
        Image(
            (AGNHOST,),
            (debian, _layer(_agnhost())),
            {"Entrypoint": ["/agnhost"], "Cmd": ["pause"], "Env": [_PATH]},
        ),
    ]


def _layer(folder: Path) -> Path:
    tar = folder.with_suffix(".tar")
    run(
        *("tar", "-C", folder, "--xattrs", "--xattrs-include=security.*", "--sort=name"),
        *("--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf", tar, "."),
    )
    return tar


def _folder(name: str, *inside: str) -> Path:
    folder = _LAYERS / name
    for each in inside:
        (folder / each).mkdir(parents=True)
    return folder


def kubernetes_sources() -> Path:
    """The sources of the release that the programs are built from."""
    listed = ("go", "list", "-C", places.HERE / "binaries", "-m", "-f", "{{.Dir}}")
    return Path(run(*listed, "k8s.io/kubernetes").strip())


def _pause() -> Path:
    folder = _folder("pause", ".")
    source = kubernetes_sources() / "build/pause/linux/pause.c"
    run("gcc", "-Os", "-static", "-s", "-DVERSION=3.10.2", "-o", folder / "pause", source)
    return folder


def _musl_client() -> Path:
    """As small as an Alpine image: busybox for a shell, and musl's resolver."""
    folder = _folder("musl", "bin", "etc", "tmp")
    run("musl-gcc", "-Os", "-static", "-s", "-o", folder / "bin/resolve", _RESOLVE)
    shutil.copy2("/bin/busybox", folder / "bin/busybox")
    for applet in run("/bin/busybox", "--list").split():
        if applet != "busybox":
            (folder / "bin" / applet).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (folder / "tmp").chmod(0o1777)
    return folder


def _glibc_client() -> Path:
    folder = _folder("glibc", "usr/local/bin")
    run("gcc", "-Os", "-s", "-o", folder / "usr/local/bin/resolve", _RESOLVE)
    shutil.copy2(_LOAD, folder / "usr/local/bin/load.py")
    return folder


def _coredns() -> Path:
    """As upstream's Dockerfile has it: from scratch, not root, the right to port 53 on the file."""
    folder = _folder("coredns", "etc/ssl/certs")
    shutil.copy2(places.PROGRAMS / "coredns", folder / "coredns")
    for word in run("ldd", folder / "coredns").split():  # built with cgo here
        if word.startswith("/"):
            run("cp", "--parents", "-L", word, folder)
    run("setcap", "cap_net_bind_service=+ep", folder / "coredns")
    (folder / "etc/passwd").write_text(_NONROOT)
    return folder


def _agnhost() -> Path:
    folder = _folder("agnhost", "uploads", "usr/local/bin")
    shutil.copy2(places.PROGRAMS / "agnhost", folder / "agnhost")
    (folder / "agnhost-2").symlink_to("agnhost")
    shutil.copy2(places.PROGRAMS / "coredns", folder / "coredns")
    for name in ("localhost.crt", "localhost.key"):
        shutil.copyfile(kubernetes_sources() / "test/images/agnhost/porter" / name, folder / name)
    # upstream's image is Alpine, whose getent is musl's; the tests call it by that name
    run("musl-gcc", "-Os", "-static", "-s", "-o", folder / "usr/local/bin/getent", _RESOLVE)
    return folder
