"""Why an answer is negative, in words that fit an Extended DNS Error (RFC 8914).

Only the reason that ``lookup`` returned is put into words here; nothing is decided anew. Texts stay
under 200 bytes and never name what is not exposed, or what the client may not query. What a text
mentions beyond the question adds keys, so that a cached answer never tells of something that has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Final, TypeAlias

from kdns.records.client_view import ClientView, Permits, everything
from kdns.records.index import Index
from kdns.records.locations import endpoint_label
from kdns.records.lookup import is_exposed
from kdns.records.objects import Endpoint, Kind, Port
from kdns.records.outcome import Asked, Outcome, Reason, View
from kdns.records.search import artefact
from kdns.records.services import PROTOCOLS
from kdns.wire.constants import Type
from kdns.wire.message import Key
from kdns.wire.names import Name
from kdns.wire.reasons import cut

_Explained: TypeAlias = tuple[str, tuple[Key, ...]]

_LOOKED_AT: Final = 200
_COMPARED: Final = 32
_SLIPS: Final = 2
"""Bounds of the search for the name that was meant: names seen, names compared, letters more or less."""

WILDCARDS: Final = frozenset({"*", "any"})
"""Labels that CoreDNS took for any before 1.9."""

_NAMED: Final = 3  # how many names a text lists before it says "…"


def explain(
    index: Index,
    view: View,
    outcome: Outcome,
    zone: Name | None = None,
    permits: Permits = everything,
    *,
    searches: bool = True,
) -> _Explained:
    """The text for a negative outcome and the further keys that it depends on.

    ``zone`` is the one that the name was found in (default: the primary); ``permits`` says which other
    names the text may mention, ``searches`` whether names that are much alike are searched for.
    """
    asked = outcome.asked
    if outcome.reason is None or asked is None:
        return "", ()
    keys: tuple[Key, ...] = ()
    zone = zone or view.primary
    if outcome.reason is Reason.NO_SUCH_TYPE:
        text = no_such_type(outcome.has)
    elif outcome.reason in _SPECIAL:
        shown = ClientView(index, view, ("svc", *zone), permits, searches)
        text, keys = _SPECIAL[outcome.reason](shown, asked)
    else:
        text = _FIXED[outcome.reason].format(asked=asked, service=_full(asked))
    if ";" not in text:
        text += _lengthened(view, asked, outcome.reason, zone)
    return cut(text), keys


def no_such_type(has: Iterable[Type]) -> str:
    """For NODATA at a name that has records of other types."""
    only = ", ".join(kind.name for kind in has)
    return "the name exists but has no record of this type" + (f", only {only}" if only else "")


def remark(index: Index, view: View, outcome: Outcome) -> str:
    """What is surprising about a positive outcome: an address at which nobody answers."""
    asked = outcome.asked
    if asked is None or not asked.service or asked.kind != "svc" or asked.endpoint:
        return ""
    if asked.title != "Service":  # what a ServiceImport's address leads to is not known here
        return ""
    closing = False
    for piece in index.slices(asked.namespace, asked.service):  # mostly there is one, and it is
        for each in piece.endpoints:
            if each.ready:
                return ""
            closing = closing or each.terminating
    service = index.service(asked.namespace, asked.service)
    known = view.endpoints and Kind.SLICE in index.synced
    if not known or service is None or not service.cluster_ips:
        return ""
    # Where no endpoint is ready, kube-proxy goes on with those that terminate and still serve.
    then = "" if closing else "; nobody answers at its ClusterIP"
    return cut(_no_ready(index, asked) + then)


def _lengthened(view: View, asked: Asked, reason: Reason, zone: Name) -> str:
    """The hint that a search list has made the name out of another one."""
    found = artefact(asked, reason, view.zones)
    if found is None:
        return ""
    domain = ".".join((*found.appended, *zone))
    original = ".".join(found.original)
    if found.certain:
        return f"; a search list has appended {domain} to {original} (ndots)"
    return f"; if a search list appended {domain}, {original} is what was meant (ndots)"


_FIXED: Final = {
    Reason.EMPTY_NON_TERMINAL: "only names below this one have records",
    Reason.NOT_A_KUBERNETES_NAME: "not of the form SERVICE.NAMESPACE.svc or ADDRESS.NAMESPACE.pod",
    Reason.NO_ENDPOINT_IN_ZONE: "Service {service} has no ready endpoint in this topology zone",
    Reason.BELOW_EXTERNAL_NAME: "Service {service} is an ExternalName: it has no names below it",
    Reason.EXTERNAL_NAME_IS_ADDRESS: (
        "Service {service}: externalName must be a domain name, it is an IP address or not valid;"
        " use a Service without selector and an EndpointSlice instead"
    ),
    Reason.PODS_DISABLED: "names of Pods are off here (option pods disabled)",
    Reason.POD_NAME_IS_NO_ADDRESS: (
        "the Pod's label must be its address with dashes, such as 10-0-0-1, not a Pod name"
    ),
    Reason.NO_POD_AT_ADDRESS: "no Pod in namespace {asked.namespace} has the address {asked.service}",
    Reason.NO_NAME_AT_ADDRESS: "no Service and no ready endpoint of one has this address",
    Reason.ENDPOINTS_NOT_WATCHED: "endpoints are not watched here (option noendpoints)",
}


def _full(asked: Asked) -> str:
    return f"{asked.namespace}/{asked.service}"


def listed(names: list[str]) -> str:
    """The first few, and whether there are more."""
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _no_service(shown: ClientView, asked: Asked) -> _Explained:
    namespace, name = asked.namespace, asked.service
    text = f"no {asked.title} {name} in namespace {namespace}"
    if name in WILDCARDS:
        return text + "; wildcards ended with CoreDNS 1.9", ()
    keys: tuple[Key, ...] = (("named", name), ("namespaces",), ("svc", name, asked.endpoint))
    # redis.prod with default.svc appended by a search list arrives as endpoint redis of Service prod
    if asked.endpoint and shown.has_service(name, asked.endpoint):
        hint = f"; a search list has appended to {asked.endpoint}.{name}, which exists (ndots)"
        return text + hint, keys
    if elsewhere := _namespaces_with(shown, name):
        return text + f"; there is one in {listed(elsewhere)}", keys
    if not shown.searches:
        return text, keys
    names = shown.index.services.get(namespace, {})
    # In front of what a search list has appended stand more labels: then nothing like it is meant.
    near = _near(name, names) or ([] if asked.endpoint else _lengthier(name, names))
    near = [each for each in near if shown.may_name(namespace, each)]
    return text + _meant(near), (*keys, ("names", namespace))


def _namespaces_with(shown: ClientView, name: str) -> list[str]:
    """The namespaces that have a Service of this name, and may be named."""
    return sorted(ns for ns in shown.index.namespaces_with(name) if shown.may_name(ns, name))


def _lengthier(name: str, names: Iterable[str]) -> list[str]:
    """Those that have words more, or fewer: ``redis-master`` where ``redis`` was asked for."""
    alike = [each for each in islice(names, _LOOKED_AT) if name in each or each in name]
    words = f"-{name}-"
    return sorted(each for each in alike if f"-{each}-" in words or words in f"-{each}-")


def _meant(names: list[str]) -> str:
    return f"; did you mean {listed(names)}?" if names else ""


def _near(name: str, names: Iterable[str]) -> list[str]:
    """Those that are much like it: few letters more, less or different, or the same in another order."""
    likely, letters = _likely(name, names), sorted(name)
    swapped = [each for each in likely if sorted(each) == letters]
    return swapped or get_close_matches(name, likely, n=_NAMED, cutoff=0.75)


def _likely(name: str, names: Iterable[str]) -> list[str]:
    """Names worth comparing: of much the same length, with the same first or last letter.

    Few, since comparing takes microseconds and anybody may ask: it was the most of a miss.
    """
    first, last = name[:1], name[-1:]
    shortest, longest = len(name) - _SLIPS, len(name) + _SLIPS
    likely = (
        each
        for each in islice(names, _LOOKED_AT)
        if shortest <= len(each) <= longest and (each[:1] == first or each[-1:] == last)
    )
    return list(islice(likely, _COMPARED))


def _no_namespace(shown: ClientView, asked: Asked) -> _Explained:
    namespace, name, view = asked.namespace, asked.service, shown.view
    hidden = view.namespaces or view.labelled
    text = f"no namespace {namespace}"
    if hidden:
        text = f"namespace {namespace} does not exist or is not exposed here"
    keys: tuple[Key, ...] = (("namespaces",), ("ns", name), ("svc", name, namespace))
    if name and shown.has_service(name, namespace):
        return f"{text}; Service {namespace} is in namespace {name}: {namespace}.{name}.svc", keys
    if not name and asked.kind == "svc":
        keys += (("named", namespace),)
        if holders := _namespaces_with(shown, namespace):
            found = f"{asked.title} {namespace} is in namespace {listed(holders)}"
            return f"{text}; {found}: {namespace}.{holders[0]}.svc", keys
    return text + _similar_namespaces(shown, namespace), keys


def _similar_namespaces(shown: ClientView, namespace: str) -> str:
    near = _near(namespace, shown.index.namespaces) if shown.searches else []
    return _meant([each for each in near if shown.has_namespace(each)])


def missing_outside(shown: ClientView, asked: Asked) -> _Explained:
    """Why there is no Service or namespace for a name seen from outside the cluster, and its keys."""
    if is_exposed(shown.index, shown.view, asked.namespace):
        text, keys = _no_service(shown, asked)
        return cut(text), keys
    text = f"there is no namespace {asked.namespace}"
    return cut(text + _similar_namespaces(shown, asked.namespace)), (("namespaces",),)


def _no_form(shown: ClientView, asked: Asked) -> _Explained:
    text = _FIXED[Reason.NOT_A_KUBERNETES_NAME]
    if len(asked.labels) < 2:
        return text, ()
    name, namespace = asked.labels[-2:]
    keys = (("ns", namespace), ("svc", namespace, name))
    if shown.has_service(namespace, name):
        text += f"; did you mean {name}.{namespace}.svc?"
    return text, keys


def _no_endpoint(shown: ClientView, asked: Asked) -> _Explained:
    if not asked.endpoint:
        return _no_form_below(shown, asked)
    text = f"{asked.title} {_full(asked)} has no ready endpoint called {asked.endpoint}"
    if asked.cluster:
        return text, ()
    if asked.endpoint[0] == "_":
        return _no_port(shown, asked)
    ready: list[str] = []
    for label, endpoint in islice(_labelled(shown.index, shown.view, asked), _LOOKED_AT):
        if label == asked.endpoint:
            return text + f"; it is {'terminating' if endpoint.terminating else 'not ready'}", ()
        if endpoint.ready:
            ready.append(label)
    ready = [each for each in ready if shown.may_name(asked.namespace, asked.service, each)]
    return text + (f"; ready: {listed(ready)}" if ready else ""), ()


def _labelled(index: Index, view: View, asked: Asked) -> Iterator[tuple[str, Endpoint]]:
    for piece in index.slices(asked.namespace, asked.service):
        for endpoint in piece.endpoints:
            for address in endpoint.addresses:
                yield endpoint_label(endpoint, address, view.endpoint_pod_names).lower(), endpoint


def _none_ready(shown: ClientView, asked: Asked) -> _Explained:
    return _no_ready(shown.index, asked), ()


def _no_ready(index: Index, asked: Asked) -> str:
    service = index.service(asked.namespace, asked.service)
    # A Pod with addresses of both families is in a slice for each.
    waiting: dict[str, str] = {}
    for piece in index.slices(asked.namespace, asked.service):
        for endpoint in piece.endpoints:
            if name := endpoint.pod or "".join(endpoint.addresses[:1]):
                waiting.setdefault(name, name + (" (terminating)" * endpoint.terminating))
    kind = "headless, " if service and service.headless else ""
    text = f"{asked.title} {_full(asked)} exists, {kind}0 of {len(waiting)} endpoints ready"
    if not waiting and service and asked.title == "Service":
        # Pods without address, and such as have ended, are no endpoints.
        matches = "its selector matches no running Pod"
        text += f"; {matches if service.selects else 'it has no selector'}"
    return text + (f": {listed(list(waiting.values()))}" if waiting else "")


def _no_form_below(shown: ClientView, asked: Asked) -> _Explained:
    index, view = shown.index, shown.view
    forms = ["ENDPOINT", "_PORT._PROTOCOL"]
    if asked.title != "Service":
        forms[0] = "ENDPOINT.CLUSTER"
    elif view.zonal and (service := index.service(asked.namespace, asked.service)):
        forms += ["ZONE.pin._zone", "ZONE.prefer._zone"] * service.headless
    text = f"{asked.title} {_full(asked)} has no such name below it; there are {', '.join(forms)}"
    return text, ()


def _no_port(shown: ClientView, asked: Asked) -> _Explained:
    index = shown.index
    is_written_so = any(label.startswith("_") for label in asked.labels[:2])
    if asked.protocol not in {None, "", *PROTOCOLS} and not is_written_so:
        return _no_form_below(shown, asked)
    service = index.service(asked.namespace, asked.service)
    ports: dict[Port, None] = dict.fromkeys(service.ports if service else ())
    if service and service.headless:
        pieces = index.slices(asked.namespace, asked.service)
        ports = dict.fromkeys(port for piece in pieces for port in piece.ports)
    labels = [(f"_{port.name}", f"_{port.protocol}") for port in ports if port.name]
    named = [pair for pair in labels if shown.may_name(asked.namespace, asked.service, *pair)]
    port = asked.endpoint or f"_{asked.port}._{asked.protocol}"
    text = f"{asked.title} {_full(asked)} has no port {port}"
    if named:
        text += f"; it has {listed(['.'.join(pair) for pair in named])}"
    return text if labels else text + "; none of its ports has a name", ()


_SPECIAL: Final[dict[Reason, Callable[[ClientView, Asked], _Explained]]] = {
    Reason.NO_SERVICE: _no_service,
    Reason.NO_NAMESPACE: _no_namespace,
    Reason.NOT_A_KUBERNETES_NAME: _no_form,
    Reason.NO_READY_ENDPOINT: _none_ready,
    Reason.NO_SUCH_PORT: _no_port,
    Reason.NO_SUCH_ENDPOINT: _no_endpoint,
}
