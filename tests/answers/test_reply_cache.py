"""The reply cache: what is removed by key, time and room, that memory is bounded, and all hits counted."""

from __future__ import annotations

import sys
from collections import Counter
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.answers import repeats, reply_cache
from kdns.answers.entry import ENTRY_OCTETS, MAX_USES, Entry
from kdns.answers.repeats import MAX_REPEATS, Repeats
from kdns.answers.reply_cache import MAX_CHANCES, MAX_UNLINKED, ReplyCache
from kdns.answers.seen_before import NOTED, SeenBefore
from kdns.metrics.meters import Labels, Meter
from kdns.wire.encode import encode
from kdns.wire.message import FOREVER, Answer, Key, Query, Record
from kdns.wire.names import from_text, wire_from_text

LABELS: Labels = ("A", "NOERROR", "test", False)
WEB, DB, IP = ("svc", "shop", "web"), ("svc", "shop", "db"), ("ip", "10.0.0.1")


def request(name: str, extra: bytes = b"") -> bytes:
    """Without the message ID."""
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if extra else b"\0\0")
    return b"\1\0" + counts + wire_from_text(name + ".") + b"\0\1\0\1" + extra


def cookie(number: int) -> bytes:
    return b"\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08" + number.to_bytes(8, "big")


_FIXED = {"listeners", "secret", "missed", "_shapes"}
"""What does not grow with the entries."""


class Cache:
    """A cache with a listener, used as responder and listener do."""

    def __init__(self, max_octets: int = 1 << 30) -> None:
        self.cache = ReplyCache(max_octets)
        self.listener = Repeats(self.cache, ("udp", "1"))
        self.meter = Meter("dns://:53", ".")

    def store(
        self, name: str, *keys: Key, until: float = FOREVER, count: int = 1, extra: bytes = b""
    ) -> Entry:
        query = Query(wire_from_text(name + "."), from_text(name + "."), 1)
        records = [Record(query.qname, 1, 5, at.to_bytes(4, "big")) for at in range(count)]
        encoded = encode(query, Answer(answer=tuple(records)), whole=True)
        data = request(name, extra)
        entry = Entry(data, [encoded], frozenset(keys), self.meter, LABELS)
        entry.until = until
        meant = self.cache.meaning(data)
        assert meant is not None
        self.cache.store(entry, meant[0])
        return entry

    def hit(self, name: str, extra: bytes = b"") -> bool:
        data = request(name, extra)
        if (repeated := self.listener.entries.get(data)) is not None:
            next_body, use, until = repeated
            if until <= repeats.__dict__["monotonic"]():
                return self.listener.find(data, lambda _: "192.0.2.1") is not None
            next_body()
            use.hits += 1
            return True
        return self.listener.find(data, lambda _: "192.0.2.1") is not None

    @property
    def names(self) -> set[str]:
        found = (entry for entry in self.cache.entries.values() if entry.until > 0)
        return {entry.request[11 : 11 + entry.request[10]].decode() for entry in found}

    @property
    def counted(self) -> int:
        self.cache.report()
        return sum(cell.count for cell in self.meter.cells.values())

    @property
    def internals(self) -> int:
        """The length of everything that the cache holds."""
        parts = [part for name, part in vars(self.cache).items() if name not in _FIXED]
        return max(len(part) for part in parts if hasattr(part, "__len__"))


def test_a_drop_removes_what_has_the_key_and_nothing_else() -> None:
    cached = Cache()
    for name, keys in {"a": (WEB,), "b": (WEB, IP), "c": (DB,), "d": ()}.items():
        cached.store(name, *keys)
        assert all([cached.hit(name), cached.hit(name), cached.hit(name)])
    cached.cache.drop([WEB, ("svc", "shop", "other")])
    assert cached.names == {"c", "d"}
    assert not cached.hit("a")
    assert not cached.hit("b")
    assert cached.cache.drops == 2
    cached.cache.drop([IP])
    cached.cache.drop([WEB])
    assert cached.names == {"c", "d"}
    assert cached.cache.drops == 2


