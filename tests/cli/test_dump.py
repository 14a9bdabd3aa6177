"""What ``kdns dump`` writes is a zone to others: their checkers take it, and it is what is answered."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.message
import dns.rcode
import dns.zone
import pytest

from kdns.cli import main
from kdns.sources.zone_loading import load
from kdns.wire.names import from_text

ROOT = Path(__file__).parents[2]
SOURCES = ("--manifests", str(ROOT / "examples/cluster"), "--zones", str(ROOT / "zones"))
ZONES = ("cluster.local", "in-addr.arpa", "ip6.arpa", "2.0.192.in-addr.arpa", "example.test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dump")
    assert main.main(["dump", "all", *SOURCES, "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("checker", ["named-checkzone", "kzonecheck -o"])
def test_others_take_it(folder: Path, zone: str, checker: str) -> None:
    program, *options = checker.split()
    if shutil.which(program) is None:
        assert os.environ.get("CI") != "true", f"{program} is missing"
        pytest.skip(f"{program} is missing; tests/programs.sh installs it")
    words = [program, *options, zone, str(folder / f"db.{zone}")]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("zone", ZONES)
def test_it_is_read_again_as_it_was(folder: Path, zone: str) -> None:
    path = folder / f"db.{zone}"
    text = path.read_text()
    assert " SOA " in text.splitlines()[0]
    ours = load(from_text(f"{zone}."), str(path)).zone
    theirs = dns.zone.from_text(text, zone, relativize=False)
    assert len(ours) == sum(len(rdataset) for _, rdataset in theirs.iterate_rdatasets())
    assert len(ours) == len(text.splitlines())


def test_names_of_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["dump", "Cluster.Local.", *SOURCES, "--ttl", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "db-0.db.default.svc.cluster.local. 30 IN A 10.244.1.10" in lines
    assert "redis-master.my-ns.svc.cluster.local. 30 IN A 172.17.0.6" in lines
    assert 'dns-version.cluster.local. 28800 IN TXT "1.1.0"' in lines


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["nope.test"],
            "no zone nope.test. here; there are: cluster.local., in-addr.arpa., ip6.arpa.",
        ),
        (["a..b"], "'a..b.' has an empty label"),
        (["all", "@127.0.0.1"], "a server hands over one zone at a time"),
        (["a.test", "@127.0.0.1:x"], "has no valid port"),
    ],
)
def test_mistakes(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["dump", *words, *SOURCES[:2]]) == 1
    assert expected in capsys.readouterr().err


# ---- from a server


@contextmanager
def serving(messages: Iterable[dns.message.Message], rest: bytes = b"") -> Iterator[str]:
    """A server that says just this to the first question, under its ID, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            # Who has read enough closes, and does not wait for the rest.
            with connection, connection.makefile("rb") as stream, suppress(ConnectionError):
                question = stream.read(int.from_bytes(stream.read(2), "big"))
                for message in messages:
                    data = question[:2] + message.to_wire()[2:]
                    connection.sendall(len(data).to_bytes(2, "big") + data)
                connection.sendall(rest)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"@127.0.0.1:{listener.getsockname()[1]}"
        thread.join(60)


def message(*records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    text = "id 1\nopcode QUERY\nflags QR AA\nrcode " + dns.rcode.to_text(rcode)
    return dns.message.from_text(
        text + "\n;QUESTION\na.test. IN AXFR\n;ANSWER\n" + "\n".join(records), one_rr_per_rrset=True
    )


SOA = "a.test. 60 IN SOA ns.a.test. h.a.test. 7 1 2 3 60"
NS, A = "a.test. 60 IN NS ns.a.test.", "ns.a.test. 60 IN A 192.0.2.1"


@pytest.mark.parametrize(
    "messages", [[message(SOA, NS, A, SOA)], [message(SOA), message(A), message(NS), message(SOA)]]
)
def test_a_transfer_in_any_number_of_messages(
    messages: list[dns.message.Message], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(messages) as server:
        assert main.main(["dump", "a.test", server]) == 0
    assert capsys.readouterr().out.splitlines() == [SOA, NS, A]


@pytest.mark.parametrize(
    ("messages", "rest", "expected"),
    [
        ([message(rcode=dns.rcode.REFUSED)], b"", "no zone transfer: REFUSED"),
        ([message()], b"", "the transfer has no records"),
        ([message(NS)], b"", "does not begin with the SOA"),
        ([message(SOA), message(), message(NS), message(SOA)], b"", "no records in the middle"),
        ([message(SOA, NS)], b"", "the connection was closed in the middle"),
        ([message(SOA)], b"\0\5hello", "unreadable reply"),
        ([message(SOA)], b"\0\x0c\0\0\x84\0" + bytes(8), "the reply is to another question"),
    ],
)
def test_a_transfer_that_fails(
    messages: list[dns.message.Message],
    rest: bytes,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(messages, rest) as server:
        assert main.main(["dump", "a.test", server]) == 1
    assert expected in capsys.readouterr().err


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main.main(["dump", "a.test", "@127.0.0.1", "--port", str(port)]) == 1
    assert "refused" in capsys.readouterr().err
