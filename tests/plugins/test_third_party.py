"""Directives of other packages: the example of docs/plugins.md installed and run, and broken ones."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from kdns.plugins import chain, third_party
from tests.cluster.processes import Process, free_dns_port
from tests.plugins.chains import Chain, block, refusal

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


def blocks(language: str) -> str:
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return str(found)


def install(folder: Path, text: str) -> None:
    """What pip leaves behind: the module, and beside it what the package says of itself."""
    (folder / "kdns_hello.py").write_text(text)
    about = folder / "kdns_hello-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kdns-hello\nVersion: 1.0\n")
    group, entry = re.findall(r'entry-points."(.*)"\]\n(.*) = "kdns_hello"', blocks("toml"))[0]
    (about / "entry_points.txt").write_text(f"[{group}]\n{entry} = kdns_hello\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """On the path of modules, as nothing else has been looked for."""
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield tmp_path
    _forget()


def _forget() -> None:
    sys.modules.pop("kdns_hello", None)
    third_party._installed.cache_clear()
    third_party.find.cache_clear()


def test_the_example_runs(tmp_path: Path) -> None:
    install(tmp_path, blocks("python"))
    port = free_dns_port()
    path = tmp_path / "Corefile"
    path.write_text(
        blocks("text").replace(":1053", f":{port}").replace("{", "{\nbind 127.0.0.1", 1)
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "kdns", "-conf", str(path)]
    server = Process(command, tmp_path / "log", environment=environment)
    try:
        query = dns.message.make_query("Hello.example.org.", "TXT")

        def answer() -> str:
            try:
                reply = dns.query.udp(query, "127.0.0.1", timeout=0.5, port=port)
            except (dns.exception.Timeout, OSError):
                return ""
            return " ".join(item.to_text() for rrset in reply.answer for item in rrset)

        server.wait_ready(lambda: answer() == '"good morning"', 60)
    finally:
        server.stop()


def test_its_place_is_the_one_it_asks_for(folder: Path) -> None:
    install(folder, blocks("python"))
    order = chain.plan(block("whoami\nhello a.test b\nkubernetes a\nhosts")).order
    assert order == ("hosts", "hello", "kubernetes", "whoami")


def test_who_comes_after_is_asked_for_the_rest(folder: Path) -> None:
    install(folder, blocks("python"))
    answer = Chain(".:53 {\nhello a.test b\nwhoami\n}").ask("other.test. A")
    assert answer.plugin == "whoami"


RAISES = "\nasync def _raise(query): raise KeyError('x')\n"
BROKEN = {
    "its own word": (blocks("python"), "2: hello: takes a name and a text"),
    "no module": ("import nowhere", "cannot be loaded: ModuleNotFoundError"),
    "no place": ("def parse(d): ...\ndef wrap(*a): ...", "must have either BEFORE or AFTER"),
    "a strange place": (
        "BEFORE = 'x'\ndef parse(d): ...\ndef wrap(*a): ...",
        "next to 'x', which is no",
    ),
    "no stage": ("AFTER = 'cache'\ndef parse(d): ...", "has no function wrap"),
    "parse raises": ("AFTER = 'cache'\ndef parse(d): d.nope\ndef wrap(*a): ...", "AttributeError"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_one_is_named(folder: Path, text: str, message: str) -> None:
    install(folder, text)
    found = refusal("hello")
    assert message in found
    assert "hello" in found
    if text != blocks("python"):
        assert "directive hello of kdns-hello 1.0" in found


def test_an_exception_is_told_with_its_package(folder: Path) -> None:
    stage = "AFTER = 'errors'\ndef parse(d): ...\n" + RAISES + "def wrap(*a): return _raise\n"
    install(folder, stage)
    with pytest.raises(
        third_party.PluginError, match=r"^directive hello of kdns-hello 1\.0: KeyError"
    ):
        Chain(".:53 {\nhello\nwhoami\n}").ask("a.test. A")


@pytest.mark.parametrize("value", ["None", "'text'", "(1, 2)"])
def test_what_is_no_answer_is_told_with_its_package(folder: Path, value: str) -> None:
    """Before it comes to the responder, where it would end the whole batch of datagrams."""
    stage = f"AFTER = 'errors'\ndef parse(d): ...\nasync def _give(query): return {value}\n"
    install(folder, stage + "def wrap(*a): return _give\n")
    with pytest.raises(third_party.PluginError, match=r"the handler returned .*, not an Answer"):
        Chain(".:53 {\nhello\nwhoami\n}").ask("a.test. A")


def test_an_exception_of_a_later_stage_is_not_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(folder, blocks("python"))

    async def fail(_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(chain, "end_of_chain", fail)
    with pytest.raises(OSError, match="no route"):
        Chain(".:53 {\nhello a.test b\n}").ask("a.test. A")
