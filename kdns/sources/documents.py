"""A manifest file into the objects that it declares; every complaint names the file and the line.

Knows nothing of folders, watching, or what becomes of the objects.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from kdns import whole_file
from kdns.records import declared
from kdns.records.declared import Declared, RefusedError
from kdns.sources import yaml_documents
from kdns.sources.yaml_documents import Document, DocumentError

MAX_BYTES: Final = 64 * 1024 * 1024
"""A dump of 10,000 Services and 100,000 endpoints has about 30 MB as JSON."""


class ManifestError(ValueError):
    """A manifest that cannot be used; the text begins with ``file:line:`` or ``file:``."""


class Placed(Struct, frozen=True):
    """A declared object, and where it stands."""

    declared: Declared
    place: str
    """``file:line``, or ``file`` for JSON."""


def read(path: Path) -> tuple[Placed, ...]:
    """Read a file. Raises ManifestError, also when it cannot be opened."""
    try:
        text = _bytes(path)
        documents = _json(text) if path.suffix == ".json" else yaml_documents.parse(text)
        return tuple(placed for each in documents for placed in _objects(path, each))
    except DocumentError as error:
        raise ManifestError(f"{path}:{error.line}: {error}") from None
    except RecursionError:
        raise ManifestError(f"{path}: nested too deeply") from None
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or error}") from None


def _bytes(path: Path) -> bytes:
    return whole_file.read(path, MAX_BYTES)


def _json(text: bytes) -> Iterator[Document]:
    if not text.strip():
        return
    try:
        value: object = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DocumentError(error.lineno, f"{error.msg} (column {error.colno})") from None
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise DocumentError(line, "not UTF-8") from None
    except RecursionError:
        raise DocumentError(1, "nested too deeply") from None
    _check_surrogates(text.removeprefix(BOM_UTF8))
    yield Document(1, value)


def _check_surrogates(text: bytes) -> None:
    """Refuse half a character (RFC 8259 section 8.2): it could not be printed or encoded later."""
    if _SURROGATE.search(text):
        try:
            msgspec.json.decode(text)  # stricter than json in just this
        except msgspec.DecodeError:
            raise DocumentError(1, "a \\u escape is half of a surrogate pair") from None


_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DocumentError(1, f"the key {twice!r} comes twice in one object")
    return made


def _objects(path: Path, document: Document) -> Iterator[Placed]:
    if document.value is None:
        return
    for value, line in _unlisted(document):
        try:
            made = declared.read(value)
        except RefusedError as error:
            at = yaml_documents.locate(value, error.path) or yaml_documents.locate(
                value, f"spec.{error.path}"
            )
            raise ManifestError(f"{_place(path, at)}: {error}") from None
        if made is not None:
            yield Placed(made, _place(path, line))


def _unlisted(document: Document) -> Iterable[tuple[Mapping[str, object], int | None]]:
    """Take the items out of a ``List``, also of a ``ServiceList`` and its like.

    The items of the latter need not say their kind (Kubernetes API conventions, "Lists").
    """
    value = document.value
    if not isinstance(value, Mapping):
        raise DocumentError(document.line, "not a Kubernetes object: a mapping is expected")
    kind, items = value.get("kind"), value.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
        return [(value, yaml_documents.locate(value, ""))]
    implied = {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix("List")}
    return [_item(each, implied if kind != "List" else {}, document) for each in items]


def _item(
    item: object, implied: dict[str, object], document: Document
) -> tuple[Mapping[str, object], int | None]:
    if not isinstance(item, dict):
        raise DocumentError(document.line, "not a Kubernetes object: items must be mappings")
    for key, value in implied.items():
        item.setdefault(key, value)
    return item, yaml_documents.locate(item, "")


def _place(path: Path, line: int | None) -> str:
    return f"{path}:{line}" if line else str(path)
