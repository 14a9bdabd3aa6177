"""The order of the directives, and a server block's chain made from them.

The order is CoreDNS's compiled one (its plugin.cfg), whatever order a Corefile is written in.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from kdns.config.spelling import suggestion
from kdns.config.tree import ConfigError, Option, ServerBlock
from kdns.plugins import ignored, repeats, third_party
from kdns.plugins.interface import Context, Handler
from kdns.plugins.third_party import Plugin
from kdns.plugins.zones import served_zones
from kdns.wire.constants import ErrorCode, Rcode
from kdns.wire.message import Answer, Query
from kdns.wire.reasons import because

if TYPE_CHECKING:
    from kdns.plugins.metadata import Reader

ORDER: Final = (
    "root",
    "metadata",
    "geoip",
    "cancel",
    "proxyproto",
    "quic",
    "grpc_server",
    "https",
    "https3",
    "timeouts",
    "multisocket",
    "reload",
    "nsid",
    "bufsize",
    "bind",
    "debug",
    "explain",
    "trace",
    "ready",
    "health",
    "pprof",
    "shed",
    "prometheus",
    "errors",
    "log",
    "dnstap",
    "fault",
    "local",
    "dns64",
    "siit",
    "any",
    "no_aaaa",
    "chaos",
    "loadbalance",
    "tsig",
    "rewrite",
    "shortnames",
    "autopath",
    "acl",
    "cache",
    "header",
    "dnssec",
    "tls",
    "minimal",
    "template",
    "transfer",
    "dynupdate",
    "hosts",
    "route53",
    "azure",
    "clouddns",
    "k8s_external",
    "kubernetes",
    "file",
    "auto",
    "secondary",
    "etcd",
    "loop",
    "forward",
    "proxy",
    "grpc",
    "erratic",
    "whoami",
    "on",
    "sign",
    "view",
    "nomad",
)
"""Every directive of CoreDNS 1.15; ``proxy`` of older ones, which is read as ``forward``; and our own:
``shortnames``, which completes names before autopath would, ``fault``, in front of all that answers,
``no_aaaa``, and ``explain``, which takes no part in answering."""

_OWN: Final = (
    "acl any auto autopath bind bufsize cache chaos debug dns64 errors explain fault file forward "
    "header health hosts k8s_external kubernetes loadbalance local log loop metadata minimal "
    "no_aaaa nsid prometheus proxy ready reload rewrite root secondary shortnames template tls "
    "transfer view whoami"
)

SUPPORTED: Final = {
    **{name: f"kdns.plugins.{name}" for name in _OWN.split()},
    **dict.fromkeys(ignored.DIRECTIVES, "kdns.plugins.ignored"),
}
"""The module of each directive that there is. It is imported when a Corefile first names one: all of them
would take a part of the time to start."""

_ZONES: Final = frozenset({"file", "auto", "secondary"})

_INSTEAD: Final = {
    "erratic": "use fault",
    "grpc": "use forward with addresses or tls://",
    "grpc_server": "serve dns:// or tls://",
    "https": "serve dns:// or tls://",
    "https3": "serve dns:// or tls://",
    "quic": "serve dns:// or tls://",
}
"""What serves the purpose here of a directive that is not there."""

_GONE: Final = {"federation": "", "kubernetai": "kubernetes", "upstream": ""}


class Plan(Struct, frozen=True):
    """A server block with its directives read."""

    block: ServerBlock
    settings: dict[str, tuple[object, ...]]
    """By directive, in plugin order; several where one may stand more than once."""
    repeated: tuple[str, ...] = ()
    """What is to be said of those that stand more often than they count."""

    @property
    def order(self) -> tuple[str, ...]:
        """The directives in the order in which they are asked."""
        return tuple(self.settings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was accepted without effect, each with file and line."""
        found = [getattr(s, "warnings", ()) for group in self.settings.values() for s in group]
        return (*self.repeated, *(text for texts in found for text in texts))

    @property
    def ends_with_zones(self) -> bool:
        """Whether no directive is asked after those that answer from zones."""
        answering = [name for name in self.settings if hasattr(_module(name), "wrap")]
        return bool(answering) and answering[-1] in _ZONES

    def first(self, name: str) -> object | None:
        """The settings of a directive, if the block has it."""
        return next(iter(self.settings.get(name, ())), None)


