"""The image itself: what is in it, who it runs as, what that user may do, how long it takes to answer."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cluster.processes import Process, free_dns_port, wait_until
from tests.node import building, places
from tests.node.conftest import Say
from tests.node.shell import run

MAX_BYTES: Final = 100_000_000
"""Uncompressed: CoreDNS's is 80 MB."""

QUESTION: Final = b"\0\1\1\0\0\1\0\0\0\0\0\0\4test\0\0\1\0\1"

COREFILE: Final = """\
.:{port} {{
    bind 127.0.0.1
    errors
    whoami
    reload
}}
"""


@pytest.fixture(scope="module")
def root(image: Path) -> Iterator[Path]:
    """The image's root file system. Below /tmp: the user in it has to be able to get there."""
    folder = building.unpack(places.KDNS, Path(f"/tmp/kdns-image-{image.stat().st_ino}"))
    folder.chmod(0o755)
    yield folder
    run("rm", "-rf", folder)


@pytest.fixture(scope="module")
def config(image: Path) -> dict[str, Any]:
    assert image.exists()
    return building.inspect(places.KDNS)


def test_size(image: Path, say: Say) -> None:
    packed = int(run("sh", "-c", f"gzip -c {image} | wc -c"))
    say(f"image: {image.stat().st_size / 1e6:.0f} MB, {packed / 1e6:.0f} MB compressed")
    assert image.stat().st_size < MAX_BYTES


def test_settings(config: dict[str, Any]) -> None:
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/coredns"]
    assert not config["Cmd"]
    assert {"53/udp", "53/tcp"} <= config["ExposedPorts"].keys()


def test_only_the_interpreter_has_a_capability(root: Path) -> None:
    assert run("getcap", "-r", root).split() == [
        f"{root}/usr/local/bin/python3.11",
        "cap_net_bind_service=ep",
    ]


def test_nothing_else_runs_in_it(root: Path) -> None:
    """No shell, no package manager, no setuid file, nothing that the user can change."""
    programs = {path.name for path in (root / "usr/local/bin").iterdir()}
    assert programs == {"python3.11", "kdns"}
    assert not (root / "bin").exists()
    assert run("find", root, "-perm", "/6000").strip() == ""
    writable = run(
        "find", root, "!", "-type", "l", "(", "-perm", "/022", "-o", "-uid", "65532", ")"
    )
    assert writable.split() == [f"{root}/tmp"]


def test_everything_is_compiled(root: Path) -> None:
    sources = list((root / "usr/local/lib").rglob("*.py"))
    compiled = {
        path.parent.parent / f"{path.name.split('.')[0]}.py" for path in root.rglob("*.pyc")
    }
    assert len(sources) > 500
    assert [path for path in sources if path not in compiled and "." not in path.stem] == []


@pytest.mark.parametrize("program", ["/coredns", "/usr/local/bin/kdns"])
def test_version(root: Path, program: str) -> None:
    option = "-version" if program == "/coredns" else "--version"
    assert run(*_as_user(root, program, option)).startswith("kdns ")


def _as_user(root: Path, *command: str) -> list[str | Path]:
    return ["chroot", "--userspec=65532:65532", root, *command]


def test_start(root: Path, say: Say, tmp_path: Path) -> None:
    """From the command to the first answer, as the image's user; CoreDNS's program beside it."""
    port = free_dns_port()
    corefile = root / "tmp/Corefile"
    corefile.write_text(COREFILE.format(port=port))
    ours = _as_user(root, "/coredns", "-conf", "/tmp/Corefile")
    theirs: list[str | Path] = [places.PROGRAMS / "coredns", "-conf", corefile]
    took = {}
    for name, command in (("kdns", ours), ("CoreDNS", theirs)):
        took[name] = sorted(_start(command, port, tmp_path) for _ in range(3))
        each = ", ".join(f"{seconds:.2f} s" for seconds in took[name])
        say(f"start, {name}: first answer after {each}")
    assert took["kdns"][1] < 5


def _start(command: list[str | Path], port: int, logs: Path) -> float:
    start = time.monotonic()
    process = Process(command, logs / "log")
    try:
        wait_until(lambda: _answers(port), 30, "an answer")
        return time.monotonic() - start
    finally:
        process.stop()


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.05)
        try:
            asking.connect(("127.0.0.1", port))
            asking.send(QUESTION)
            return bool(asking.recv(512))
        except OSError:
            return False


def test_what_is_left_out_is_not_missed(root: Path) -> None:
    """Of the packages, what no module of kdns imports is not in the image; what is tried here is."""
    modules = sorted(_modules())
    assert len(modules) > 50
    script = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    python = "/usr/local/bin/python3.11"
    done = subprocess.run(
        [*map(str, _as_user(root, python, "-I", "-c", script, *modules))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _modules() -> Iterator[str]:
    for path in (places.ROOT / "kdns").rglob("*.py"):
        if path.stem != "__main__":
            parts = path.relative_to(places.ROOT).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__")
