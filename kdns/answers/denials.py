"""Denials that hold for many names, so that a flood of names that do not exist costs little (RFC 8198).

A name server that denies a name knows more: in a namespace, every name but those of its Services is absent.
One entry serves for all names with the same parent; whether the name of a query is among them is looked up in
the index at each query, so a Service that was just created is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from kdns.metrics.meters import Labels, Meter, Origin, QueryClass
from kdns.wire.constants import ErrorCode
from kdns.wire.encoded import Encoded, error_option
from kdns.wire.message import Absence, ExtendedError, Key
from kdns.wire.names import MAX_LABEL, MAX_NAME, end_of
from kdns.wire.reasons import cut

MAX_OCTETS: Final = 8 * 1024 * 1024
"""Octets of all denials, with what Python needs for them; the oldest make room."""

DENIAL_OCTETS: Final = 4800
"""What a denial takes by itself: its answer, its query, its places in the tables."""

ENCODED_OCTETS: Final = 700
"""What it takes for each length of the first label."""

USE_OCTETS: Final = 500
"""What it takes for each combination of message sizes that its hits are counted by."""


class Denial:
    """What is answered to a query for any absent name with one parent."""

    def __init__(
        self,
        absence: Absence,
        until: float,
        encode: Callable[[int], Encoded],
        meter: Meter,
        labels: Labels,
        replayed: tuple[Callable[[int], None], ...],
    ) -> None:
        self.absence, self.until = absence, until
        self.keys: frozenset[Key] = frozenset()
        """What it depends on."""
        self.max_label = MAX_LABEL
        """Octets of a first label that makes a name."""
        self.octets = DENIAL_OCTETS
        self.grew: Callable[[int], None] = lambda _: None
        """Called with octets that it takes besides."""
        self._encode, self._meter, self._labels, self._replayed = encode, meter, labels, replayed
        self._encoded: dict[int, Encoded] = {}
        self._uses: dict[tuple[Origin, int, int], QueryClass] = {}

    def encoded(self, size: int) -> Encoded:
        """The reply where the first label has ``size`` octets, on which its pointers depend."""
        found = self._encoded.get(size)
        if found is None:
            found = self._encoded[size] = self._encode(size)
            self._grow(ENCODED_OCTETS)
        return found

    def errors(self, label: str) -> bytes:
        """The reason, as an EDNS option; b"" without."""
        before, after = self.absence.reason
        if not before:
            return b""
        return error_option(ExtendedError(ErrorCode.OTHER, cut(f"{before}{label}{after}")))

    def count(self, origin: Origin, request_size: int, response_size: int) -> None:
        """One more reply, of these sizes in octets of the messages."""
        use = self._uses.get((origin, request_size, response_size))
        if use is None:
            use = self._meter.classify(origin, self._labels, request_size, response_size)
            use.replayed = self._replayed
            self._uses[origin, request_size, response_size] = use
            self._grow(USE_OCTETS)
        use.hits += 1

    def _grow(self, octets: int) -> None:
        self.octets += octets
        self.grew(octets)

    def report(self) -> int:
        """Count the replies since the last call, and return how many they are."""
        return sum([use.report() for use in self._uses.values()])


class Denials:
    """Denials by what of a query shapes its answer, its first label left out."""

    def __init__(self, max_octets: int = MAX_OCTETS) -> None:
        self.entries: dict[bytes, Denial] = {}
        self.hits = 0
        self.max_octets = max_octets
        self.octets = 0
        self._dependents: dict[Key, dict[bytes, None]] = {}

    def find(self, key: bytes) -> Denial | None:
        """The denial for a query whose key in the reply cache this is, if it holds for its name.

        Octets that are no name have a key too, and may have a denied parent's in them: these are none's.
        """
        if len(key) <= 10:
            return None
        end = 11 + key[10]
        denial = self.entries.get(key[:10] + key[end:])
        if denial is None or denial.until <= monotonic():
            return None
        label = key[11:end]
        if not 0 < len(label) <= denial.max_label or b"\0" in label:
            return None
        return denial if denial.absence.holds(label.decode("latin-1")) else None

    def store(self, key: bytes, denial: Denial, keys: Iterable[Key]) -> None:
        """Use a denial from now on; ``key`` is that of the name that was denied."""
        parent = key[:10] + key[11 + key[10] :]
        self._remove(parent)
        denial.keys, denial.grew = frozenset(keys), self._grow
        denial.max_label = min(MAX_LABEL, MAX_NAME - 1 - end_of(parent, 10) + 10)
        self.entries[parent] = denial
        self._grow(denial.octets)
        for each in denial.keys:
            self._dependents.setdefault(each, {})[parent] = None
        while self.octets > self.max_octets:
            self._remove(next(iter(self.entries)))

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget those that depend on one of these."""
        for key in keys:
            for parent in tuple(self._dependents.get(key, ())):
                self._remove(parent)

    def _grow(self, octets: int) -> None:
        self.octets += octets

    def _remove(self, parent: bytes) -> None:
        denial = self.entries.pop(parent, None)
        if denial is None:
            return
        self.hits += denial.report()
        self.octets -= denial.octets
        for key in denial.keys:
            dependents = self._dependents[key]
            del dependents[parent]
            if not dependents:
                del self._dependents[key]

    def clear(self) -> None:
        """Forget all."""
        self.report()
        self.entries.clear()
        self._dependents.clear()
        self.octets = 0

    def report(self) -> None:
        """Count the replies since the last time."""
        for denial in self.entries.values():
            self.hits += denial.report()
