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
from kdns.wire.encode import Encoded, error_option
from kdns.wire.message import Absence, ExtendedError, Key
from kdns.wire.reasons import cut

MAX_DENIALS: Final = 4096
"""Parents, types and kinds of queries. A cluster has some hundreds in use; beyond that all are forgotten."""


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
        self._encode, self._meter, self._labels, self._replayed = encode, meter, labels, replayed
        self._encoded: dict[int, Encoded] = {}
        self._uses: dict[tuple[Origin, int, int], QueryClass] = {}

    def encoded(self, size: int) -> Encoded:
        """The reply where the first label has ``size`` octets, on which its pointers depend."""
        found = self._encoded.get(size)
        if found is None:
            found = self._encoded[size] = self._encode(size)
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
        use.hits += 1

    def report(self) -> int:
        """Count the replies since the last call, and return how many they are."""
        return sum([use.report() for use in self._uses.values()])


class Denials:
    """Denials by what of a query shapes its answer, its first label left out."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Denial] = {}
        self.hits = 0
        self._dependents: dict[Key, list[bytes]] = {}

    def find(self, key: bytes) -> Denial | None:
        """The denial for a query whose key in the reply cache this is, if it holds for its name."""
        end = 11 + key[10]
        denial = self.entries.get(key[:10] + key[end:])
        if denial is None or denial.until <= monotonic():
            return None
        return denial if denial.absence.holds(key[11:end].decode("latin-1")) else None

    def store(self, key: bytes, denial: Denial, keys: Iterable[Key]) -> None:
        """Use a denial from now on; ``key`` is that of the name that was denied."""
        if len(self.entries) >= MAX_DENIALS:
            self.clear()
        parent = key[:10] + key[11 + key[10] :]
        if parent in self.entries:
            self.hits += self.entries[parent].report()
        self.entries[parent] = denial
        for each in keys:
            dependents = self._dependents.setdefault(each, [])
            if parent not in dependents:
                dependents.append(parent)

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget those that depend on one of these."""
        for key in keys:
            for parent in self._dependents.pop(key, ()):
                denial = self.entries.pop(parent, None)
                if denial is not None:
                    self.hits += denial.report()

    def clear(self) -> None:
        """Forget all."""
        self.report()
        self.entries.clear()
        self._dependents.clear()

    def report(self) -> None:
        """Count the replies since the last time."""
        for denial in self.entries.values():
            self.hits += denial.report()