def plan(block: ServerBlock) -> Plan:
    """Read a block's directives. Raises ``ConfigError`` naming the line that cannot be used."""
    others = {each.name: plugin for each in block.directives if (plugin := _check_known(each))}
    block, repeated = repeats.settle(block)
    settings: dict[str, tuple[object, ...]] = {}
    for name in third_party.ordered(ORDER, others.values()) if others else ORDER:
        directives = list(block.named(name))
        if directives:
            settings[name] = _settings(_module(name), directives)
    return Plan(block, settings, repeated)


def _module(name: str) -> ModuleType | Plugin:
    if name in SUPPORTED:
        return import_module(SUPPORTED[name])
    found = third_party.find(name)
    assert found is not None, "the plan was made of known ones"
    return found


def _settings(module: ModuleType | Plugin, directives: Sequence[Option]) -> tuple[object, ...]:
    """One for each directive, or one for all where they act together (``combine``)."""
    found = tuple(module.parse(directive) for directive in directives)
    combine = getattr(module, "combine", None)
    return (combine(found),) if combine else found


def _check_known(directive: Option) -> Plugin | None:
    """One that another package brings; None for ours. Raises ``ConfigError`` for one of nobody."""
    name, location = directive.name, directive.location
    if name in SUPPORTED:
        return None
    try:
        if name not in ORDER and (plugin := third_party.find(name)) is not None:
            return plugin
    except ConfigError as error:
        raise ConfigError(str(error), location) from error
    if name in ORDER:
        instead = _INSTEAD.get(name, "remove it")
        raise ConfigError(f"directive {name} of CoreDNS is not supported; {instead}", location)
    if name in _GONE:
        instead = f"; use {_GONE[name]}" if _GONE[name] else "; remove it"
        raise ConfigError(f"directive {name} is gone from CoreDNS{instead}", location)
    hint = suggestion(name, SUPPORTED) or f"; known are {', '.join(sorted(SUPPORTED))}"
    raise ConfigError(f"unknown directive {name!r}{hint}", location)


def build(planned: Plan, context: Context) -> Handler:
    """Make the chain: each stage knows only the next."""
    handler: Handler = end_of_zones if planned.ends_with_zones else end_of_chain
    stages: Sequence[tuple[str, object]] = [
        (name, settings) for name, group in planned.settings.items() for settings in group
    ]
    for name, settings in reversed(stages):
        wrap = getattr(_module(name), "wrap", None)
        if wrap is not None:
            context.directive = name
            handler = wrap(settings, handler, context)
    return handler


def published(planned: Plan, context: Context) -> Reader | None:
    """What the block's directives publish about questions; None without ``metadata``."""
    settings = planned.first("metadata")
    if settings is None:
        return None
    from kdns.plugins import metadata  # noqa: PLC0415 - see SUPPORTED

    assert isinstance(settings, metadata.Settings)
    publishers = {
        name: publish(group[0], context)
        for name, group in planned.settings.items()
        if (publish := getattr(_module(name), "publish", None))
    }
    return metadata.reader(served_zones(settings.zones, context), publishers)


async def end_of_chain(query: Query) -> Answer:
    """Nobody took the question: SERVFAIL, as the peer has it, with the reason."""
    return _nobody(query, Rcode.SERVFAIL)


async def end_of_zones(query: Query) -> Answer:
    """The name is in no zone of the block: REFUSED, and the asker's resolver tries another server."""
    return _nobody(query, Rcode.REFUSED)


def _nobody(query: Query, rcode: Rcode) -> Answer:
    text = "no directive of this server block answers for the name"
    errors = because(query, ErrorCode.NOT_AUTHORITATIVE, text)
    return Answer(rcode, authoritative=False, errors=errors, handled=False)
