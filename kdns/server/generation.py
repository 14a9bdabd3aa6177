"""What one configuration makes: a chain for each server block, a responder for each address.

A generation is built whole before anything of the running one is touched, so that a configuration
that cannot be used changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from kdns.answers.responder import Responder
from kdns.config.access import Access
from kdns.config.tree import ConfigError, Key, ServerBlock
from kdns.derivation import zone as derivation
from kdns.derivation.described import describe
from kdns.derivation.messages import Batch
from kdns.derivation.steps import Block
from kdns.metrics import Metrics
from kdns.plugins import bind, chain, forward, header, kubernetes, log, tls
from kdns.plugins.blocks import Served, names_in
from kdns.plugins.chain import Plan
from kdns.plugins.interface import Handler, Observer
from kdns.server.block_context import BlockContext, Services
from kdns.server.clusters import Cluster
from kdns.server.interfaces import addresses_by_interface
from kdns.server.sites import ANY_HOSTS, Site, server_label
from kdns.sources.certificates import Certificate
from kdns.sources.zonefiles import OnChange
from kdns.supervisor import Service, call_all
from kdns.wire.message import Key as DependencyKey
from kdns.wire.names import to_text

if TYPE_CHECKING:
    from kdns.plugins.view import View

logger: Final = logging.getLogger("kdns.server")


def plan(blocks: Iterable[ServerBlock]) -> tuple[Plan, ...]:
    """Read all directives. Raises ``ConfigError`` naming the line that cannot be used."""
    plans = tuple(chain.plan(block) for block in blocks)
    for planned in plans:
        for key in planned.block.keys:
            if key.scheme == "tls" and planned.first("tls") is None:
                text = f"tls://{to_text(key.zone)} needs the directive tls CERTIFICATE KEY"
                raise ConfigError(text, planned.block.location)
    return plans


def wanted_clusters(plans: Iterable[Plan]) -> Iterator[Access]:
    """The clusters that the plans' directives answer from."""
    for planned in plans:
        settings = planned.first("kubernetes")
        if isinstance(settings, kubernetes.Settings):
            yield settings.access(
                pods=getattr(planned.first("shortnames"), "pods", False),
                nodes=getattr(planned.first("k8s_external"), "node_ports", False),
            )


class Built(Struct, frozen=True):
    """A server block with its chain."""

    plan: Plan
    context: BlockContext
    handler: Handler
    observers: tuple[Observer, ...]
    hosts: tuple[str, ...]
    view: View | None = None


