"""The values of Go templates: how they print, compare, and what the predefined functions make of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kdns.plugins.template.lexer import TemplateError


class Fields(dict[str, object]):
    """A struct: to ask for a field that it does not have is an error, unlike with a map."""


class ClientFields(Fields):
    """A struct of which some fields may be different for another client.

    It notes in ``read`` which of these are read: whatever way a template takes to a field, what comes of it
    is known to depend on the client.
    """

    def __init__(
        self, fields: Mapping[str, object], by_client: frozenset[str], read: set[str]
    ) -> None:
        super().__init__(fields)
        self.by_client, self.read = by_client, read

    def __getitem__(self, name: str) -> object:
        if name in self.by_client:
            self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: object = None) -> object:
        if name in self.by_client:
            self.read.add(name)
        return super().get(name, default)


class NoValue:
    """What a map has under a missing key."""


NO_VALUE: Final = NoValue()


def is_true(value: object) -> bool:
    """Neither zero, nor empty, nor missing."""
    return bool(value) and value is not NO_VALUE


def field(value: object, name: str) -> object:
    """``.name`` of a value. Raises ``TemplateError``."""
    if not isinstance(value, Mapping):
        raise TemplateError(f"no field {name} in {show(value)!r}")
    if name in value:
        return value[name]
    if isinstance(value, Fields):
        raise TemplateError(f"there is no field .{name}; known are {', '.join(value)}")
    return NO_VALUE


def show(value: object) -> str:
    """A value as Go prints it."""
    if value is NO_VALUE or value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{show(value[key])}' for key in sorted(value))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(map(show, value))}]"
    return str(value)


def index(value: object, *keys: object) -> object:
    """``index .Match 1``, ``index .Group "a"``; of a map without the key the empty string."""
    for key in keys:
        if isinstance(value, Mapping) and isinstance(key, str):
            value = value.get(key, "")
        elif isinstance(value, (str, list, tuple)) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise TemplateError(f"cannot index {show(value)!r} with {show(key)!r}")
    return value


def cut(value: object, *bounds: object) -> object:
    """``slice .Name 0 3``."""
    numbers = [_integer(bound) for bound in bounds]
    start, end = (*numbers, 0, 0)[:2] if len(numbers) != 1 else (numbers[0], _length(value))
    end = end if numbers else _length(value)
    if not isinstance(value, (str, list, tuple)) or not 0 <= start <= end <= len(value):
        raise TemplateError(f"cannot slice {show(value)!r} from {start} to {end}")
    return value[start:end]


def _length(value: object) -> int:
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    raise TemplateError(f"{show(value)!r} has no length")


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TemplateError(f"an integer expected, not {show(value)!r}")


def parse_int(text: object, base: object, bits: object) -> int:
    """An unsigned number of at most so many bits (Go's ``strconv.ParseUint``)."""
    size = _integer(bits) or 64
    try:
        number = int(re.fullmatch(r"[0-9A-Za-z]+", str(text))[0], _integer(base))  # type: ignore[index]
    except (TypeError, ValueError) as error:
        raise TemplateError(f"{show(text)!r} is not a number of base {show(base)}") from error
    if number >> size:
        raise TemplateError(f"{show(text)} has more than {size} bits")
    return number


_VERB: Final = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")


def printf(form: object, *values: object) -> str:
    """The usual verbs: ``%s %v %q %d %x %X %o %b %c %t`` with width, precision and flags."""
    rest = list(values)

    def one(verb: re.Match[str]) -> str:
        flags, width, precision, kind = verb.groups()
        if kind == "%":
            return "%"
        if not rest:
            return f"%!{kind}(MISSING)"
        return _format(flags + width, precision, kind, rest.pop(0))

    return _VERB.sub(one, show(form))


def _format(width: str, precision: str | None, kind: str, value: object) -> str:
    if kind in "dxXoc" and isinstance(value, int):
        return f"%{width}{kind}" % value
    if kind in "xX" and isinstance(value, str):
        digits = value.encode().hex()
        return f"%{width}s" % (digits.upper() if kind == "X" else digits)
    if kind == "b" and isinstance(value, int):
        return f"{value:{width}b}" if width else f"{value:b}"
    if kind not in "svqt":
        raise TemplateError(f"printf: %{kind} cannot show {show(value)!r}")
    text = show(value) if precision is None else show(value)[: int(precision)]
    if kind == "q":
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"%{width}s" % text


def _print(*values: object) -> str:
    """Blanks stand between operands when neither is a string."""
    out = ""
    for at, value in enumerate(values):
        both = at and not isinstance(value, str) and not isinstance(values[at - 1], str)
        out += (" " if both else "") + show(value)
    return out


def _equal(first: object, *others: object) -> bool:
    for value in (first, *others):
        if isinstance(value, (Mapping, list, tuple)):
            raise TemplateError(f"cannot compare {show(value)!r}")
    return any(type(first) is type(other) and first == other for other in others)


def _less(first: object, second: object) -> bool:
    if isinstance(first, int) and isinstance(second, int):
        return first < second
    if isinstance(first, str) and isinstance(second, str):
        return first < second
    raise TemplateError(f"cannot compare {show(first)!r} with {show(second)!r}")


def _and(*values: object) -> object:
    return next((value for value in values if not is_true(value)), values[-1])


def _or(*values: object) -> object:
    return next((value for value in values if is_true(value)), values[-1])


FUNCTIONS: Final[Mapping[str, Callable[..., object]]] = {
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
    "len": _length,
    "index": index,
    "slice": cut,
    "print": _print,
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "printf": printf,
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": _less,
    "le": lambda first, second: not _less(second, first),
    "gt": lambda first, second: _less(second, first),
    "ge": lambda first, second: not _less(first, second),
    "parseInt": parse_int,
}
"""Go's predefined functions but ``html``, ``js``, ``urlquery`` and ``call``; ``parseInt`` is CoreDNS's."""


def call(function: Callable[..., object], values: Sequence[object]) -> object:
    """The result. Raises ``TemplateError`` for values that the function does not take."""
    try:
        return function(*values)
    except TemplateError:
        raise
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise TemplateError(str(error)) from error
