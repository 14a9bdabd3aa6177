from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.config.corefile import default_blocks, parse
from kdns.config.printer import to_text
from kdns.config.tree import Key, Location, Option, ServerBlock

COREFILES: Final = Path(__file__).parent / "corefiles"


def bare(option: Option) -> Option:
    return Option(option.name, option.args, Location(""), tuple(map(bare, option.options)))


def without_places(blocks: tuple[ServerBlock, ...]) -> list[ServerBlock]:
    return [ServerBlock(block.keys, tuple(map(bare, block.directives))) for block in blocks]


def can_be_written(word: str) -> bool:
    """What the syntax has a spelling for; see ``to_text``."""
    return (
        word not in {"{", "}", "import"}
        and "{$" not in word
        and "{%" not in word
        and not re.search(r'(?<!\\)(\\\\)*\\("|$)', word)
    )


WORDS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(can_be_written)
NAMES: Final = WORDS.filter(lambda word: word != "" and not set(word) & set("./:"))
LINES: Final = st.recursive(
    st.builds(Option, NAMES, st.lists(WORDS, max_size=3).map(tuple)),
    lambda inner: st.builds(
        Option, NAMES, st.just(()), st.just(Location("")), st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=6,
).filter(lambda option: option.name != "bind")
LABELS: Final = st.text(
    st.characters(codec="ascii", exclude_categories=["Lu"]), min_size=1, max_size=6
)
ZONES: Final = st.lists(LABELS, max_size=3).map(tuple)
KEYS: Final = st.builds(Key, ZONES, st.integers(0, 65535), st.sampled_from(["dns", "tls"]))


@st.composite
def trees(draw: st.DrawFn) -> tuple[ServerBlock, ...]:
    keys = draw(st.lists(KEYS, min_size=1, max_size=5, unique=True))
    half = draw(st.integers(0, len(keys) - 1))
    return tuple(
        ServerBlock(tuple(part), tuple(draw(st.lists(LINES, max_size=4))))
        for part in (keys[:half], keys[half:])
        if part
    )


@given(trees())
def test_what_is_printed_reads_back_the_same(blocks: tuple[ServerBlock, ...]) -> None:
    assert without_places(parse(to_text(blocks))) == list(blocks)


@pytest.mark.parametrize("path", sorted(COREFILES.iterdir()), ids=lambda path: path.stem)
def test_default_corefiles_survive(path: Path) -> None:
    blocks = parse(path.read_text(), load=lambda *_: ())
    printed = to_text(blocks)
    assert without_places(parse(printed)) == without_places(blocks)
    assert to_text(parse(printed)) == printed


def test_shape() -> None:
    text = '(s) {\nclass error\n}\na, tls://10.0.0.0/15 {\nlog . "a \\"b\\"" {\nimport s\n}\n}'
    assert to_text((*parse(text), *default_blocks())) == (
        "a.:53 tls://0.10.in-addr.arpa.:853 tls://1.10.in-addr.arpa.:853 {\n"
        '    log . "a \\"b\\"" {\n'
        "        class error\n"
        "    }\n"
        "}\n"
        "\n"
        ".:53 {\n"
        "    whoami\n"
        "    log\n"
        "}\n"
    )
