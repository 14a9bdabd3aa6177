"""CoreDNS's own flags: where the configuration comes from."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kdns.cli import coredns
from kdns.config.printer import to_text
from kdns.config.tree import ConfigError

COREFILE = "a.test {\n    whoami\n}\n"
READ = "a.test.:1053 {\n    whoami\n}\n"
DEFAULT = ".:1053 {\n    whoami\n    log\n}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    coredns._standard_input.cache_clear()


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        pytest.param("Corefile", "", READ, id="the usual name"),
        pytest.param("other", "other", READ, id="named"),
        pytest.param("other", "", DEFAULT, id="none"),
    ],
)
def test_files(name: str, path: str, expected: str) -> None:
    Path(name).write_text(COREFILE)
    assert to_text(coredns.read(path, 1053)) == expected


def test_standard_input_is_there_again_at_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(COREFILE))
    assert [to_text(coredns.read("stdin", 1053)) for _ in range(2)] == [READ, READ]


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match="cannot read 'none'"):
        coredns.read("none", 1053)
