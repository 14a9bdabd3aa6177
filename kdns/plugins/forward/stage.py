"""The stage that queries the upstreams, and makes an Answer of their reply.

It waits for a plain future, so running the chain takes no task.
"""

from __future__ import annotations

import ssl
from typing import Final

from kdns.config.tree import ConfigError
from kdns.plugins.forward.settings import Settings
from kdns.plugins.forward.targets import read_targets
from kdns.plugins.interface import Context, Handler
from kdns.upstream.errors import UpstreamError
from kdns.upstream.pool import OverloadError, Pool
from kdns.whole_file import check_regular
from kdns.wire.constants import ErrorCode, Flag, Rcode, rcode_name
from kdns.wire.message import Answer, Denial, ExtendedError, Query
from kdns.wire.reasons import because
from kdns.wire.responses import Response

NAME: Final = "forward"


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    return Forward(settings, next_handler, context)


class Forward:
    """The stage of one ``forward``. Several in a block are asked in the order written."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.settings, self.next, self.context = settings, next_handler, context
        self.pool = Pool(settings.options, context.metrics)
        self.tree = object()
        """Stands for what the upstreams know, in what they deny."""
        self.offers_recursion = () in settings.zones
        self._covers_all = self.offers_recursion and not settings.excepted
        context.prepare(self._prepare)
        context.run(self.pool.run)
        context.pools.append(self.pool)

    def _prepare(self) -> None:
        """Find out who the upstreams are. Raises ``ConfigError``."""
        targets = read_targets(self.settings)
        tls = self._tls() if any(target.tls for target in targets) else None
        self.pool.add(targets, tls)

    def _tls(self) -> ssl.SSLContext:
        paths = self.settings.tls
        try:
            for path in paths:
                check_regular(path)
            authority = paths[-1] if len(paths) in {1, 3} else None
            context = ssl.create_default_context(cafile=authority)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if len(paths) > 1:
                context.load_cert_chain(paths[0], paths[1])
        except OSError as error:
            reason = f"forward: tls {' '.join(paths)}: {error.strerror or error}"
            raise ConfigError(reason, self.settings.location) from error
        return context

    async def __call__(self, query: Query) -> Answer:
        if not (self._covers_all or self.settings.covers(query.name)):
            return await self.next(query)
        if query.denied is not None and query.denied[0] == Denial(self.tree, query.name):
            return query.denied[1]
        if query.trace is not None:
            known = ", ".join(upstream.name for upstream in self.pool.upstreams) or "nobody"
            query.trace.append(f"forward: asks one of {known}")
        try:
            response = await self.pool.ask(query)
        except OverloadError as error:
            return self._failed(query, Rcode.REFUSED, error)
        except UpstreamError as error:
            return self._failed(query, Rcode.SERVFAIL, error)
        if self._is_for_next(response):
            return await self.next(query)
        return self._answer(query, response)

    def _is_for_next(self, response: Response) -> bool:
        """``next``, ``next_on_nodata``: only another ``forward`` is meant by that."""
        if not isinstance(self.next, Forward):
            return False
        nodata = response.rcode == Rcode.NOERROR and not response.answer
        return response.rcode in self.settings.next_rcodes or (
            self.settings.next_on_nodata and nodata
        )

    def _answer(self, query: Query, response: Response) -> Answer:
        flags = response.flags
        return Answer(
            rcode=response.rcode,
            answer=response.answer,
            authority=response.authority,
            additional=response.additional,
            authoritative=bool(flags & Flag.AA),
            recursion_available=self.offers_recursion or bool(flags & Flag.RA),
            authenticated=bool(flags & Flag.AD),
            truncated=response.truncated,
            errors=self._reasons(response) if query.wants_reason else (),
            keep_until=0.0,
            fetched=True,
            denial=Denial(self.tree, query.name) if response.rcode == Rcode.NXDOMAIN else None,
            plugin=NAME,
            metadata=(("forward/upstream", response.upstream),),
        )

    def _reasons(self, response: Response) -> tuple[ExtendedError, ...]:
        """The upstream's own; where it fails and does not say why, at least that it is the upstream."""
        if response.errors or response.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
            return response.errors
        upstreams = [upstream.name for upstream in self.pool.upstreams]
        who = upstreams[0] if len(upstreams) == 1 else "an upstream"
        return (ExtendedError(ErrorCode.OTHER, f"{who} replied {rcode_name(response.rcode)}"),)

    def _failed(self, query: Query, rcode: Rcode, error: UpstreamError) -> Answer:
        text = str(error)
        code = ErrorCode.NO_REACHABLE_AUTHORITY if rcode == Rcode.SERVFAIL else ErrorCode.OTHER
        return Answer(
            rcode,
            authoritative=False,
            recursion_available=self.offers_recursion,
            errors=because(query, code, text),
            keep_until=0.0,
            fetched=rcode == Rcode.SERVFAIL,
            failure=text,
            plugin=NAME,
        )
