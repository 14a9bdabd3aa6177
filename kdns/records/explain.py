"""Why an answer is negative, in words that fit an Extended DNS Error (RFC 8914).

Only the reason that ``lookup`` returned is put into words here; nothing is decided anew. Texts stay
under 200 bytes and never name a namespace that is not exposed. What a text mentions beyond the
question adds keys, so that a kept answer never tells of something that has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Final

from kdns.records.index import Index
from kdns.records.lookup import is_exposed
from kdns.records.objects import Port
from kdns.records.outcome import Asked, Outcome, Reason, View
from kdns.wire.message import Key

LIMIT: Final = 200
"""Bytes of text: dig prints it on one line, and a reply without EDNS padding stays below 512."""

_ESCAPED: Final = {code: f"\\{code:03d}" for code in (*range(32), *range(127, 160))}
"""A label may hold control characters, which must not reach anybody's terminal."""

_LOOKED_AT: Final = 200
_COMPARED: Final = 32
_SLIPS: Final = 2
"""Bounds of the search for the name that was meant: names seen, names compared, letters more or less."""

_NAMED: Final = 3  # how many names a text lists before it says "…"


def explain(index: Index, view: View, outcome: Outcome) -> tuple[str, tuple[Key, ...]]:
    """The text for a negative outcome and the further keys that it depends on."""
    asked = outcome.asked
    if outcome.reason is None or asked is None:
        return "", ()
    keys: tuple[Key, ...] = ()
    match outcome.reason:
        case Reason.NO_SERVICE:
            text, keys = _no_service(index, view, asked)
        case Reason.NO_NAMESPACE:
            text = _no_namespace(view, asked)
        case Reason.NO_READY_ENDPOINT:
            text = _no_ready(index, asked)
        case Reason.NO_SUCH_PORT:
            text = _no_port(index, asked)
        case Reason.NO_SUCH_ENDPOINT:
            text = f"Service {_full(asked)} has no ready endpoint called {asked.endpoint or 'so'}"
        case reason:
            text = _FIXED[reason].format(asked=asked, service=_full(asked))
    return _cut(text), keys


_FIXED: Final = {
    Reason.NO_SUCH_TYPE: "the name exists but has no record of this type",
    Reason.EMPTY_NON_TERMINAL: "only names below this one have records",
    Reason.NOT_A_KUBERNETES_NAME: "not of the form SERVICE.NAMESPACE.svc or ADDRESS.NAMESPACE.pod",
    Reason.NO_ENDPOINT_IN_ZONE: "Service {service} has no ready endpoint in this topology zone",
    Reason.BELOW_EXTERNAL_NAME: "Service {service} is an ExternalName: it has no names below it",
    Reason.EXTERNAL_NAME_IS_ADDRESS: (
        "Service {service}: externalName must be a domain name, it is an IP address or not valid;"
        " use a Service without selector and an EndpointSlice instead"
    ),
    Reason.EXTERNAL_NAME_LOOP: "Service {service}: its externalName leads back to itself",
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


def _cut(text: str) -> str:
    encoded = text.translate(_ESCAPED).encode(errors="replace")
    if len(encoded) > LIMIT:
        encoded = encoded[: LIMIT - 3].decode(errors="ignore").encode() + "…".encode()
    return encoded.decode()


def _list(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _no_service(index: Index, view: View, asked: Asked) -> tuple[str, tuple[Key, ...]]:
    namespace, name = asked.namespace, asked.service
    text = f"no Service {name} in namespace {namespace}"
    if name in {"*", "any"}:
        return text + "; wildcards ended with CoreDNS 1.9", ()
    keys: tuple[Key, ...] = (("named", name), ("namespaces",), ("svc", name, asked.endpoint))
    # redis.prod with default.svc appended by a search list arrives as endpoint redis of Service prod
    other = index.service(name, asked.endpoint) if asked.endpoint else None
    if other is not None and is_exposed(index, view, name):
        hint = f"; a search list has appended to {asked.endpoint}.{name}, which exists (ndots)"
        return text + hint, keys
    elsewhere = [ns for ns in index.namespaces_with(name) if is_exposed(index, view, ns)]
    if elsewhere:
        return text + f"; there is one in {_list(sorted(elsewhere))}", keys
    near = get_close_matches(
        name, _likely(name, index.services.get(namespace, {})), n=_NAMED, cutoff=0.75
    )
    return text + (f"; did you mean {_list(near)}?" if near else ""), (*keys, ("names", namespace))


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


def _no_namespace(view: View, asked: Asked) -> str:
    if view.namespaces or view.labelled:
        return f"namespace {asked.namespace} does not exist or is not exposed here"
    return f"no namespace {asked.namespace}"


def _no_ready(index: Index, asked: Asked) -> str:
    service = index.service(asked.namespace, asked.service)
    total = sum(len(piece.endpoints) for piece in index.slices(asked.namespace, asked.service))
    kind = "headless, " if service and service.headless else ""
    text = f"Service {_full(asked)} exists, {kind}0 of {total} endpoints ready"
    if not total and service:
        text += "; its selector matches no Pod" if service.selects else "; it has no selector"
    waiting = [
        endpoint.pod or endpoint.addresses[0]
        for piece in index.slices(asked.namespace, asked.service)
        for endpoint in piece.endpoints
        if endpoint.addresses
    ]
    return text + (f": {_list(waiting)}" if waiting else "")


def _no_port(index: Index, asked: Asked) -> str:
    service = index.service(asked.namespace, asked.service)
    ports: dict[Port, None] = dict.fromkeys(service.ports if service else ())
    if service and service.headless:
        pieces = index.slices(asked.namespace, asked.service)
        ports = dict.fromkeys(port for piece in pieces for port in piece.ports)
    named = [f"_{port.name}._{port.protocol}" for port in ports if port.name]
    text = f"Service {_full(asked)} has no port _{asked.port}._{asked.protocol}"
    if named:
        return text + f"; it has {_list(named)}"
    return text + "; none of its ports has a name"
