"""The cached answer to one question, from which the replies to all of its clients are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, cycle, repeat
from typing import TYPE_CHECKING, Final

from kdns.metrics.meters import Labels, Meter, QueryClass
from kdns.wire.encoded import Encoded
from kdns.wire.layouts import MAX_MESSAGE
from kdns.wire.message import FOREVER, Key

if TYPE_CHECKING:
    from kdns.answers.repeats import Repeats

ENTRY_OCTETS: Final = 1300
"""What an entry takes besides its sections: its object, its first counters, its places in the tables."""

KEY_OCTETS: Final = 300
"""What it takes for each key that it depends on."""

USE_OCTETS: Final = 300
"""What further counters of its hits take, for messages of another size."""

MAX_TURNS: Final = 8192
"""Octets of finished replies that are made beforehand where they rotate; else each is put together."""

MAX_USES: Final = 64
"""Combinations of message sizes that an entry counts its hits by; further ones are taken for the last."""


class Entry:
    """The cached answer to one question."""

    __slots__ = (
        "client",
        "encodings",
        "is_refreshed",
        "key",
        "keys",
        "labels",
        "meter",
        "octets",
        "repeats",
        "replayed",
        "request",
        "seen",
        "turns",
        "until",
        "uses",
    )

    def __init__(
        self,
        request: bytes,
        encodings: list[Encoded],
        keys: frozenset[Key],
        meter: Meter,
        labels: Labels,
    ) -> None:
        self.request = request
        """One that it answers, without the message ID."""
        self.encodings, self.meter, self.labels = encodings, meter, labels
        self.keys = tuple(keys)  # a fourth of the octets
        self.key = b""
        self.until = FOREVER
        """Monotonic time until which it is good."""
        self.turns: Iterator[int] | None = None
        """Numbers the replies, where they differ in turn."""
        self.replayed: tuple[Callable[[int], None], ...] = ()
        """The counters of directives, called with numbers of hits."""
        self.client: str | None = None
        """A client that sent ``request``, where the answer may be refreshed before the next one does."""
        self.is_refreshed = False
        self.seen = 0
        # Made when they are needed: most entries are of names that are queried once.
        self.repeats: list[tuple[Repeats, bytes]] | None = None
        """Finished replies made of it: the listener that has one, and the request."""
        self.uses: dict[tuple[int, int, int], QueryClass] | None = None
        self.octets = ENTRY_OCTETS + KEY_OCTETS * len(keys) + 2 * len(request)
        self.octets += sum(len(each.sections) for each in encodings)

    def rotates(self) -> None:
        """Have the replies differ in turn: by the address that comes first, or by part."""
        self.turns = count(1)

    @property
    def hits(self) -> int:
        return sum([use.hits for use in self.uses.values()]) if self.uses is not None else 0

    def use(self, request_size: int, response_size: int, listener: Repeats) -> QueryClass:
        """The counters of hits of such messages; sizes in octets without their IDs."""
        key = (request_size, response_size, listener.number)
        uses = self.uses
        if uses is not None and (found := uses.get(key)) is not None:
            return found
        if uses is None:
            uses = self.uses = {}
        elif len(uses) >= MAX_USES:
            return next(reversed(uses.values()))
        sizes = request_size + 2, response_size + 2
        made = uses[key] = self.meter.classify(listener.origin, self.labels, *sizes)
        made.replayed = self.replayed
        if len(uses) > 1:
            self.octets += USE_OCTETS
            listener.cache.octets += USE_OCTETS
        return made

    def reply(self, question: bytes, payload_size: int, cookie: bytes, listener: Repeats) -> bytes:
        """The next reply without its ID, to a client with this question section and EDNS size."""
        encoded, turn = self.encodings[0], 0
        if self.turns is not None:
            turn = next(self.turns)
            encoded = self.encodings[turn % len(self.encodings)]
        size = encoded.limit(payload_size)
        return encoded.reply(
            question, MAX_MESSAGE if listener.is_stream else size, size, cookie, turn
        )

    def bodies(
        self, question: bytes, payload_size: int, listener: Repeats
    ) -> tuple[Callable[[], bytes], int]:
        """Gives the replies to a request that repeats, one after the other; and octets taken by that."""
        make = partial(self.reply, question, payload_size, b"", listener)
        first = make()
        if self.turns is None:
            return repeat(first).__next__, len(first)
        run = self.encodings[0].run
        period = len(self.encodings) if run is None else run.count
        if (len(self.encodings) > 1 and run is not None) or period * len(first) > MAX_TURNS:
            return make, 0
        found = [first, *[make() for _ in range(period - 1)]]
        return cycle(found).__next__, period * len(first)

    def forget_repeats(self) -> None:
        """Have no listener send a finished reply of it any more."""
        for listener, request in self.repeats or ():
            listener.entries.pop(request, None)
        self.repeats = None
