"""The process around a command: its streams, Ctrl-C, what the system refuses. Nobody sees a traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kdns.cli import main
from tests.waiting import until

ROOT = Path(__file__).parents[2]
KDNS = f"{sys.executable} -m kdns"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
        timeout=60,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_said(unbuffered: str) -> None:
    ran = shell(f"{KDNS} -plugins > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (ran.returncode, ran.stderr) == (1, "kdns: No space left on device\n")


def test_a_terminal_without_unicode_gets_escapes() -> None:
    line = f"{KDNS} laptop --print-corefile --manifests 'n€'"
    ran = shell(line, PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "        manifests n\\u20ac\n" in ran.stdout


async def test_a_server_runs_without_output(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    line = (
        f"exec {KDNS} serve --manifests examples/cluster --listen 127.0.0.1:0 --pidfile {pid} >&-"
    )
    server = await asyncio.create_subprocess_shell(line, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    assert server.stderr is not None
    ended = asyncio.ensure_future(server.stderr.read())
    try:
        await until(lambda: pid.exists() or ended.done())
        assert pid.exists(), ended.result().decode()
    finally:
        if server.returncode is None:
            server.kill()
        await ended
        await server.wait()


@pytest.mark.parametrize(
    ("words", "where", "status"),
    [
        ("check x", "kdns.cli.early.listen", -signal.SIGINT),
        ("check x", "kdns.cli.check.run", 130),
        ("serve", "kdns.cli.serve.run", -signal.SIGINT),
        ("laptop", "kdns.cli.laptop.run", -signal.SIGINT),
        ("-conf x", "kdns.cli.coredns.run", -signal.SIGINT),
    ],
)
def test_ctrl_c_before_there_is_anything_to_end(words: str, where: str, status: int) -> None:
    script = """if True:
        import os, signal, sys
        from unittest import mock
        from kdns import __main__
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
        with mock.patch(sys.argv.pop(), lambda _: os.kill(os.getpid(), signal.SIGINT)):
            sys.exit(__main__.main())
    """
    command = [sys.executable, "-c", script, *words.split(), where]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (status, "")


def test_what_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError(13, "Permission denied", "/root/x")

    monkeypatch.setattr(Path, "is_dir", refused)
    assert main.main(["check", "/root/x"]) == 1
    assert capsys.readouterr().err == "kdns: /root/x: Permission denied\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["qery", "web"], "kdns: error: there is no command 'qery'; did you mean query?"),
        (["check"], "kdns check: error: which file? Expected PATH"),
        (["help"], "kdns: error: there is no command 'help'"),
        (
            ["serve", "--lisen", ":53"],
            "kdns serve: error: unrecognized arguments: --lisen :53; did you mean --listen?",
        ),
        (
            ["query", "web", "--namspace=shop"],
            "unrecognized arguments: --namspace=shop; did you mean --namespace?",
        ),
    ],
)
def test_misspelt(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(words)
    assert end.value.code == 2
    assert expected in capsys.readouterr().err