class Generation:
    """Responders by address, and all that is to run while they are in use."""

    def __init__(
        self,
        plans: tuple[Plan, ...],
        clusters: Mapping[Access, Cluster],
        metrics: Metrics,
        changed: OnChange,
    ) -> None:
        self.plans, self.clusters = plans, clusters
        self.certificates: dict[Site, Certificate] = {}
        self.feeds: tuple[Service, ...] = ()
        """What is to run while this generation is in use."""
        self.services, self.metrics = Services(clusters, metrics, changed), metrics
        self.blocks = tuple(self._build(planned) for planned in plans)
        self.responders: dict[Site, Responder] = {}
        self._derivations: dict[Site, derivation.Zone] = {}
        for block in self.blocks:
            for key in block.plan.block.keys:
                for host in block.hosts:
                    self._serve(block, key, Site(host, key.port, key.scheme))
        for site, responder in self.responders.items():
            self._explain(site, responder)
        certified = self.certificates.values()
        self.feeds = (
            *self.services.feeds,
            *(Service(f"tls {c.settings.certificate}", c.run, "certificate") for c in certified),
        )

    def late_clusters(self, waited: float) -> Iterator[Cluster]:
        """The clusters that are not synced though ``startup_timeout`` is over, in seconds."""
        settings = [planned.first("kubernetes") for planned in self.plans]
        times = [s.startup_timeout for s in settings if isinstance(s, kubernetes.Settings)]
        if waited > min(times, default=0.0):
            yield from (c for c in self.clusters.values() if not c.status.synced)

    def load_zones(self) -> None:
        """Read all files. Raises ``ZoneFileError`` for a broken zone file that was named."""
        for store in self.services.zone_stores:
            store.load()
        for file in self.services.text_files:
            file.load()
        for certificate in self.certificates.values():
            certificate.load()
        for work in self.services.preparations:
            work()

    def report(self) -> None:
        """Have the stages hand over what they counted."""
        for report in self.services.reporting:
            report()

    def describe(self, batch: Batch) -> None:
        """Add what is known of the clusters to questions that were watched."""
        shown = (Block(block.plan, block.context).cluster() for block in self.blocks)
        describe(batch, filter(None, shown))

    def forget(self, keys: Iterable[DependencyKey]) -> None:
        """Tell the stages that keep answers of a change."""
        call_all(partial(forget, keys) for forget in self.services.forgetful)

    def _build(self, planned: Plan) -> Built:
        hosts = _hosts(planned)
        context = BlockContext(planned.block, hosts, self.services)
        context.publish(chain.published(planned, context))
        handler = context.handler = chain.build(planned, context)
        logs = [s for s in planned.settings.get("log", ()) if isinstance(s, log.Settings)]
        observers = (log.observe(context, *logs),) if logs else ()
        return Built(planned, context, handler, observers, hosts, _view(planned, context))

    def _serve(self, block: Built, key: Key, site: Site) -> None:
        server = server_label(site.host, site.port, site.scheme)
        if site.scheme == "tls":
            self._certify(block.plan, site)
        responder = self.responders.get(site)
        if responder is None:
            responder = self.responders[site] = Responder(server, self.metrics)
            self._derivations[site] = derivation.Zone(responder)
        block.context.responder = responder
        label = block.view.name if block.view else ""
        served = Served(
            zone=key.zone,
            handler=block.handler,
            meter=self.metrics.meter(server, to_text(key.zone), label),
            view=block.view,
            observers=block.observers,
            directives=block.plan.order,
            named=frozenset(names_in(block.plan.block.directives)),
            notified=block.context.notified,
            recursion_available=_offers_recursion(block.plan),
            needs_task=not chain.SUPPORTED.keys() >= set(block.plan.order),
        )
        responder.add(served)
        blocks = self._derivations[site].blocks
        if (first := blocks.get((key.zone, None))) is not None:
            where, zone = block.plan.block.location, to_text(key.zone)
            text = "%s: %s is never asked; the block at %s has no view and takes every question"
            logger.warning(text, where, zone, first.plan.block.location)
        blocks[key.zone, block.view] = Block(block.plan, block.context)

    def _explain(self, site: Site, responder: Responder) -> None:
        """Questions about questions; server blocks for the same zone are asked before."""
        meter = self.metrics.meter(responder.server, to_text(derivation.ZONE))
        answer = self._derivations[site].answer
        responder.add(Served(derivation.ZONE, answer, meter))

    def _certify(self, planned: Plan, site: Site) -> None:
        """TLS comes before the question: who shares an address must share the certificate."""
        settings, directive = planned.first("tls"), next(planned.block.named("tls"))
        assert isinstance(settings, tls.Settings)
        found = tls.rooted_settings(settings, planned.block)
        known = self.certificates.setdefault(site, Certificate(found, directive))
        if known.settings != found:
            directive.fail(f"differs from that at {known.directive.location}, also for {site}")


def _view(planned: Plan, context: BlockContext) -> View | None:
    settings = planned.first("view")
    if settings is None:
        return None
    from kdns.plugins import view  # noqa: PLC0415 - as chain.SUPPORTED has it

    assert isinstance(settings, view.Settings)
    return view.View(settings, context)


def _offers_recursion(planned: Plan) -> bool:
    forwards = (*planned.settings.get("forward", ()), *planned.settings.get("proxy", ()))
    covered = forward.covers_root(forwards)
    return covered and not header.clears_ra(planned.settings.get("header", ()))


def _hosts(planned: Plan) -> tuple[str, ...]:
    binds = [s for s in planned.settings.get("bind", ()) if isinstance(s, bind.Settings)]
    return bind.resolve(binds, addresses_by_interface()) if binds else ANY_HOSTS
