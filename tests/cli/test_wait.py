"""``kdns wait``: until it is so, or the time is over."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

from kdns.cli import main
from tests.fakes.nameserver import NameServer, _rrset

WEB = "web.test."


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer(f"{WEB} 5 IN A 10.0.0.1", f"{WEB} 5 IN A 10.0.0.2") as running:
        yield running


def run(server: NameServer, *words: str) -> int:
    return main.main(["wait", *words, f"@127.0.0.1:{server.port}"])


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("web.test.", 0),
        ("web.test. --for present", 0),
        ("web.test. --for count=2", 0),
        ("web.test. --for count=3", 1),
        ("web.test. --for address=10.0.0.2", 0),
        ("web.test. --for address=10.0.0.3", 1),
        ("web.test. --for absent", 1),
        ("nope.test. --for absent", 0),
        ("nope.test.", 1),
        ("web.test. MX --for absent", 0),
    ],
)
def test_conditions(server: NameServer, words: str, status: int) -> None:
    patience = "0s" if status else "60s"
    assert run(server, *words.split(), "--timeout", patience) == status


def test_it_looks_again(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    def appear(_: object) -> None:
        if len(server.asked) > 4:
            server.records.append(_rrset("late.test.", "5", "IN", "A", "10.0.0.9"))

    server.reached = appear
    assert run(server, "late.test.") == 0
    assert re.match(r"late\.test\.: after \d+\.\d s", capsys.readouterr().out)


def test_silence_is_no_proof_of_absence(
    server: NameServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.rcode = 2
    assert run(server, "web.test.", "--for", "absent", "--timeout", "100ms") == 1
    # Which of the two was answered in so short a time is a matter of luck.
    assert re.search(r" web\.test\. A(AAA)? SERVFAIL\n$", capsys.readouterr().out)


def test_what_leaves_absence_open_is_said(
    server: NameServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a name that was completed: the completion is not there, but about the name itself nobody knows."""

    def fails(asked: dns.message.Message) -> None:
        server.rcode = 2 if str(asked.question[0].name) == "nope." else None

    server.reached = fails
    words = ("nope", "--search", "shop.test", "--ndots", "2", "--for", "absent")
    assert run(server, *words, "--timeout", "0s") == 1
    assert capsys.readouterr().out.endswith(": nope. A SERVFAIL\n")


def test_manifests_are_followed(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    text = "apiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec: {{clusterIP: 10.0.0.9}}\n"
    file.write_text(text.format("other"))
    later = threading.Timer(0.3, lambda: file.write_text(text.format("web")))
    later.start()
    words = ["web", "-n", "default", "--manifests", str(tmp_path), "--timeout", "60s"]
    assert main.main(["wait", *words, "--for", "address=10.0.0.9"]) == 0
    later.join()


def test_a_pod_at_an_api_server_that_is_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "current-context: c\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c}}]\n"
    )
    assert main.main(["wait", "web", "--pod", "shop/web-0", "--kubeconfig", str(config)]) == 1
    assert "cannot connect to 127.0.0.1:1" in capsys.readouterr().err


def test_the_time_is_kept(server: NameServer) -> None:
    started = time.monotonic()
    assert run(server, "nope.test.", "--timeout", "300ms") == 1
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "--for never",
            "--for: expected present, absent, address=ADDRESS or count=N, found 'never'",
        ),
        ("--for address=web", "--for address: 'web' does not appear to be an IPv4 or IPv6 address"),
        ("--for count=some", "--for: expected present"),
        ("--for count=0", "--for count=0 would always be so; say absent"),
        ("--timeout soon", "--timeout: 'soon' is not a duration"),
    ],
)
def test_mistakes(
    server: NameServer, words: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "web.test.", *words.split()) == 1
    assert expected in capsys.readouterr().err
