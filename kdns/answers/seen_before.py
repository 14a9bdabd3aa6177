"""Approximate memory of what came lately, in little and fixed memory."""

from __future__ import annotations

from typing import Final

NOTED: Final = 1 << 18
"""Queries told apart by ``SeenBefore``, an octet each."""

REMEMBERED: Final = NOTED // 16
"""Queries it remembers: one that never came is taken for one of them in 3 of 100 cases on average."""


class SeenBefore:
    """Remembers roughly which queries came lately, in little and fixed memory.

    They are told apart by their hash (which nobody outside can foresee): two that fall together are
    taken for one, which admits one early.
    """

    def __init__(self) -> None:
        self._noted, self._count = bytearray(NOTED), 0

    def note(self, query: bytes) -> bool:
        """Whether it was noted before; from now on it is, until enough others were."""
        at = hash(query) % NOTED
        if self._noted[at]:
            return True
        self._noted[at] = 1
        self._count += 1
        if self._count > REMEMBERED:
            self._noted, self._count = bytearray(NOTED), 0
        return False
