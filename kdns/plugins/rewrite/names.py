"""Matching names and making others of them, on their text form: lower case, with the final dot."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from kdns.plugins import go_regex
from kdns.wire.names import MAX_NAME, BadNameError, wire_from_text, wire_to_text

KINDS: Final = ("exact", "prefix", "suffix", "substring", "regex")
_HOLE: Final = re.compile(r"\{(\d{1,3})\}")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


class Matcher(Struct, frozen=True):
    """Which names a rule is for, and how it changes them."""

    kind: str
    """One of ``KINDS``."""
    text: str
    """A regular expression, or text with its final dot: a prefix ends where a label does."""

    def matches(self, name: str) -> bool:
        return self.rewrite(name, "") is not None

    def rewrite(self, name: str, replacement: str) -> str | None:
        """The other name; None when this one is not meant."""
        match self.kind:
            case "exact":
                return replacement if name == self.text else None
            case "prefix":
                return replacement + name[len(self.text) :] if name.startswith(self.text) else None
            case "suffix":
                kept = name.removesuffix(self.text)
                return kept + replacement if name.endswith(self.text) else None
            case "substring":
                return name.replace(self.text, replacement) if self.text in name else None
            case _:
                found = _pattern(self.text).search(name)
                return filled(replacement, found) if found else None

    def expand(self, name: str, replacement: str, value: Callable[[str], str]) -> str | None:
        """The other name by a pattern, ``{LABEL}`` replaced as well; None where a value is empty.

        What is put in is not looked at again: the asker chooses the groups.
        """
        found = _pattern(self.text).search(name)
        if found is None:
            return None
        texts = [replacement]
        for part in _PLACEHOLDER.split(replacement)[1::2]:
            text = found[int(part)] if part.isdigit() else value(part)
            if not text and not part.isdigit():
                return None
            before, _, after = texts.pop().partition(f"{{{part}}}")
            texts += [before, text, after]
        return "".join(texts).lower()


@lru_cache(maxsize=1024)
def _pattern(text: str) -> go_regex.Pattern:
    return go_regex.compile(text)


def filled(replacement: str, groups: Sequence[str]) -> str:
    """With ``{1}`` and the like replaced by the groups; those that there are not stay."""

    def group(hole: re.Match[str]) -> str:
        number = int(hole[1])
        return groups[number] if number < len(groups) else hole[0]

    return _HOLE.sub(group, replacement)


def holes(replacement: str) -> int:
    """How many different groups a replacement uses."""
    return len(set(_HOLE.findall(replacement)))


def check_placeholders(replacement: str, groups: int) -> str:
    """What is wrong with ``{GROUP}`` and ``{LABEL}`` in a replacement; "" for nothing."""
    for part in _PLACEHOLDER.findall(replacement):
        if part.isdigit() and part.isascii():
            if len(part) > 3 or int(part) > groups:
                return f"there is no group {part} in the pattern"
        elif not 0 < part.find("/") < len(part) - 1:
            return f"{{{part}}} is neither a group nor a label such as kubernetes/service"
    if "{" in _PLACEHOLDER.sub("", replacement) or "}" in _PLACEHOLDER.sub("", replacement):
        return "a brace has no counterpart"
    return ""


def normal(text: str) -> str:
    """Lower case, with the final dot."""
    return text.lower() if text.endswith(".") else f"{text.lower()}."


class Reverser(Struct, frozen=True):
    """How names in a reply are changed; those that it is not about stay as they are."""

    matcher: Matcher
    replacement: str
    original: bytes
    """The name that was asked, as the asker wrote it."""

    def __call__(self, wire: bytes) -> bytes:
        text = wire_to_text(wire)
        if self.matcher.kind != "regex":  # RFC 4343; but a pattern says itself what it is for
            text = text.lower()
        made = self.matcher.rewrite(text, self.replacement)
        if made is None:
            return wire
        try:
            changed = wire_from_text(made)
        except BadNameError:
            return wire
        return self.original if changed.lower() == self.original.lower() else changed


class Remapper(Struct, frozen=True):
    """The name that a rule made, and all below it, back to the name that was asked."""

    made: bytes
    """Lower case."""
    original: bytes

    def __call__(self, wire: bytes) -> bytes:
        at = len(wire) - len(self.made)
        if at < 0 or self.made == b"\0" or wire[at:].lower() != self.made:
            return wire
        if not _starts_label(wire, at) or at + len(self.original) > MAX_NAME:
            return wire
        return wire[:at] + self.original


def _starts_label(wire: bytes, at: int) -> bool:
    position = 0
    while position < at:
        position += wire[position] + 1
    return position == at
