"""What ``kdns top`` counts, in memory that does not grow with what is asked."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Final, Generic, TypeVar

from kdns.cli.watching import Exchange

K = TypeVar("K")
V = TypeVar("V")

MAX_COUNTED: Final = 4096
"""Different names, clients … that are counted; then the rarest half is forgotten."""

MAX_REMEMBERED: Final = 16384
"""Questions, and clients, of which the latest is remembered, to see what is asked again."""

AGAIN: Final = 15.0
"""Seconds within which the same question, ID and port are a retry and not another question."""

STUB_TIMEOUT: Final = 4.5
"""Seconds: glibc and musl ask again after five without a reply (``options timeout``)."""

WALK: Final = 2.0
"""Seconds within which the names of a search list are tried."""

MAX_TRIED: Final = 16
"""Names remembered of a client that were not there."""


class Frequent:
    """The most frequent of many."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, what: str) -> None:
        self._counts[what] += 1
        if len(self._counts) > MAX_COUNTED:
            self._counts = Counter(dict(self._counts.most_common(MAX_COUNTED // 2)))

    def most(self, count: int) -> list[tuple[str, int]]:
        return self._counts.most_common(count)


class Recent(Generic[K, V]):
    """The latest value of each key, as long as there is room."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()

    def put(self, key: K, value: V) -> V | None:
        """The value before."""
        before = self._values.pop(key, None)
        self._values[key] = value
        if len(self._values) > MAX_REMEMBERED:
            self._values.popitem(last=False)
        return before

    def get(self, key: K) -> V | None:
        return self._values.get(key)


class Tally:
    """Counts exchanges."""

    def __init__(self) -> None:
        self.count = self.kept = self.missed = self.wasted_count = 0
        self.rcodes: Counter[str] = Counter()
        self.names, self.clients, self.absent = Frequent(), Frequent(), Frequent()
        self.wasted, self.retried = Frequent(), Frequent()
        self._asked: Recent[tuple[object, ...], float] = Recent()
        self._tried: Recent[str, deque[tuple[float, list[str]]]] = Recent()

    def add(self, exchange: Exchange) -> None:
        self.count += 1
        self.kept += exchange.kept
        self.rcodes[_kind(exchange)] += 1
        question = f"{exchange.name} {exchange.type}"
        self.names.add(question)
        self.clients.add(exchange.pod or exchange.client)
        if exchange.rcode == "NXDOMAIN":
            self.absent.add(question)
        self._note_retry(exchange, question)
        self._note_walk(exchange)

    def _note_retry(self, exchange: Exchange, question: str) -> None:
        """A resolver that heard nothing asks again from the same port with the same ID."""
        key = (exchange.client, exchange.port, exchange.message_id, question)
        before = self._asked.put(key, exchange.time)
        if before is not None and exchange.time - before < AGAIN:
            waited = exchange.time - before
            who = exchange.pod or exchange.client
            long = " (the client's time limit)" if waited >= STUB_TIMEOUT else ""
            self.retried.add(f"{question} by {who} after {round(waited)} s{long}")

    def _note_walk(self, exchange: Exchange) -> None:
        """Names of a search list that were not there, before one that is."""
        labels = exchange.name.rstrip(".").split(".")
        tried = self._tried.get(exchange.client)
        if exchange.rcode == "NXDOMAIN":
            if tried is None:
                tried = deque(maxlen=MAX_TRIED)
            tried.append((exchange.time, labels))
            self._tried.put(exchange.client, tried)
        elif tried and not exchange.failed:
            rest = [(time, name) for time, name in tried if exchange.time - time < WALK]
            walked = [each for each in rest if is_longer(each[1], labels)]
            for _ in walked:
                self.wasted_count += 1
                self.wasted.add(exchange.name)
            tried.clear()
            tried.extend(each for each in rest if each not in walked)


def is_longer(tried: list[str], found: list[str]) -> bool:
    """Whether a search list made one name into both: a domain appended, or a longer one of the ladder.

    ``web.shop`` is tried as ``web.shop.default.svc.D`` and found as ``web.shop.svc.D``; ``example.org`` is
    tried as ``example.org.svc.D`` and found as it is.
    """
    extra = len(tried) - len(found)
    if extra <= 0:
        return False
    same = 0
    while same < len(found) and tried[same] == found[same]:
        same += 1
    if same == len(found):
        return True
    left_out = tried[same : same + extra]
    of_ladder = left_out[-1] == "svc" or (extra == 1 and found[same] == "svc")
    return same > 0 and of_ladder and tried[same + extra :] == found[same:]


def _kind(exchange: Exchange) -> str:
    if exchange.rcode == "-":
        return "no reply"
    return "NODATA" if exchange.rcode == "NOERROR" and not exchange.data else exchange.rcode
