"""The options of the ``kubernetes`` directive: CoreDNS's, and some of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from kdns.config import durations
from kdns.config.access import Access, ApiAccess, ManifestAccess
from kdns.config.keys import expand_zone
from kdns.config.tree import ConfigError, Option, ServerBlock
from kdns.plugins.options import read_number
from kdns.plugins.zones import Fallthrough, parse_fallthrough, zones_of
from kdns.records import selectors
from kdns.records.outcome import PodMode, View
from kdns.wire.names import Name, to_text

MAX_TTL: Final = 3600  # seconds; the peer's limit
STARTUP_TIMEOUT: Final = 5.0  # seconds; the peer's default


class Settings(Struct, frozen=True):
    """What the directive says, as written; ``view`` and ``access`` are made from it."""

    zones: tuple[str, ...] = ()
    endpoint: str = ""
    tls: tuple[str, ...] = ()
    kubeconfig: str = ""
    context: str = ""
    manifests: str = ""
    snapshot: str = ""
    namespaces: frozenset[str] = frozenset()
    namespace_labels: str = ""
    labels: str = ""
    pods: PodMode = PodMode.DISABLED
    endpoint_pod_names: bool = False
    endpoints: bool = True
    zonal: bool = False
    multicluster: tuple[str, ...] = ()
    ttl: int = 5
    ignore_empty: bool = False
    max_answers: int = 0
    """Records in one answer about a headless Service, which then changes; 0 for all of them."""
    fallthrough: Fallthrough = Fallthrough()
    fallthrough_unsynced: bool = False
    """Whether names fall through also while nobody knows yet if they are in the cluster."""
    startup_timeout: float = STARTUP_TIMEOUT
    """Seconds after which a missing first sync is reported; the sockets listen at once."""
    warnings: tuple[str, ...] = ()
    directive: Option = Option("kubernetes")

    def view(self, block: ServerBlock) -> View:
        """How answers are shaped. Raises ``ConfigError`` when every zone is a reverse one."""
        return View(
            zones=self.zone_names(block),
            ttl=self.ttl,
            namespaces=self.namespaces,
            labelled=bool(self.namespace_labels),
            pods=self.pods,
            endpoint_pod_names=self.endpoint_pod_names,
            endpoints=self.endpoints,
            zonal=self.zonal,
            multicluster=self.multicluster_names(block),
            ignore_empty=self.ignore_empty,
        )

    def zone_names(self, block: ServerBlock) -> tuple[Name, ...]:
        zones = zones_of(self.directive, self.zones, block)
        if all(zone[-1:] == ("arpa",) for zone in zones):
            self.directive.fail("needs a zone that is not a reverse zone, such as cluster.local")
        return zones

    def multicluster_names(self, block: ServerBlock) -> tuple[Name, ...]:
        zones = self.zone_names(block)
        place = next(
            (o for o in self.directive.options if o.name == "multicluster"), self.directive
        )
        names = [zone for text in self.multicluster for zone in expand_zone(text, place.location)]
        for name in names:
            if name not in zones:
                known = ", ".join(map(to_text, zones))
                place.fail(
                    f"{to_text(name)} must be a zone of kubernetes as well; those are {known}"
                )
        return tuple(names)

    def access(self, *, pods: bool = False, nodes: bool = False) -> Access:
        """Where the objects come from; with Pods or Nodes when another directive needs them."""
        pods = pods or self.pods is PodMode.VERIFIED
        if self.manifests:
            return ManifestAccess(
                *(self.manifests, self.labels, self.namespace_labels),
                *(pods, self.endpoints, nodes, bool(self.multicluster)),
            )
        return ApiAccess(
            self.endpoint,
            self.tls,
            self.kubeconfig,
            self.context,
            self.labels,
            self.namespace_labels,
            pods,
            self.endpoints,
            self.snapshot,
            nodes,
            bool(self.multicluster),
        )


def parse(directive: Option) -> Settings:
    """Read the directive. Raises ``ConfigError`` naming the line that cannot be used."""
    values: dict[str, object] = {"zones": directive.args, "directive": directive}
    listed = [option.args for option in directive.options if option.name == "namespaces"]
    values["namespaces"] = frozenset(name for args in listed for name in args)
    warnings: list[str] = []
    for option in directive.options:
        if option.name in _IGNORED:
            warnings.append(f"{option.location}: kubernetes: {option.name} {_IGNORED[option.name]}")
        elif option.name in _OPTIONS:
            values |= _OPTIONS[option.name](option)
        else:
            near = ", ".join(sorted(_OPTIONS))
            raise ConfigError(
                f"kubernetes: unknown option {option.name!r}; known are {near}", option.location
            )
    settings = msgspec.structs.replace(Settings(warnings=tuple(warnings)), **values)
    _check_together(directive, settings)
    return settings


_IGNORED: Final = {
    "upstream": "has no effect since CoreDNS 1.7 and can be removed",
    "resyncperiod": "has no effect since CoreDNS 1.5 and can be removed",
    "transfer": "has no effect here; zone transfers have a directive of their own",
    "federation": "is gone from Kubernetes and can be removed",
    "apiserver_qps": "has no effect: few requests are made, each resource is listed once and watched",
    "apiserver_burst": "has no effect: few requests are made",
    "apiserver_max_inflight": "has no effect: one request a resource is under way at a time",
}


def _check_together(directive: Option, settings: Settings) -> None:
    if settings.namespaces and settings.namespace_labels:
        directive.fail("namespaces and namespace_labels cannot both be set")
    if settings.zonal and not settings.endpoints:
        directive.fail("zonal needs the endpoints; remove noendpoints")
    places = [name for name in ("endpoint", "kubeconfig", "manifests") if getattr(settings, name)]
    if "manifests" in places and len(places) > 1:
        directive.fail(f"{' and '.join(places)} cannot be used together")
    if settings.manifests and settings.snapshot:
        directive.fail("snapshot is of an API server; manifests are on disk already")


_Values = dict[str, object]


def _flag(field: str, value: bool = True) -> Callable[[Option], _Values]:
    def read(option: Option) -> _Values:
        option.none()
        return {field: value}

    return read


def _one(field: str) -> Callable[[Option], _Values]:
    return lambda option: {field: option.one()}


def _selector(field: str) -> Callable[[Option], _Values]:
    def read(option: Option) -> _Values:
        if not option.args:
            option.fail("takes a label selector, such as environment in (production, staging)")
        text = " ".join(option.args)
        try:
            selectors.parse(text)
        except ValueError as error:
            option.fail(str(error))
        return {field: text}

    return read


def _endpoint(option: Option) -> _Values:
    if not option.args:
        option.fail("takes the URL of an API server")
    return {"endpoint": option.args[0]}


def _tls(option: Option) -> _Values:
    if len(option.args) != 3:
        option.fail("takes three paths: certificate, key and CA")
    return {"tls": option.args}


def _kubeconfig(option: Option) -> _Values:
    if len(option.args) not in {1, 2}:
        option.fail("takes a path and, if wanted, a context")
    return {"kubeconfig": option.args[0], "context": "".join(option.args[1:])}


def _namespaces(option: Option) -> _Values:
    if not option.args:
        option.fail("takes at least one namespace")
    return {}  # as with the peer, several lines add up


def _pods(option: Option) -> _Values:
    try:
        return {"pods": PodMode(option.one())}
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        option.fail(f"must be disabled, insecure or verified, not {option.args[0]!r}")


def _ttl(option: Option) -> _Values:
    return {"ttl": read_number(option, option.one(), 0, MAX_TTL, "seconds")}


def _max_answers(option: Option) -> _Values:
    return {"max_answers": read_number(option, option.one(), 1, 99999, "records")}


def _ignore(option: Option) -> _Values:
    if option.args not in {(), ("empty_service",)}:
        option.fail(f"knows only empty_service, not {' '.join(option.args)!r}")
    return {"ignore_empty": bool(option.args)}


def _startup_timeout(option: Option) -> _Values:
    return {"startup_timeout": durations.read(option, option.one())}


def _multicluster(option: Option) -> _Values:
    if not option.args:
        option.fail("takes the zones of ServiceImports, such as clusterset.local")
    return {"multicluster": option.args}


_OPTIONS: Final[dict[str, Callable[[Option], _Values]]] = {
    "endpoint": _endpoint,
    "tls": _tls,
    "kubeconfig": _kubeconfig,
    "manifests": _one("manifests"),
    "snapshot": _one("snapshot"),
    "namespaces": _namespaces,
    "namespace_labels": _selector("namespace_labels"),
    "labels": _selector("labels"),
    "pods": _pods,
    "endpoint_pod_names": _flag("endpoint_pod_names"),
    "noendpoints": _flag("endpoints", False),
    "zonal": _flag("zonal"),
    "ttl": _ttl,
    "max_answers": _max_answers,
    "ignore": _ignore,
    "fallthrough": lambda option: {"fallthrough": parse_fallthrough(option)},
    "fallthrough_unsynced": _flag("fallthrough_unsynced"),
    "startup_timeout": _startup_timeout,
    "multicluster": _multicluster,
}
