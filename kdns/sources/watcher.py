"""Keeps one collection right: lists it, watches it, and decides what to do when something is wrong.

The rule behind all cases: what was last known goes on being served until a whole new list replaces it
at once. It comes as a stream at the start of a watch, or by pages where the API server does not offer
that, or it failed. A watch resumes where it stopped while that is certain to miss nothing, and else there
is a new list:

* the server says so (410 Gone, or its version is lower than one it gave before);
* the API could not be reached for a while. etcd may have been put back to an older state meanwhile and
  moved on past our version since; a watch would then skip what happened in between, without an error;
* twice in a row a watch broke without any progress.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from msgspec import Struct, field

from kdns.records.objects import Change, Gone, Put, Replaced
from kdns.records.schema import Event
from kdns.sources import watch
from kdns.sources.backoff import ANSWERED, REFUSED, UNREACHABLE, Backoff, Policy
from kdns.sources.initial import REFUSALS, Initial, NotOffered
from kdns.sources.liveness import Liveness
from kdns.sources.reporting import Reporter
from kdns.sources.resources import Resource
from kdns.sources.transport import Transport, TransportError
from kdns.sources.versions import is_lower
from kdns.sources.watch import GONE, Limits, Listing, Opened, RequestError, StreamError, Watching
from kdns.status import ResourceStatus

log = logging.getLogger("kdns.sources.apiserver")


class Timing(Struct, frozen=True):
    """Clock and chance, so that tests can hold them."""

    now: Callable[[], float] = time.time
    """Unix seconds."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = random.uniform


class Context(Struct, frozen=True):
    """What the watchers of one source share."""

    transport: Transport
    liveness: Liveness
    emit: Callable[[Change], None]
    limits: Limits = field(default_factory=Limits)
    timing: Timing = field(default_factory=Timing)