def test_what_was_removed_is_not_served_though_the_tables_follow_later() -> None:
    cached = Cache()
    many = 4 * MAX_UNLINKED
    for at in range(many):
        cached.store(f"n{at}", WEB, ("names", str(at)))
        cached.hit(f"n{at}")
        cached.hit(f"n{at}")
    cached.cache.drop([WEB])
    assert not any(cached.hit(f"n{at}") for at in range(many))
    assert len(cached.cache) > 0, "more than is unlinked at a time"
    cached.store("n0", DB)
    for _ in range(many // MAX_UNLINKED):
        cached.store("other", DB)
    assert cached.hit("n0"), "the new one stays when the removed one is unlinked"
    assert cached.names == {"n0", "other"}
    assert len(cached.cache) == 2
    assert cached.cache.octets == sum(each.octets for each in cached.cache.entries.values())


def test_removing_many_under_one_key_does_not_hold_up_the_queries() -> None:
    """32,768 took 137 ms. Compared with storing them, since machines differ."""
    cached = Cache()
    started = perf_counter()
    for at in range(32768):
        cached.store(f"n{at}", WEB)
    stored = perf_counter() - started
    started = perf_counter()
    cached.cache.drop([WEB])
    assert perf_counter() - started < stored / 8
    assert not cached.names


def test_the_same_query_again_replaces_with_its_keys() -> None:
    cached = Cache()
    cached.store("a", WEB)
    cached.store("a", DB)
    cached.cache.drop([WEB])
    assert cached.names == {"a"}
    cached.cache.drop([DB])
    assert not cached.names


def test_never_more_than_the_octets() -> None:
    cached = Cache(max_octets=100 * ENTRY_OCTETS)
    for at in range(1000):
        cached.store(str(at), WEB, ("ip", str(at)), count=at % 50)
        for _ in range(3):
            cached.hit(str(at))
        assert cached.cache.octets <= cached.cache.max_octets
        assert cached.cache.octets == sum(
            each.octets for each in {*cached.cache.entries.values(), *cached.cache._removed}
        )
    assert cached.cache.evictions > 800
    assert cached.internals <= 100 + 2 * MAX_UNLINKED


def test_octets_are_what_python_takes_at_the_most() -> None:
    """Counted is not less than the objects of an entry really have."""
    cached = Cache()
    entry = cached.store("some-service", WEB, ("ns", "shop"), count=20)
    cached.hit("some-service")
    assert entry.uses
    use = next(iter(entry.uses.values()))
    parts: list[object] = [
        entry,
        entry.request,
        entry.key,
        entry.keys,
        *entry.keys,
        entry.uses,
        use,
        entry.repeats,
    ]
    parts += [entry.encodings, *entry.encodings, entry.encodings[0].sections, entry.labels]
    parts += [{b"": entry}, {b"": entry}, {b"": entry}]  # a place in each table
    assert sum(map(sys.getsizeof, parts)) <= entry.octets


def test_a_flood_of_names_queried_once_leaves_what_is_in_use() -> None:
    """Half of the cache is hit as often as the cache is filled by strangers."""
    cached = Cache(max_octets=100 * (ENTRY_OCTETS + 200))
    used = [f"used-{at}" for at in range(50)]
    for name in used:
        cached.store(name)
    for at in range(2000):
        if at % 40 == 0:
            for name in used:
                cached.hit(name)
        cached.store(f"once-{at}")
    assert cached.names >= set(used)


def test_without_ample_room_only_what_comes_again_is_admitted() -> None:
    cache = ReplyCache(max_octets=32 * ENTRY_OCTETS)
    assert cache.admits(b"a")
    cache.octets = cache.free_octets
    assert [cache.admits(b"c"), cache.admits(b"c"), cache.admits(b"d")] == [False, True, False]


def test_what_came_long_ago_is_forgotten() -> None:
    """Else the memory of a flood would let everything in for ever."""
    seen = SeenBefore()
    again = sum(seen.note(number.to_bytes(8, "big")) for number in range(4 * NOTED))
    assert again < NOTED  # with nothing forgotten all but NOTED would be taken for known


def test_what_is_no_longer_queried_makes_room_in_the_end() -> None:
    cached = Cache(max_octets=20 * (ENTRY_OCTETS + 200))
    for at in range(10):
        cached.store(f"old-{at}")
        cached.hit(f"old-{at}")
    for at in range(60):
        cached.store(f"new-{at}")
    assert not any(name.startswith("old") for name in cached.names)


def test_making_room_looks_at_few_entries() -> None:
    """All in use: nothing is evicted until the search, a few at each time, comes round again."""
    cached = Cache()
    names = [str(at) for at in range(10 * MAX_CHANCES)]
    for name in names:
        cached.store(name)
        cached.hit(name)
    cached.cache.max_octets = cached.cache.octets
    before = {each: each.seen for each in cached.cache.entries.values()}
    cached.store("n")
    spared = [each for each, seen in before.items() if each.seen != seen]
    assert len(spared) == MAX_CHANCES
    assert "n" not in cached.names
    for _ in range(10):
        cached.store("n")
    assert "n" in cached.names


@pytest.mark.parametrize("drops", [True, False])
def test_storing_for_ever_leaves_nothing_behind(drops: bool) -> None:
    cached = Cache(max_octets=10 * ENTRY_OCTETS)
    for at in range(5000):
        cached.store("a" if at % 2 else str(at), WEB, until=1e9 + at)
        cached.hit("a", cookie(at))
        if drops:
            cached.cache.drop([WEB])
    assert cached.internals <= 10 + 2 * MAX_UNLINKED


def test_an_entry_that_ended_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    for module in (reply_cache, repeats):
        monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    cached = Cache()
    cached.store("a", until=10)
    cached.store("b")
    assert all([cached.hit("a"), cached.hit("a"), cached.hit("a"), cached.hit("b")])
    clock[0] = 10.0
    assert not cached.hit("a")
    assert cached.hit("b")
    cached.store("a", until=20)
    assert cached.hit("a")


def test_one_that_ended_makes_room_first_though_it_is_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    for module in (reply_cache, repeats):
        monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    cached = Cache()
    cached.store("a", until=10)
    cached.hit("a")
    cached.cache.max_octets = cached.cache.octets + 10
    clock[0] = 11.0
    cached.store("b")
    assert cached.names == {"b"}


def test_a_request_that_repeats_is_finished_once() -> None:
    cached = Cache()
    cached.store("a", WEB, count=3)
    for _ in range(5):
        cached.hit("a")
    assert set(cached.listener.entries) == {request("a")}
    assert cached.counted == 5
    cached.cache.drop([WEB])
    assert not cached.listener.entries


@pytest.mark.parametrize("way", ["drop", "store", "evict", "clear", "cover"])
def test_the_same_octets_over_udp_and_tcp_are_forgotten_by_both(way: str) -> None:
    cached = Cache()
    udp, tcp = cached.listener, Repeats(cached.cache, ("tcp", "1"), is_stream=True)
    cached.store("a", WEB)
    for listener in (udp, tcp, udp, tcp):
        assert listener.find(request("a"), lambda _: "192.0.2.1")
    assert request("a") in udp.entries
    assert request("a") in tcp.entries
    if way == "drop":
        cached.cache.drop([WEB])
    elif way == "store":
        cached.store("a", WEB)
    elif way == "evict":
        cached.cache.max_octets = ENTRY_OCTETS
        cached.store("b")
        cached.store("b")
    elif way == "clear":
        cached.cache.clear()
    else:
        cached.cache.cover()
    assert not udp.entries
    assert not tcp.entries


def test_spellings_cookies_and_sizes_do_not_grow_an_entry() -> None:
    cached = Cache()
    entry = cached.store("abcdefghijkl", extra=cookie(0))
    for at in range(3000):
        name = "".join(c.upper() if at >> n & 1 else c for n, c in enumerate("abcdefghijkl"))
        size = at.to_bytes(2, "big")
        for extra in (cookie(at), b"\0\0\x29" + size + b"\0\0\0\0\0\0"):
            assert cached.hit(name, extra)
            assert cached.hit(name, extra)
    assert len(cached.cache) == 1
    assert len(entry.repeats or ()) <= MAX_REPEATS
    assert len(entry.uses or ()) <= MAX_USES
    assert len(cached.cache._shapes) <= reply_cache.MAX_SHAPES
    assert cached.counted == 12000


@pytest.mark.parametrize("count", [2, 15, 20, 100, 1000])
def test_every_endpoint_comes_first_equally_often(count: int) -> None:
    cached = Cache()
    entry = cached.store("a", count=count)
    entry.rotates()
    firsts = Counter[bytes]()
    for _ in range(2 * count):
        data = request("a")
        repeated = cached.listener.entries.get(data)
        body = repeated[0]() if repeated else cached.listener.find(data, lambda _: "::1")
        assert body is not None
        firsts[body[len(data) + 12 : len(data) + 16]] += 1
    assert len(firsts) == count
    assert set(firsts.values()) <= {1, 2, 3}


def test_hits_are_reported_once_and_never_lost() -> None:
    cached = Cache()
    cached.store("a", WEB)
    for _ in range(5):
        cached.hit("a")
    assert (cached.cache.hits, sum(cell.count for cell in cached.meter.cells.values())) == (5, 0)
    assert (cached.counted, cached.counted, cached.cache.hits) == (5, 5, 5)
    cached.hit("a")
    cached.cache.drop([WEB])
    assert (cached.counted, cached.cache.hits) == (6, 6)


@pytest.mark.parametrize("way", ["drop", "clear", "replace", "evict"])
def test_hits_are_counted_whatever_the_end(way: str) -> None:
    cached = Cache(max_octets=2 * ENTRY_OCTETS - 1)
    replayed: list[int] = []
    cached.store("a", WEB).replayed = (replayed.append,)
    cached.hit("a")
    match way:
        case "drop":
            cached.cache.drop([WEB])
        case "clear":
            cached.cache.clear()
        case "replace":
            cached.store("a", WEB)
            cached.store("a", WEB)
        case _:
            cached.store("b")
            cached.store("c")
    assert cached.counted == 1
    assert cached.cache.hits == 1
    assert replayed == [1]


def test_clear_removes_all() -> None:
    cached = Cache()
    for at in range(5):
        cached.store(str(at), WEB)
        cached.hit(str(at))
        cached.hit(str(at))
    cached.cache.clear()
    assert not cached.names
    assert not cached.listener.entries
    assert (cached.internals, cached.cache.octets, cached.cache.drops) == (0, 0, 5)
    cached.cache.drop([WEB])


def test_while_covered_listeners_find_nothing() -> None:
    cached = Cache()
    cached.store("a")
    assert all([cached.hit("a"), cached.hit("a"), cached.hit("a")])
    cached.cache.cover()
    assert not cached.hit("a")
    assert cached.listener.find(request("a"), lambda _: "::1", uncovered=True)
    assert not cached.listener.entries
    cached.cache.uncover()
    assert cached.hit("a")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.sampled_from("abcdef"), st.sampled_from([WEB, DB, IP])),
        st.tuples(st.just("hit"), st.sampled_from("abcdef"), st.just(WEB)),
        st.tuples(st.just("drop"), st.just(""), st.sampled_from([WEB, DB, IP])),
        st.tuples(st.just("report"), st.just(""), st.just(WEB)),
        st.tuples(st.just("cover"), st.just(""), st.just(WEB)),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 4))
def test_any_use(steps: list[tuple[str, str, Key]], most: int) -> None:
    cached, hits, keys = Cache(max_octets=most * (ENTRY_OCTETS + 700)), 0, dict[str, Key]()
    for step, name, key in steps:
        if step == "store":
            cached.store(name, key)
            keys[name] = key
        elif step == "hit":
            found = cached.hit(name)
            assert found == (name in cached.names)
            hits += found
        elif step == "drop":
            cached.cache.drop([key])
            assert all(keys[name] != key for name in cached.names)
        elif step == "report":
            cached.cache.report()
        else:
            cached.cache.cover()
            cached.cache.uncover()
        assert cached.cache.octets <= cached.cache.max_octets
        assert cached.cache.hits == hits
    cached.cache.clear()
    assert cached.counted == hits
    assert cached.internals == 0
