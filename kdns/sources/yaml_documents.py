"""YAML text into plain values that remember their lines, for input that may be hostile.

Built on the events of libyaml's parser, which needs no recursion: nesting and what aliases may add
are bounded, a key may not come twice, and only the plain types of JSON come out. Scalars resolve as
for ``kubectl`` (YAML 1.1 booleans, so ``on`` is true) except that dates stay strings. Knows nothing
of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import yaml
from yaml.reader import ReaderError

MAX_DEPTH: Final = 100
"""Levels of nesting; CustomResourceDefinitions, the deepest manifests around, need about 40."""
MAX_ALIASED: Final = 1_000_000
"""Values that aliases may stand for in one document, so that none expands into a "billion laughs"."""


class DocumentError(ValueError):
    """Text that is not what it should be."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        """From 1."""


class Mapping(dict[str, object]):
    """A mapping that knows the line it begins on and the line of each of its keys."""

    __slots__ = ("line", "lines", "size")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}
        self.size = 1


class Sequence(list[object]):
    """A sequence that knows the line it begins on and the line of each of its items."""

    __slots__ = ("line", "lines", "size")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []
        self.size = 1


class Document:
    """One document: its value, and the line it begins on."""

    __slots__ = ("line", "value")

    def __init__(self, line: int, value: object) -> None:
        self.line = line
        self.value = value


_Container: TypeAlias = Mapping | Sequence


def parse(text: bytes) -> Iterator[Document]:
    """Yield the documents; one without content has the value None. Raises DocumentError."""
    loader = yaml.CSafeLoader(text)
    try:
        while not loader.check_event(yaml.StreamEndEvent):
            event = loader.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                yield _Builder().build(loader)
    except yaml.YAMLError as error:
        raise _document_error(error, text) from None
    finally:
        loader.dispose()


def locate(value: object, path: str) -> int | None:
    """Return the line of a field such as ``spec.ports[0].name``, or of what is nearest to it.

    In ``labels[...]`` the first entry that is not a string is meant. None for values without lines.
    """
    line = getattr(value, "line", None)
    for step in _STEPS.findall(path):
        if isinstance(value, Mapping):
            key = first_other(value) if step == "[...]" else step
            line, value = value.lines.get(key, line), value.get(key)
        elif isinstance(value, Sequence) and step[1:-1].isdigit():
            at = int(step[1:-1])
            line, value = value.lines[at], value[at]
    return line


def first_other(value: Mapping) -> str:
    return next((key for key, each in value.items() if not isinstance(each, str)), "")


_STEPS: Final = re.compile(r"\[[^\]]*\]|[^.\[\]]+")


def _document_error(error: yaml.YAMLError, text: bytes) -> DocumentError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        line = b"".join(text.split(b"\n")[mark.line : mark.line + 1])
        if line.startswith(b"\t", mark.column):
            return DocumentError(mark.line + 1, "found a tab; YAML is indented by spaces")
        context = f" ({error.context})" if error.context else ""
        return DocumentError(mark.line + 1, f"{error.problem}{context}")
    if isinstance(error, ReaderError):
        return DocumentError(text.count(b"\n", 0, error.position) + 1, error.reason)
    return DocumentError(1, str(error))


class _Builder:
    """Puts one document together, with the open containers on a stack of its own."""

    def __init__(self) -> None:
        self._open: list[tuple[_Container, str]] = []  # with the anchor to give when it is complete
        self._keys: list[str | None] = []  # the pending key of each open mapping
        self._anchors: dict[str, object] = {}
        self._aliased = 0
        self._result: object = None

    def build(self, loader: yaml.CSafeLoader) -> Document:
        line = 0
        while True:
            event = loader.get_event()
            if event is None or isinstance(event, yaml.DocumentEndEvent):
                return Document(line, self._result)
            at = event.start_mark.line + 1 if event.start_mark else 1
            line = line or at
            self._take(event, at)

    def _take(self, event: yaml.Event, line: int) -> None:
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, line)
            self._anchor(event.anchor, value)
            self._add(value, line)
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._alias(event.anchor or "", line), line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._start(event, line)
        else:
            self._end()

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        allowed = (None, "!", "tag:yaml.org,2002:map" if is_mapping else "tag:yaml.org,2002:seq")
        if event.tag not in allowed:
            raise DocumentError(line, f"the tag {event.tag} is not allowed")
        if len(self._open) >= MAX_DEPTH:
            raise DocumentError(line, f"nested more than {MAX_DEPTH} levels deep")
        self._open.append((Mapping(line) if is_mapping else Sequence(line), event.anchor or ""))
        self._keys.append(None)

    def _end(self) -> None:
        value, anchor = self._open.pop()
        self._keys.pop()
        self._anchor(anchor, value)
        self._add(value, value.line)

    def _anchor(self, anchor: str | None, value: object) -> None:
        if anchor:
            self._anchors[anchor] = value

    def _alias(self, anchor: str, line: int) -> object:
        if anchor not in self._anchors:
            raise DocumentError(line, f"found undefined alias {anchor!r}")
        value = self._anchors[anchor]
        self._count(_size(value), line)
        return value

    def _count(self, aliased: int, line: int) -> None:
        self._aliased += aliased
        if self._aliased > MAX_ALIASED:
            raise DocumentError(line, f"aliases stand for more than {MAX_ALIASED} values")

    def _add(self, value: object, line: int) -> None:
        if not self._open:
            self._result = value
            return
        parent = self._open[-1][0]
        parent.size += _size(value)
        if isinstance(parent, Sequence):
            parent.append(value)
            parent.lines.append(line)
        else:
            self._add_to_mapping(parent, value, line)

    def _add_to_mapping(self, parent: Mapping, value: object, line: int) -> None:
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = self._new_key(parent, value, line)
            return
        self._keys[-1] = None
        if key == "<<":
            self._merge(parent, value, line)
        else:
            parent[key] = value

    def _new_key(self, parent: Mapping, value: object, line: int) -> str:
        if not isinstance(value, str):
            raise DocumentError(line, f"the key {_shown(value)} is not a string: quote it")
        if value in parent.lines:
            first = parent.lines[value]
            raise DocumentError(line, f"the key {value!r} comes twice, first in line {first}")
        parent.lines[value] = line
        return value

    def _merge(self, parent: Mapping, value: object, line: int) -> None:
        """Take in ``<<: *defaults``: keys of the mapping itself win, wherever they stand."""
        for source in value if isinstance(value, Sequence) else [value]:
            if not isinstance(source, Mapping):
                raise DocumentError(line, "<< needs a mapping, or a list of mappings")
            for key, each in source.items():
                parent.setdefault(key, each)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> object:
        text: str = event.value
        tag: str | None = event.tag
        if tag in {"!", "tag:yaml.org,2002:str"} or (tag is None and not event.implicit[0]):
            return text
        if tag is not None and tag not in _RESOLVED_TAGS:
            raise DocumentError(line, f"the tag {tag} is not allowed")
        return _resolve(text)


def _size(value: object) -> int:
    return value.size if isinstance(value, (Mapping, Sequence)) else 1


def _shown(value: object) -> str:
    return type(value).__name__ if isinstance(value, (Mapping, Sequence)) else str(value)


_RESOLVED_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")
)
_WORDS: Final[dict[str, bool | None]] = {
    variant: meaning
    for word, meaning in (
        ("null", None),
        ("true", True),
        ("yes", True),
        ("on", True),
        ("false", False),
        ("no", False),
        ("off", False),
    )
    for variant in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}
_INTEGER: Final = re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+|0|[1-9][0-9_]*)")
_FLOAT: Final = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS: Final = 30  # more than any 64-bit number has; a longer one is kept as a float


def _resolve(text: str) -> object:
    """Give a plain scalar its type."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    plain = text.replace("_", "")
    try:
        if len(text) <= _MAX_DIGITS and _INTEGER.fullmatch(text):
            return _integer(plain)
        return float(plain) if _FLOAT.fullmatch(text) else text
    except ValueError:  # digits that are all underscores
        return text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if digits != "0" and digits.startswith("0") and digits[1:].isdigit():
        text = text.replace("0", "0o", 1)  # YAML 1.1: 0777 is octal
    return int(text, 0)