class Watcher:
    """One collection."""

    def __init__(self, resource: Resource, context: Context, status: ResourceStatus) -> None:
        self._resource = resource
        self._context = context
        self._status = status
        self._report = Reporter(resource, status, context.timing.now)
        self._version = ""
        self._list_because = "start"
        """Why the next turn begins with a list; "" when it resumes the watch."""
        self._by_pages = False
        """How the next list is asked for: what failed one way is tried the other way."""
        self._offered = True
        """Whether lists may come as streams from this API server."""
        self._initial: Initial | None = None
        """What the watch has brought of the list that it begins with."""
        self._connected = False
        self._fruitful = False
        self._fruitless = 0
        self._backoff = Backoff(context.timing.uniform)

    @property
    def name(self) -> str:
        return f"{self._context.transport.address}: watching {self._resource.name}"

    async def run(self) -> None:
        while True:
            pause = await self.turn()
            await self._context.timing.sleep(pause)

    def failed(self, problem: str) -> None:
        """What was interrupted may have been applied or not: a list is due."""
        self._fruitless += 1
        self._list_because = self._list_because or problem
        self._report.failed(problem)

    def settled(self) -> None:
        """The watch itself says when it stands."""

    async def turn(self) -> float:
        """Make one connection and stay with it to its end; return the seconds to wait then."""
        self._connected, self._initial, self._fruitful = False, None, False
        try:
            await self._catch_up()
            return await self._follow()
        except NotOffered as error:
            return self._resort_to_pages(str(error))
        except TransportError as error:
            if error.refused:  # what will be there may be another one
                self._offered, self._by_pages = True, False
            self._doubt_history()
            return self._lost(str(error), REFUSED if error.refused else UNREACHABLE)
        except RequestError as error:
            if error.status >= 500:
                self._doubt_history()
            return self._denied(error)
        except StreamError as error:
            return self._fruitless_turn(str(error))

    def _doubt_history(self) -> None:
        """Make a list due when not even a connection could be made."""
        if self._status.synced and not self._connected:
            self._list_because = self._list_because or "the API could not be reached"

    # -- the steps of a turn ----------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """See to it that ``_version`` is one to watch from."""
        if not self._list_because:
            await self._compare_versions()
        if not self._list_because:
            return
        if self._offered and not self._by_pages:
            if not self._status.synced:
                await self._compare_versions()  # who may only watch is told at once
            self._by_pages = True  # unless this list is completed
            self._initial = Initial(self._context.limits)
        else:
            self._by_pages = False
            await self._list()

    async def _compare_versions(self) -> bool:
        """Say whether the history goes on from our version; where not, a list becomes due."""
        known = self._version  # an event that comes meanwhile may be newer than the answer
        current = await watch.current_version(
            self._context.transport, self._resource, self._context.limits
        )
        if is_lower(current, known):
            self._list_because = f"its version went back from {known} to {current}"
        else:
            self._report.confirm()
        return not self._list_because

    async def _list(self) -> None:
        context = self._context
        listing = await watch.fetch(context.transport, self._resource, context.limits)
        log.debug("%s: the list came in pages", self._resource.name)
        self._replace(listing)

    def _replace(self, listing: Listing) -> None:
        self._report.rejected(listing.rejected)
        self._context.emit(Replaced(self._resource.kind, listing.objects))
        self._version = self._status.version = listing.version
        self._report.confirm()
        self._report.listed(len(listing.objects), self._list_because)
        self._list_because = ""

    async def _follow(self) -> float:
        """Watch from the list or ``_version`` to the connection's end, or until a list is due."""
        context = self._context
        limits = context.limits
        lifetime = context.timing.uniform(limits.watch_at_least, limits.watch_at_most)
        version = "" if self._initial else self._version
        watching = Watching(lifetime, self._take)
        signs = watch.stream(context.transport, self._resource, version, watching, limits)
        async with aclosing(signs):
            async for sign in signs:
                if isinstance(sign, Opened):
                    self._found()
                elif self._initial is not None:
                    self._initial.be_patient(sign.seconds)
                elif await self._look_after(sign.seconds):
                    self._bear_fruit()
                else:
                    break
        if self._initial is not None:
            raise NotOffered("it ended before the list was complete")
        if self._list_because:
            return self._list_again()
        return 0.0 if self._fruitful else self._ended_at_once()

    def _take(self, event: Event) -> bool:
        """Act on what the watch brought; False when it is of no use any more."""
        if event.type == "ERROR":
            return self._take_error(event)
        if not event.type:
            raise StreamError(event.message)
        if self._initial is not None:
            self._take_initial(event, self._initial)
            return True
        if is_lower(event.resource_version, self._version):
            self._list_because = f"an event went back to version {event.resource_version}"
            return False
        self._apply(event)
        self._version = self._status.version = event.resource_version or self._version
        self._report.confirm()
        self._bear_fruit()
        return True

    def _take_initial(self, event: Event, initial: Initial) -> None:
        """Collect the list that the watch begins with; at its end it takes the old one's place."""
        listing = initial.take(event)
        if listing is not None:
            self._initial, self._by_pages = None, False
            log.debug("%s: the list came as a stream", self._resource.name)
            self._replace(listing)
            self._found()

    def _bear_fruit(self) -> None:
        """Note that the watch is good for something."""
        if not self._fruitful:
            self._fruitful = True
            self._fruitless = 0
            self._backoff.reset()
            self._report.settled()
            self._found()

    async def _look_after(self, silent: float) -> bool:
        """Make sure that a quiet watch is alive and not one for a version that lies in the future."""
        limits = self._context.limits
        if silent >= limits.silence:
            raise TransportError(f"nothing was heard for {silent:g} s")
        await self._context.liveness.check()
        if silent % limits.version_check < limits.quiet:
            return await self._compare_versions()
        return True

    def _take_error(self, event: Event) -> bool:
        if _is_out_of_range(event.status_code, event.message):
            self._list_because = f"{event.status_code}: {event.message}"
            return False
        raise StreamError(f"error {event.status_code} in the watch: {event.message}")

    def _apply(self, event: Event) -> None:
        self._report.rejected(event.rejected)
        if event.type == "BOOKMARK" or not event.name:
            return
        if (item := event.current) is not None:
            self._context.emit(Put(item))
        else:
            self._context.emit(Gone(self._resource.kind, event.namespace, event.name))

    # -- what is well, what is wrong, and the pause then -------------------------------------------

    def _found(self) -> None:
        """Note that the watch stands; after one that broke at once, only when it bears fruit."""
        self._connected = True
        if not self._fruitless and self._initial is None:
            self._report.found()

    def _lost(self, problem: str, policy: Policy, retry_after: float = 0.0) -> float:
        self._report.lost(problem, answered=policy is ANSWERED)
        return self._backoff.after(policy, retry_after)

    def _denied(self, error: RequestError) -> float:
        if error.status == 404 and self._resource.optional:
            return self._not_installed()
        if self._initial is not None and error.status in REFUSALS:
            return self._resort_to_pages(f"HTTP {error.status} {error}")
        refused = error.status == 400 and error.verb == "watch"  # the version may be nonsense to it
        if refused or _is_out_of_range(error.status, str(error)):
            self._list_because = f"{error.status}: {error}"
            return self._list_again()
        return self._lost(watch.explain(error, self._resource), ANSWERED, error.retry_after)

    def _not_installed(self) -> float:
        """Without its CustomResourceDefinition there is none of them, as certainly as in an empty list."""
        if self._report.not_installed():
            self._context.emit(Replaced(self._resource.kind, ()))
        self._list_because = "it was not installed"
        return self._backoff.after(ANSWERED)

    def _resort_to_pages(self, because: str) -> float:
        """Remember that no list comes as a stream, and ask for pages at once."""
        log.debug("%s: no list as a stream (%s), so by pages", self._resource.name, because)
        self._offered = False
        return 0.0

    def _list_again(self) -> float:
        """Pause before the list that is due; one watch after the other that needs a new one is a problem."""
        if self._fruitful:
            return self._backoff.after(ANSWERED)
        self._fruitless += 1
        if self._fruitless == 1:
            return self._backoff.after(ANSWERED)
        return self._lost(f"each watch needs a new list: {self._list_because}", ANSWERED)

    def _ended_at_once(self) -> float:
        """Slow down, for such a server would be asked in a tight loop; once is no reason to worry."""
        self._fruitless += 1
        if self._fruitless == 1:
            return self._backoff.after(ANSWERED)
        return self._lost("each watch ends at once", ANSWERED)

    def _fruitless_turn(self, problem: str) -> float:
        """Resume after what may be a passing fault; list when it happens again at once."""
        self._fruitless += 1
        if self._fruitless > 1 and not self._list_because:
            self._list_because = problem
        return self._lost(problem, ANSWERED)


def _is_out_of_range(status: int, message: str) -> bool:
    """Whether the version to watch from is not kept any more, or one that is still to come."""
    return status == GONE or "too large resource version" in message.lower()
