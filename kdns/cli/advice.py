"""What to look at next, for each reason that a name has no answer: kubectl commands, or a sentence.

The reasons are the texts that servers send (Extended DNS Errors, ``records/explain.py``); where they
come from does not matter here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Final

from kdns.records.locations import dashed

_SERVICE: Final = r"Service (?P<ns>[^ /]+)/(?P<name>[^ /:]+)"
_SLICES: Final = "kubectl get endpointslices -n {ns} -l kubernetes.io/service-name={name} -o wide"
_SPEC: Final = "kubectl get service -n {ns} {name} -o yaml"

_ADVICE: Final = [
    (
        re.compile(r"a search list has appended to (?P<name>[^ ,]+), which exists"),
        ["write {name} with the cluster's zone and a final dot, or have fewer ndots (dnsConfig)"],
    ),
    (
        re.compile(
            r"no Service (?P<name>[^ ;]+) in namespace (?P<ns>[^ ;]+); there is one in (?P<other>[^ ,;]+)"
        ),
        ["kubectl get service -n {other} {name}", "ask for {name}.{other}"],
    ),
    (
        re.compile(r"no Service (?P<name>[^ ;]+) in namespace (?P<ns>[^ ;]+)"),
        [
            "kubectl get services -n {ns}",
            "kubectl get services -A --field-selector metadata.name={name}",
        ],
    ),
    (
        re.compile(r"Service \S+ is in namespace [^:]+: (?P<full>\S+)\.svc$"),
        ["ask for {full}"],
    ),
    (
        re.compile(r"namespace (?P<ns>[^ ]+) does not exist or is not exposed"),
        [
            "kubectl get namespace {ns} --show-labels",
            "look at namespaces and namespace_labels in the Corefile",
        ],
    ),
    (re.compile(r"no namespace (?P<ns>[^ ;]+)"), ["kubectl get namespaces"]),
    (
        re.compile(_SERVICE + r".*its selector matches no running Pod"),
        [
            "kubectl get service -n {ns} {name} -o jsonpath='{{.spec.selector}}'",
            "kubectl get pods -n {ns} --show-labels",
        ],
    ),
    (
        re.compile(_SERVICE + r".*it has no selector"),
        [_SLICES, "a Service without selector needs an EndpointSlice made by hand"],
    ),
    (
        # An endpoint without Pod is told by its address.
        re.compile(
            _SERVICE + r" exists, .*endpoints ready: (?P<pod>(?=[0-9.]*[a-z])[^ ,…:;]+)(?=[ ,…;]|$)"
        ),
        [
            _SLICES,
            "kubectl describe pod -n {ns} {pod}",
            "kubectl get events -n {ns} --field-selector involvedObject.name={pod}",
        ],
    ),
    (
        re.compile(
            _SERVICE + r" (exists, .*endpoints ready|has no ready endpoint|has no such name below)"
        ),
        [_SLICES],
    ),
    (
        re.compile(_SERVICE + r" has no port "),
        ["kubectl get service -n {ns} {name} -o jsonpath='{{.spec.ports}}'"],
    ),
    (
        re.compile(r"externalName leads to \S+ (nothing here answers for it|[A-Z]+)$"),
        [
            "an externalName is a full name, such as SERVICE.NAMESPACE.svc and the cluster's zone",
            "for names outside the Corefile needs a directive that has them, such as forward",
        ],
    ),
    (re.compile(_SERVICE + r"( is an ExternalName|: externalName)"), [_SPEC]),
    (
        re.compile(r"the aliases form a loop of .*\.svc\.|more than \d+ aliases.*\.svc\."),
        ["kubectl get services -A --field-selector spec.type=ExternalName"],
    ),
    (
        re.compile(r"no Pod in namespace (?P<ns>[^ ]+) has the address"),
        ["kubectl get pods -n {ns} -o wide"],
    ),
    (
        re.compile(r"no ready endpoint of one has this address"),
        ["kubectl get services -A", "kubectl get endpointslices -A"],
    ),
    (
        re.compile(r"not synced yet: (?P<resource>[a-z]+): .*forbidden"),
        ["kubectl auth can-i list {resource} -A --as system:serviceaccount:NAMESPACE:NAME"],
    ),
    (
        re.compile(r"not synced yet|not reachable since"),
        ["kubectl get --raw /readyz", "kubectl logs -n kube-system -l k8s-app=kube-dns --tail 20"],
    ),
    (
        # Of one or two labels, the reason why the cluster has none stands before it.
        re.compile(
            r"no directive of this server block answers|nothing here answers for (\S+\.){3}"
        ),
        [
            "names of the cluster end in its zone; -n NAMESPACE completes a short one as in a Pod there",
            "for all others the Corefile needs a directive that has them, such as forward",
        ],
    ),
    (
        re.compile(r"not of the form SERVICE\.NAMESPACE\.svc"),
        [
            "a Service's name is SERVICE.NAMESPACE.svc and the zone; in a Pod SERVICE.NAMESPACE will do"
        ],
    ),
]


def advice(reasons: Iterable[str]) -> list[str]:
    """Lines to run or to read, each once; none for reasons that say it all."""
    found: dict[str, None] = {}
    for reason in reasons:
        for pattern, lines in _ADVICE:
            if match := pattern.search(reason):
                # Names come over the network, and lines are made to be pasted into a shell.
                words = {key: shlex.quote(value) for key, value in match.groupdict().items()}
                found |= dict.fromkeys(line.format(**words) for line in lines)
                break
    return list(found)


_CALLED: Final = re.compile(r"has no ready endpoint called ([^ ;]+)")
_NOT_READY: Final = re.compile(
    r"(\S+) (?:not ready|terminating) \(Pod ([^)]+)\)(?: hostname ([^ ;]+))?"
)
_PODS: Final = 3
"""Named at most; one shows what all have."""


def not_ready(reasons: Iterable[str], objects: Iterable[str]) -> list[str]:
    """What to ask about Pods that are not ready; of the one whose endpoint is the matter, if one is.

    ``objects`` as ``KIND NAMESPACE/NAME: STATE``.
    """
    called = next((found[1].lower() for each in reasons if (found := _CALLED.search(each))), "")
    lines: dict[str, None] = {}
    for text in objects:
        what, _, state = text.partition(": ")
        kind, _, place = what.partition(" ")
        if kind != "EndpointSlice":
            continue
        namespace = shlex.quote(place.partition("/")[0])
        for address, pod, hostname in _NOT_READY.findall(state):
            if not called or called in {dashed(address), pod, hostname.lower()}:
                lines[f"kubectl describe pod -n {namespace} {shlex.quote(pod)}"] = None
    return list(lines)[:_PODS]
