from __future__ import annotations

from pathlib import Path

import pytest

from kdns.config.corefile import parse
from kdns.config.tree import ConfigError
from kdns.sources.files import MAX_BYTES, load, read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "with [brackets]"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.conf", "a.conf", ".hidden.conf", "other.txt", "sub/inner.conf"):
        (folder / name).write_text(f"# {name}\n")
    (folder / "latin.conf.txt").write_bytes("# a\n# ä".encode("latin-1"))
    (folder / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    return folder


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.conf", ["a.conf"]),
        ("*.conf", ["a.conf", "b.conf"]),
        ("?.conf", ["a.conf", "b.conf"]),
        ("sub/../a.conf", ["a.conf"]),
        ("sub/*", ["sub/inner.conf"]),
        ("none/*.conf", []),
    ],
)
def test_load(folder: Path, pattern: str, expected: list[str]) -> None:
    found = load(pattern, str(folder / "Corefile"))
    assert found == [(str(folder / name), f"# {name}\n") for name in expected]


def test_absolute_pattern(folder: Path) -> None:
    assert load(str(folder / "a.conf"), "elsewhere/Corefile") == [
        (str(folder / "a.conf"), "# a.conf\n")
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("none.conf", "cannot read '{}': No such file or directory"),
        ("sub", "cannot read '{}': Is a directory"),
        ("su*", "cannot read '{}b': Is a directory"),
        ("large", "cannot read '{}': is larger than 4194304 bytes"),
        ("latin.conf.txt", "{}:2: expected UTF-8, found the byte 0xe4"),
        ("a\0b", "cannot read '{}': embedded null byte"),
    ],
)
def test_what_cannot_be_read(folder: Path, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(pattern, str(folder / "Corefile"))
    path = str(folder / pattern).replace("\0", "\\x00").replace("*", "")
    assert str(caught.value) == message.format(path)


def test_corefile_says_where_it_imports(folder: Path) -> None:
    corefile = folder / "Corefile"
    corefile.write_text(".\nimport sub/none.conf\n")
    with pytest.raises(ConfigError) as caught:
        parse(read(str(corefile)), str(corefile), load=load)
    missing = folder / "sub" / "none.conf"
    assert (
        str(caught.value)
        == f"{corefile}:2: import: cannot read '{missing}': No such file or directory"
    )
