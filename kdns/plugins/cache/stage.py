"""The stage that answers from what is kept, and keeps what the next stages fetch.

A hit's bytes are good until the second in which a TTL counts down, so the reply cache serves most of
them; it reports how many, and they are counted here as well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from math import ceil
from time import monotonic
from typing import Final

from msgspec.structs import replace

from kdns.metrics import families
from kdns.metrics.family import Family
from kdns.plugins.cache.kinds import Cacheable, capped, classify
from kdns.plugins.cache.settings import Settings
from kdns.plugins.cache.store import Found, Identity, Item, Store, identity
from kdns.plugins.interface import Context, Handler
from kdns.plugins.zones import longest_match
from kdns.wire.constants import TRANSFERS, ErrorCode, Rcode
from kdns.wire.message import Answer, Denial, ExtendedError, Query, Record
from kdns.wire.names import Name, to_text
from kdns.wire.relayed import Relayed, echoed, sections, with_message

NAME: Final = "cache"

MAX_REFRESHES: Final = 1024
"""Refreshes under way at one time; beyond that what is kept simply ends."""

_SERIES: Final = {
    "request": (families.ANSWER_REQUESTS, ""),
    "miss": (families.ANSWER_MISSES, ""),
    "success": (families.ANSWER_HITS, "success"),
    "denial": (families.ANSWER_HITS, "denial"),
    "stale": (families.ANSWERS_STALE, ""),
    "prefetch": (families.ANSWER_PREFETCHES, ""),
}

_NO_RECORDS: Final[dict[str, tuple[Record, ...]]] = {
    "answer": (),
    "authority": (),
    "additional": (),
}

_GOOD: Final = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    return Cache(settings, next_handler, context).answer


class Cache:
    """The stage of one ``cache``."""

    def __init__(
        self,
        settings: Settings,
        next_handler: Handler,
        context: Context,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.settings, self.next, self.context = settings, next_handler, context
        self.zones = settings.zones or tuple(key.zone for key in context.block.keys)
        self.serves_all = () in self.zones
        self.clock = clock
        self.store = Store(settings, clock)
        self.uncached = _uncached(settings)
        self.refreshes: set[asyncio.Task[Answer | None]] = set()
        self.counted: Counter[str] = Counter()
        self._entries: Counter[str] = Counter()
        self._evictions: Counter[str] = Counter()
        context.on_change(self.store.changes.note)
        context.on_scrape(self.report)
        context.run(self._run)

    async def answer(self, query: Query) -> Answer:
        if query.qtype in TRANSFERS or not (self.serves_all or self._serves(query.name)):
            return await self.next(query)
        self.counted["request"] += 1
        skip = self.uncached and longest_match(self.uncached, query.name) is not None
        if skip and query.trace is None:
            self.counted["miss"] += 1
            return self._passed(await self.next(query))
        key = identity(query)
        found = None if skip else self.store.find(key)
        if query.trace is not None:
            query.trace.append(f"cache: {self._described(found)}")
        if found is None or found.of_name:
            self.counted["miss"] += 1
            return await self._fetch(self._knowing(query, found), key)
        self._count_hits(found.item, 1)
        if found.stale:
            return await self._stale(query, key, found.item)
        if self._is_popular(found.item):
            self._refresh(query, key, found.item)
        return self._reply(query, found.item)

    def _serves(self, name: Name) -> bool:
        return longest_match(self.zones, name) is not None

    # ---- from the next stages

    def _knowing(self, query: Query, found: Found | None) -> Query:
        """The query with the denial of its name, if there is one.

        The stages in between answer what they have. Only the one that denied the name says so again.
        """
        if found is None:
            return query
        denial = Denial(found.item.tree, query.name)
        answer = with_message(found.item.answer, self._aged(query, found.item))
        return replace(query, denied=(denial, replace(answer, fetched=True)))

    async def _fetch(self, query: Query, key: Identity) -> Answer:
        version = self.store.changes.count
        answer = await self.next(query)
        if not answer.fetched:
            return self._passed(answer)
        found = classify(query, answer, self.settings)
        if found is None:
            return capped(answer, self.settings)
        item = self._keep(query, key, answer, found, version)
        if item is not None and item.answer.rcode != answer.rcode:
            answer = replace(answer, rcode=item.answer.rcode)
        return with_message(answer, found.message) if found.changed else answer

    def _passed(self, answer: Answer) -> Answer:
        """An answer that is not for this cache, counted each time that it is sent."""
        answer = capped(answer, self.settings)
        if not answer.keep_until:
            return answer
        again = partial(self._passed_again, "success" if answer.answer else "denial")
        return replace(answer, replayed=(*answer.replayed, again))

    def _keep(
        self, query: Query, key: Identity, answer: Answer, found: Cacheable, version: int
    ) -> Item | None:
        off = self.settings.success_off if found.kind == "success" else self.settings.denial_off
        if found.ttl <= 0 or (off and longest_match(off, query.name) is not None):
            return None
        cached = replace(
            answer,
            **_NO_RECORDS,
            fetched=False,
            denial=None,
            failure="",
            replayed=(),
            plugin=NAME,
            metadata=(),
        )
        return self.store.keep(key, cached, found, version)

    # ---- from what is kept

    def _described(self, found: Found | None) -> str:
        if found is None:
            return "nothing is kept; the next directive is asked"
        if found.of_name:
            return "the name was denied for another type; the next directives are asked"
        now, item = self.clock(), found.item
        age, left = now - item.stored, item.ends - now
        return f"{item.kind} kept {age:.0f} s ago, " + (
            f"ended {-left:.0f} s ago" if found.stale else f"good for {left:.0f} s more"
        )

    def _reply(self, query: Query, item: Item) -> Answer:
        until = item.ends if self.settings.keep_ttl else min(int(self.clock()) + 1, item.ends)
        answer, authority, additional = sections(self._aged(query, item))
        return replace(
            item.answer,
            answer=answer,
            authority=authority,
            additional=additional,
            keep_until=until,
            replayed=(partial(self._replayed, item),),
        )

    def _aged(self, query: Query, item: Item) -> Relayed:
        """The records with TTLs counted down and the question's name in the query's letter case."""
        message = item.message.asked_as(query.qname)
        if self.settings.keep_ttl:
            return message
        return message.aged(int(self.clock()) - item.stored)

    async def _stale(self, query: Query, key: Identity, item: Item) -> Answer:
        stale = self.settings.stale
        assert stale is not None, "nothing is stale without the option"
        if not self.store.has_failed(key):
            refresh = self._refresh(query, key, item)
            if stale.verify and refresh is not None:
                done, _ = await asyncio.wait({refresh}, timeout=stale.timeout or None)
                if done and (newer := refresh.result()) is not None:
                    found = self.store.find(key)
                    if found is None or found.stale or found.of_name:  # the newer one is not cached
                        return echoed(query, newer)
                    return self._reply(query, found.item)
        self.counted["stale"] += 1
        text = f"ended {ceil(self.clock() - item.ends)}s ago; a newer answer is not to be had"
        message = item.message.asked_as(query.qname).with_ttl(stale.ttl)
        return replace(
            with_message(item.answer, message),
            errors=(ExtendedError(ErrorCode.STALE_ANSWER, text),),
            keep_until=0.0,
        )

    # ---- fetching anew

    def _is_popular(self, item: Item) -> bool:
        """Whether it is asked for often and ends soon (``prefetch``)."""
        prefetch, now = self.settings.prefetch, self.clock()
        if prefetch is None:
            return False
        if now - item.asked > prefetch.gap:
            item.hits = 1
        item.asked = now
        lifetime = item.ends - item.stored
        soon = item.ends - now <= ceil(lifetime * prefetch.percentage / 100)
        return item.hits >= prefetch.amount and soon

    def _refresh(
        self, query: Query, key: Identity, item: Item
    ) -> asyncio.Task[Answer | None] | None:
        """Fetch anew; None where that is being done, or has just failed."""
        if item.refreshing or self.clock() < item.retry or len(self.refreshes) >= MAX_REFRESHES:
            return None
        item.refreshing = True
        self.counted["prefetch"] += 1
        # It is the server that asks now: nothing of it may depend on who happened to ask.
        asked = replace(query, transport="internal", client="", client_port=0)
        task = asyncio.ensure_future(self._refreshed(asked, key, item))
        self.refreshes.add(task)
        task.add_done_callback(self.refreshes.discard)
        return task

    async def _refreshed(self, query: Query, key: Identity, item: Item) -> Answer | None:
        """The answer that is to take the place of ``item``, if there is one."""
        stale = self.settings.stale
        try:
            answer = await self._fetch(query, key)
        finally:
            item.refreshing = False
        if answer.rcode not in _GOOD:
            if stale is not None:
                item.retry = self.clock() + stale.recheck
            return None
        found = self.store.find(key)
        if found is not None and found.item is not item:
            found.item.hits, found.item.asked = item.hits, item.asked
        elif answer.truncated or (stale and stale.prefer_positive and not answer.answer):
            return None
        return answer

    # ---- counting

    def _count_hits(self, item: Item, count: int) -> None:
        item.hits += count
        self.counted["success" if item.kind == "success" else "denial"] += count

    def _replayed(self, item: Item, count: int) -> None:
        """The reply cache served this hit's bytes again."""
        self.counted["request"] += count
        self._count_hits(item, count)

    def _passed_again(self, kind: str, count: int) -> None:
        """The reply cache sent again what is not cached here: to CoreDNS a hit, too."""
        self.counted["request"] += count
        self.counted[kind] += count

    def report(self) -> None:
        """Hand over what was counted."""
        counted, self.counted = self.counted, Counter()
        for event, count in counted.items():
            self._count(*_SERIES[event], count)
        for kind, kept in (("success", self.store.success), ("denial", self.store.denial)):
            self._show_entries(kind, len(kept))
            if fresh := kept.evictions - self._evictions[kind]:
                self._count(families.ANSWER_EVICTIONS, kind, fresh)
                self._evictions[kind] = kept.evictions

    def _show_entries(self, kind: str, count: int) -> None:
        self._count(families.ANSWERS_KEPT, kind, count - self._entries[kind])
        self._entries[kind] = count

    def _count(self, family: Family, kind: str, by: int) -> None:
        zones = ",".join(map(to_text, self.zones))
        labels = (self.context.server, *([kind] if kind else ()), zones, "")
        self.context.metrics.count(family, *labels, by=by)

    async def _run(self) -> None:
        """At the end, leave nothing behind."""
        try:
            await asyncio.Event().wait()
        finally:
            self.report()
            for kind in tuple(self._entries):
                self._show_entries(kind, 0)
            for task in tuple(self.refreshes):
                task.cancel()


def _uncached(settings: Settings) -> tuple[Name, ...]:
    """The zones for whose names neither data nor denials are kept, which need not be looked for."""
    success, denial = settings.success_off, settings.denial_off
    return tuple(
        zone
        for zone in {*success, *denial}
        if longest_match(success, zone) is not None and longest_match(denial, zone) is not None
    )
