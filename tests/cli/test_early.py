"""``/ready`` is listened on before anything else is done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.cli import early
from tests.cluster.processes import free_port

PORT = free_port()
LINE = f"ready 127.0.0.1:{PORT}"


@pytest.fixture(autouse=True)
def _closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    while early.held:
        early.held.popitem()[1].close()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("ready", [":8181"]),
        ("ready {", [":8181"]),
        ("ready :18181 {", [":18181"]),
        ("\tready 127.0.0.1:1", ["127.0.0.1:1"]),
        ("# ready", []),
        ("already", []),
        ("health :8080", []),
    ],
)
def test_what_a_corefile_seems_to_say(line: str, wanted: list[str]) -> None:
    Path("Corefile").write_text(f".:53 {{\n{line}\n}}\n")
    assert early._named("Corefile") == wanted


@pytest.mark.parametrize(
    "command",
    [
        "kdns -conf other",
        "/coredns -conf other",
        "/coredns -dns.port 53 --conf other",
        "/coredns -conf=other",
        f"kdns serve --manifests x --ready 127.0.0.1:{PORT}",
        f"kdns serve --ready=127.0.0.1:{PORT}",
    ],
)
def test_command_lines(command: str) -> None:
    Path("other").write_text(f". {{\n    {LINE}\n}}\n")
    early.listen(command.split())
    assert [s.getsockname() for s in early.held.values()] == [("127.0.0.1", PORT)]


@pytest.mark.parametrize("command", ["kdns", "kdns --help", "kdns check Corefile", "kdns tail x"])
def test_commands_that_start_no_server(command: str) -> None:
    Path("Corefile" if "check" in command else "other").write_text(LINE)
    early.listen(command.split())
    assert early.held == {}


@pytest.mark.parametrize(
    "line",
    [
        "ready {$PORT}",
        "ready localhost:1",  # a name, whose look-up may take its time
        "ready 192.0.2.1:1",
        "ready :65536",
        "ready ::1",
        "ready [::1",
        "ready 8181",
        "ready :",
        "ready :\N{SUPERSCRIPT TWO}",
        b"ready \xff",
        b"ready 1\0:80",
        f"ready :{'9' * 5000}",
    ],
)
def test_what_cannot_be_had_is_left_to_the_server(line: str | bytes) -> None:
    Path("Corefile").write_bytes(line if isinstance(line, bytes) else line.encode())
    early.listen(["/coredns"])
    assert early.held == {}


def test_a_word_that_is_no_text_is_left_to_the_server() -> None:
    early.listen(["kdns", "serve", "--ready", "\udcff:80"])
    assert early.held == {}


def test_no_more_sockets_than_a_server_needs() -> None:
    Path("Corefile").write_text("".join(f"ready 127.0.0.{n}:{PORT}\n" for n in range(1, 100)))
    early.listen(["/coredns"])
    assert len(early.held) == early.MAX_SOCKETS


def test_an_address_that_is_taken_is_left_to_the_server() -> None:
    Path("Corefile").write_text(f"{LINE}\n{LINE}\n")
    early.listen(["/coredns"])
    assert len(early.held) == 1


def test_nothing_that_takes_time_is_imported_before(tmp_path: Path) -> None:
    (tmp_path / "Corefile").write_text(LINE)
    script = """if True:
        import sys

        def hook(event, _):
            if event == "socket.bind":
                sys.exit(" ".join(sys.modules.keys() - before))

        sys.addaudithook(hook)
        before = {*sys.modules}
        sys.argv = ["/coredns"]
        from kdns import __main__
        __main__.main()
    """
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert sorted(done.stderr.split()) == (
        [
            "__future__",
            "_socket",
            "itertools",
            "kdns",
            "kdns.__main__",
            "kdns.cli",
            "kdns.cli.early",
        ]
    )
