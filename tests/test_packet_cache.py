"""The packet cache: what is kept, what goes by key, by time and for room, and that all hits are counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kdns.packet_cache import MAX_CHANCES, NOTED, SPARE, AskedBefore, Entry, PacketCache

from kdns.wire.message import FOREVER, Key


class Tally:
    def __init__(self) -> None:
        self.count = 0

    def hits(self, count: int) -> None:
        assert count > 0
        self.count += count

    def took(self, seconds: float) -> None:
        raise AssertionError("the cache takes no time")


def entry(name: str, *keys: Key, tally: Tally | None = None, bodies: int = 1) -> Entry:
    made = [f"{name}-{at}".encode() for at in range(bodies)]
    return Entry(name.encode(), made, frozenset(keys), tally or Tally())


def hit(cache: PacketCache, name: str) -> None:
    """As a listener does."""
    cache.entries[name.encode()].hits += 1


def names(cache: PacketCache) -> set[str]:
    return {request.decode() for request in cache.entries}


def internals(cache: PacketCache) -> int:
    """The length of everything that the cache holds."""
    return max(len(part) for part in vars(cache).values() if hasattr(part, "__len__"))


WEB, DB, IP = ("svc", "shop", "web"), ("svc", "shop", "db"), ("ip", "10.0.0.1")


def test_bodies_are_sent_in_turn() -> None:
    several = entry("a", bodies=3)
    assert [several.next_body() for _ in range(4)] == [b"a-0", b"a-1", b"a-2", b"a-0"]
    single = entry("b")
    assert [single.next_body() for _ in range(2)] == [b"b-0", b"b-0"]


def test_a_drop_takes_what_has_the_key_and_nothing_else() -> None:
    cache = PacketCache()
    for kept in (entry("a", WEB), entry("b", WEB, IP), entry("c", DB), entry("d")):
        cache.keep(kept)
    cache.drop([WEB, ("svc", "shop", "other")])
    assert names(cache) == {"c", "d"}
    assert cache.drops == 2
    cache.drop([IP])
    cache.drop([WEB])
    assert names(cache) == {"c", "d"}
    assert cache.drops == 2


def test_the_same_request_again_replaces_with_its_keys() -> None:
    cache = PacketCache()
    cache.keep(entry("a", WEB))
    cache.keep(entry("a", DB))
    cache.drop([WEB])
    assert names(cache) == {"a"}
    cache.drop([DB])
    assert not cache.entries


def test_never_more_than_the_most() -> None:
    cache = PacketCache(max_entries=10)
    for at in range(100):
        cache.keep(entry(str(at), WEB, ("ip", str(at))))
        assert len(cache.entries) <= 10
    assert cache.evictions == 90
    assert internals(cache) <= 20


def test_a_flood_of_names_asked_once_leaves_what_is_in_use() -> None:
    """Half of the cache is asked for as often as the cache is filled anew by strangers."""
    cache = PacketCache(max_entries=100)
    used = [f"used-{at}" for at in range(50)]
    for name in used:
        cache.keep(entry(name))
    for at in range(2000):
        if at % 40 == 0:
            for name in used:
                hit(cache, name)
        cache.keep(entry(f"once-{at}"))
    assert names(cache) >= set(used)


def test_without_room_only_what_is_asked_again_is_admitted() -> None:
    cache = PacketCache(max_entries=2)
    assert cache.admits(b"a")
    cache.keep(entry("a"))
    cache.keep(entry("b"))
    assert [cache.admits(b"c"), cache.admits(b"c"), cache.admits(b"d")] == [False, True, False]


def test_what_was_asked_long_ago_is_forgotten() -> None:
    """Else the memory of a flood would let everything in for ever."""
    asked = AskedBefore()
    again = sum(asked.note(number.to_bytes(8, "big")) for number in range(4 * NOTED))
    assert again < NOTED  # with nothing forgotten all but NOTED would be taken for known


def test_what_is_no_longer_asked_for_makes_room_in_the_end() -> None:
    cache = PacketCache(max_entries=20)
    for at in range(20):
        cache.keep(entry(f"old-{at}"))
        hit(cache, f"old-{at}")
    for at in range(60):
        cache.keep(entry(f"new-{at}"))
    assert not any(name.startswith("old") for name in names(cache))


def test_making_room_looks_at_few_entries() -> None:
    """All in use: nothing goes until the search, a few at each time, comes round again."""
    cache = PacketCache(max_entries=10 * MAX_CHANCES)
    for at in range(cache.max_entries):
        cache.keep(entry(str(at)))
        hit(cache, str(at))
    before = {each: each.seen for each in cache.entries.values()}
    cache.keep(entry("new"))
    spared = [each for each, seen in before.items() if each.seen != seen]
    assert len(spared) == MAX_CHANCES
    assert "new" not in names(cache)
    for _ in range(10):
        cache.keep(entry("new"))
    assert "new" in names(cache)
    assert len(cache.entries) == cache.max_entries


def test_a_flood_that_ends_by_itself_leaves_nothing_behind() -> None:
    """Replies with a decaying TTL are kept until a time far away, and evicted long before."""
    cache = PacketCache(max_entries=10)
    for at in range(1000):
        cache.keep(entry(str(at), WEB), until=1e9 + at)
    assert internals(cache) <= 40


def test_replacing_one_request_for_ever_leaves_nothing_behind() -> None:
    cache = PacketCache(max_entries=10)
    for _ in range(1000):
        cache.keep(entry("a", WEB), until=1e9)
    assert internals(cache) <= 40


def test_dropping_and_keeping_for_ever_leaves_nothing_behind() -> None:
    cache = PacketCache(max_entries=10)
    for _ in range(1000):
        cache.keep(entry("a", WEB))
        cache.drop([WEB])
    assert internals(cache) <= 40


def test_what_was_dropped_is_not_held_where_there_is_much_room() -> None:
    """Each holds its bodies: as many as there is room for would be a multiple of what is kept."""
    cache = PacketCache()
    for _ in range(4 * SPARE):
        cache.keep(entry("a", WEB), until=1e9)
        cache.drop([WEB])
    assert internals(cache) <= SPARE + 1


def test_letting_go_of_what_was_dropped_keeps_the_turns() -> None:
    cache = PacketCache(max_entries=3)
    for name in "abc":
        cache.keep(entry(name))
    hit(cache, "a")
    cache.keep(entry("d"))  # "b" made room; "a", which was in use, came behind "c"
    for _ in range(20):
        cache.keep(entry("d"))
    cache.keep(entry("e"))
    assert names(cache) == {"a", "d", "e"}


def test_expiry() -> None:
    cache = PacketCache()
    cache.keep(entry("a", WEB), until=10)
    cache.keep(entry("b", WEB), until=20)
    cache.keep(entry("c", WEB))
    assert cache.expire(9.9) == 10
    assert names(cache) == {"a", "b", "c"}
    assert cache.expire(10) == 20
    assert names(cache) == {"b", "c"}
    cache.keep(entry("b", WEB), until=FOREVER)
    cache.expire(30)
    assert names(cache) == {"b", "c"}, "the one that ended was replaced before"
    assert cache.expire(31) is None


def test_hits_are_told_once_and_never_lost() -> None:
    cache, tally = PacketCache(max_entries=2), Tally()
    cache.keep(entry("a", WEB, tally=tally))
    for _ in range(5):
        hit(cache, "a")
    assert (tally.count, cache.hits) == (0, 5)
    cache.fold()
    cache.fold()
    assert (tally.count, cache.hits) == (5, 5)
    hit(cache, "a")
    cache.drop([WEB])
    assert (tally.count, cache.hits) == (6, 6)


@pytest.mark.parametrize("way", ["drop", "clear", "replace", "evict", "expire"])
def test_hits_are_told_whatever_the_end(way: str) -> None:
    cache, tally = PacketCache(max_entries=1), Tally()
    cache.keep(entry("a", WEB, tally=tally), until=10)
    hit(cache, "a")
    match way:
        case "drop":
            cache.drop([WEB])
        case "clear":
            cache.clear()
        case "replace":
            cache.keep(entry("a", WEB))
        case "evict":
            cache.keep(entry("b"))
        case _:
            cache.expire(11)
    assert (tally.count, cache.hits) == (1, 1)


def test_clear_forgets_all() -> None:
    cache = PacketCache()
    for at in range(5):
        cache.keep(entry(str(at), WEB), until=9)
    cache.clear()
    assert not cache.entries
    assert internals(cache) == 0
    assert cache.drops == 5
    cache.drop([WEB])
    assert cache.expire(99) is None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.sampled_from("abcdef"), st.sampled_from([WEB, DB, IP])),
        st.tuples(st.just("hit"), st.sampled_from("abcdef"), st.just(WEB)),
        st.tuples(st.just("drop"), st.just(""), st.sampled_from([WEB, DB, IP])),
        st.tuples(st.just("fold"), st.just(""), st.just(WEB)),
        st.tuples(st.just("expire"), st.just(""), st.just(WEB)),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 4))
def test_any_use(steps: list[tuple[str, str, Key]], most: int) -> None:
    cache, told, asked = PacketCache(max_entries=most), Tally(), Counter[str]()
    for now, (step, name, key) in enumerate(steps):
        if step == "keep":
            cache.keep(entry(name, key, tally=told), until=now + 5 if key == IP else FOREVER)
        elif step == "hit" and name.encode() in cache.entries:
            hit(cache, name)
            asked["hits"] += 1
        elif step == "drop":
            cache.drop([key])
            assert all(key not in each.keys for each in cache.entries.values())
        elif step == "fold":
            cache.fold()
        elif step == "expire":
            cache.expire(now)
        assert len(cache.entries) <= most
        assert cache.hits == asked["hits"]
    cache.clear()
    assert told.count == asked["hits"]
    assert internals(cache) == 0
