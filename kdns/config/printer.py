"""The configuration tree as Corefile text again, which reads back to the same tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from kdns.config.tree import Key, Option, ServerBlock
from kdns.wire import names

_INDENT: Final = "    "
_ESCAPED: Final = {ord(char): f"\\{ord(char):03d}" for char in "#{},:"}
_PLAIN: Final = re.compile(r'[^\s#"\ufeff][^\s#]*')


def to_text(blocks: Iterable[ServerBlock]) -> str:
    """A Corefile that means ``blocks``: environment, snippets and imports resolved, ports written out.

    The syntax has no spelling for a brace as an argument, for ``{$NAME}`` taken literally, and for
    words with white space that also hold an odd number of backslashes before a quote or at the end.
    """
    return "\n".join("\n".join(_block(block)) + "\n" for block in blocks)


def _block(block: ServerBlock) -> Iterator[str]:
    yield f"{' '.join(map(_key, block.keys))} {{"
    for directive in block.directives:
        yield from _lines(directive, _INDENT)
    yield "}"


def _key(key: Key) -> str:
    scheme = "" if key.scheme == "dns" else f"{key.scheme}://"
    zone = names.to_text(key.zone).replace('\\"', "\\034").translate(_ESCAPED)
    return f"{scheme}{zone}:{key.port}"


def _lines(option: Option, indent: str) -> Iterator[str]:
    line = indent + " ".join(map(_word, (option.name, *option.args)))
    if not option.options:
        yield line
        return
    yield f"{line} {{"
    for inner in option.options:
        yield from _lines(inner, indent + _INDENT)
    yield f"{indent}}}"


def _word(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'
