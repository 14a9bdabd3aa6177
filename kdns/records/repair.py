"""Make what can be made of a value that does not have its declared shape.

A field of the wrong type is left out, an element of the wrong type is dropped; each with a reason
that names the place. Knows msgspec structs whose fields are all optional, lists, and nothing of
Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

S = TypeVar("S", bound=Struct)

BROKEN = (ValueError, RecursionError)
"""What msgspec raises for bad input: its own errors are ValueErrors, and so is bad UTF-8."""


def repair(value: object, shape: type[S], reasons: list[str]) -> S | None:
    """Convert a decoded JSON or YAML value to ``shape``; None when nothing of it can be used.

    What was left out is appended to ``reasons`` as ``spec.ports[0].name: Expected …``.
    """
    repaired = _repair(value, shape, "", reasons)
    return repaired if isinstance(repaired, shape) else None


def _repair(value: object, declared: object, path: str, reasons: list[str]) -> object:
    """Return a valid value or None, which every optional field takes."""
    try:
        return msgspec.convert(value, declared)
    except BROKEN as error:
        problem = str(error)
    for candidate in (declared, *get_args(declared)):
        if _is_struct(candidate) and isinstance(value, Mapping):
            return _repair_struct(value, candidate, path, reasons)
        if get_origin(candidate) is list and isinstance(value, list):
            return _repair_list(value, get_args(candidate)[0], path, reasons)
    reasons.append(f"{path or 'object'}: {problem.partition(' - at ')[0]}")
    return None


def _is_struct(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Struct)


def _repair_struct(
    value: Mapping[object, object], shape: object, path: str, reasons: list[str]
) -> object:
    prefix = f"{path}." if path else ""
    parts = {
        each.name: _repair(value[each.encode_name], each.type, prefix + each.encode_name, reasons)
        for each in msgspec.structs.fields(shape)  # type: ignore[arg-type]
        if each.encode_name in value
    }
    return shape(**parts)  # type: ignore[operator]


def _repair_list(value: list[object], item: object, path: str, reasons: list[str]) -> list[object]:
    repaired = (_repair(each, item, f"{path}[{at}]", reasons) for at, each in enumerate(value))
    return [each for each in repaired if each is not None]
