"""Regular expressions as Go writes them, by the library of which Go's are a port (RE2).

A match takes time linear in the text. Python's ``re`` tries all ways to divide the text among repetitions:
there a name of 255 octets is enough to hold up the server for seconds, and whoever asks chooses the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

MAX_PATTERN: Final = 10_000
"""Characters; the peer's limit."""


class Pattern:
    """An expression, ready for use."""

    __slots__ = ("_compiled", "_names", "groups", "text")

    def __init__(self, text: str, compiled: Any) -> None:
        self._compiled = compiled
        self.text = text
        self.groups: int = compiled.groups
        self._names = {name.decode(): number for name, number in compiled.groupindex.items()}

    def search(self, text: str) -> list[str] | None:
        """The leftmost match, then what each group took, "" if it took no part; None without a match."""
        found = self._compiled.search(text.encode(errors="replace"))
        if found is None:
            return None
        return [part.decode(errors="replace") for part in (found[0], *found.groups(b""))]

    def named(self, groups: Sequence[str]) -> dict[str, str]:
        """What a search has found, by the groups' numbers ("0" is the match) and names."""
        found = {str(number): group for number, group in enumerate(groups)}
        return found | {name: groups[number] for name, number in self._names.items()}


def compile(text: str) -> Pattern:  # noqa: A001  (as re.compile)
    """Raises ``ValueError`` saying what is wrong with the pattern."""
    import re2  # noqa: PLC0415 - most Corefiles have no pattern

    if len(text) > MAX_PATTERN:
        raise ValueError(f"the pattern has {len(text)} characters; {MAX_PATTERN} is the most")
    options = re2.Options()
    options.log_errors = False
    try:
        # Octets, as for them it need not count characters.
        return Pattern(text, re2.compile(text.encode(errors="replace"), options))
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise ValueError(f"{text[:80]!r} is not a regular expression: {reason[:200]}") from error
