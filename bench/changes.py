"""Changes of Services, slices and namespaces by requests, each with the answers that must follow."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from bench import cluster, packets
from tests.cluster.rest import Api, ApiError

_SUBJECTS: Final = 600
_STORED: Final = frozenset(map(cluster.cluster_ip, range(cluster.SMALL.services)))
"""Addresses that the API server may give a second time: it did not see them given."""
_NAMESPACE_EVERY: Final = 3.0
_OUTSIDE_ADDRESS: Final = "192.0.2.1"


class Check:
    """A question and its answer from ``since`` on, the time of the API server's reply."""

    def __init__(
        self,
        name: str,
        rtype: int,
        answers: frozenset[str],
        rcode: str = "",
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.rtype, self.answers, self.rcode, self.done = (
            name,
            rtype,
            answers,
            rcode,
            done,
        )
        self.since = self.next_look = time.monotonic()
        self.asked = self.was_right = self.reported = self.is_plain = False
        self.after = ""
        """The change, for messages."""

    def __str__(self) -> str:
        wanted = f"{self.rcode} {sorted(self.answers)}".strip()
        return f"after {self.after}, {self.name} type {self.rtype} should be {wanted}"


class Subject:
    """A Service that is changed, and what it is now."""

    def __init__(self, number: int) -> None:
        self.name = f"soak-{number}"
        self.full = f"{self.name}.{cluster.DOMAIN}."
        self.type = ""
        """"" for none, else ClusterIP, Headless, ExternalName."""
        self.address = self.external = ""
        self.endpoints: list[tuple[str, bool]] | None = None
        """Address and whether it is ready; None without a slice."""
        self.left = 0
        """Checks of the last change that are not done."""


Made = list[Check]


class Changes:
    """What can be changed, and by ``change`` is, one object at a time. Usable from several threads."""

    def __init__(self, api: Api, check: Callable[[Check], None]) -> None:
        self._api, self._check = api, check
        self._free = deque(Subject(at) for at in range(_SUBJECTS))
        self.names = [subject.full for subject in self._free]
        self._lock = threading.Lock()
        self._numbers = count()
        self.done: Counter[str] = Counter()
        self.refused: list[str] = []

    def change(self, _turn: int) -> None:
        """Change the Service that was not for longest, or wait for one whose checks are done."""
        try:
            subject = self._free.popleft()
        except IndexError:
            time.sleep(0.01)
            return
        what = random.choice(self._possible(subject))
        try:
            checks = what(subject)
        except (ApiError, OSError) as error:
            self.refused.append(f"{what.__name__}: {error}")
            return  # what became of it is unknown
        self._follow(what.__name__.strip("_"), checks, subject)

    def _follow(self, what: str, checks: Made, subject: Subject | None = None) -> None:
        with self._lock:
            self.done[what] += 1
        left = [len(checks)]

        def done() -> None:
            left[0] -= 1
            if not left[0] and subject is not None:
                self._free.append(subject)

        for check in checks:
            check.after, check.done = what, done
            self._check(check)

    def _possible(self, subject: Subject) -> list[Callable[[Subject], Made]]:
        if not subject.type:
            return [self._create, self._create_headless]
        if subject.type == "ExternalName":
            return [self._to_cluster_ip, self._to_headless, self._other_external, self._delete]
        kinds: list[Callable[[Subject], Made]] = [self._to_external, self._delete]
        if subject.endpoints is None:
            return [*kinds, self._add_slice]
        some = [self._other_addresses, self._toggle_ready]
        return [*kinds, self._delete_slice, *some, *some, *some]

    # ---- Services

    def _create(self, subject: Subject) -> Made:
        made = self._api.create(cluster.service(subject.name))
        return self._is_cluster_ip(subject, made)

    def _create_headless(self, subject: Subject) -> Made:
        manifest = cluster.service(subject.name)
        manifest["spec"]["clusterIP"] = "None"
        self._api.create(manifest)
        return self._is_headless(subject)

    def _delete(self, subject: Subject) -> Made:
        self._api.delete("Service", cluster.NAMESPACE, subject.name)
        subject.type = ""
        gone: frozenset[str] = frozenset()
        checks = [Check(subject.full, packets.A, gone, "NXDOMAIN"), *self._old_address(subject)]
        return [*checks, Check(f"_http._tcp.{subject.full}", packets.SRV, gone, "NXDOMAIN")]

    def _to_cluster_ip(self, subject: Subject) -> Made:
        made = self._patch(subject, type="ClusterIP", externalName=None)
        return self._is_cluster_ip(subject, made)

    def _to_headless(self, subject: Subject) -> Made:
        self._patch(subject, type="ClusterIP", externalName=None, clusterIP="None")
        return self._is_headless(subject)

    def _to_external(self, subject: Subject) -> Made:
        name = f"ext-{next(self._numbers)}.outside.test"
        self._patch(
            subject, type="ExternalName", externalName=name, clusterIP=None, clusterIPs=None
        )
        old = self._old_address(subject)
        return [*self._is_external(subject, name), *old]

    def _other_external(self, subject: Subject) -> Made:
        name = f"host-{next(self._numbers) % 100}.outside.test"
        self._patch(subject, externalName=name)
        return self._is_external(subject, name)

    def _patch(self, subject: Subject, **spec: Any) -> dict[str, Any]:
        return self._api.patch("Service", cluster.NAMESPACE, subject.name, {"spec": spec})

    def _is_cluster_ip(self, subject: Subject, made: dict[str, Any]) -> Made:
        subject.type, subject.address = "ClusterIP", made["spec"]["clusterIP"]
        full = frozenset((subject.full,))
        checks = [
            Check(subject.full, packets.A, frozenset((subject.address,)), "NOERROR"),
            Check(f"_http._tcp.{subject.full}", packets.SRV, full, "NOERROR"),
        ]
        if subject.address not in _STORED:
            checks.append(Check(_reverse(subject.address), packets.PTR, full, "NOERROR"))
        return checks

    def _is_headless(self, subject: Subject) -> Made:
        subject.type = "Headless"
        return self._endpoints(subject)

    def _is_external(self, subject: Subject, name: str) -> Made:
        subject.type, subject.external = "ExternalName", name
        return [
            Check(subject.full, packets.A, frozenset((f"{name}.", _OUTSIDE_ADDRESS)), "NOERROR")
        ]

    def _old_address(self, subject: Subject) -> Made:
        old, subject.address = subject.address, ""
        is_alone = old and old not in _STORED
        return [Check(_reverse(old), packets.PTR, frozenset())] if is_alone else []

    # ---- slices

    def _add_slice(self, subject: Subject) -> Made:
        addresses = self._addresses()
        self._api.create(cluster.slice_of(subject.name, addresses, cluster.NAMESPACE))
        subject.endpoints = [(each, True) for each in addresses]
        return self._endpoints(subject)

    def _delete_slice(self, subject: Subject) -> Made:
        old = subject.endpoints or []
        self._api.delete("EndpointSlice", cluster.NAMESPACE, f"{subject.name}-1")
        subject.endpoints = None
        return [*self._endpoints(subject), Check(_reverse(old[0][0]), packets.PTR, frozenset())]

    def _other_addresses(self, subject: Subject) -> Made:
        old = subject.endpoints or []
        self._set(subject, [(each, True) for each in self._addresses()])
        return [*self._endpoints(subject), Check(_reverse(old[0][0]), packets.PTR, frozenset())]

    def _toggle_ready(self, subject: Subject) -> Made:
        before = subject.endpoints or []
        self._set(
            subject, [(a, not ready if at == 0 else ready) for at, (a, ready) in enumerate(before)]
        )
        return self._endpoints(subject)

    def _set(self, subject: Subject, endpoints: list[tuple[str, bool]]) -> None:
        manifest = cluster.slice_of(subject.name, [a for a, _ in endpoints], cluster.NAMESPACE)
        for each, (_, ready) in zip(manifest["endpoints"], endpoints, strict=True):
            each["conditions"]["ready"] = ready
        change = {"endpoints": manifest["endpoints"]}
        self._api.patch("EndpointSlice", cluster.NAMESPACE, f"{subject.name}-1", change)
        subject.endpoints = endpoints

    def _addresses(self) -> list[str]:
        """Some that none had before."""
        numbers = [next(self._numbers) for _ in range(random.randrange(1, 6))]
        return [f"10.{200 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in numbers]

    def _endpoints(self, subject: Subject) -> Made:
        """Of a Service with a ClusterIP, that its answer stays."""
        if subject.type == "ClusterIP":
            return [Check(subject.full, packets.A, frozenset((subject.address,)), "NOERROR")]
        ready = [address for address, is_ready in subject.endpoints or [] if is_ready]
        targets = [f"{address.replace('.', '-')}.{subject.full}" for address in ready]
        checks = [Check(subject.full, packets.A, frozenset(ready))]
        checks.append(Check(f"_http._tcp.{subject.full}", packets.SRV, frozenset(targets)))
        if ready:
            checks.append(Check(_reverse(ready[0]), packets.PTR, frozenset(targets[:1]), "NOERROR"))
        return checks

    # ---- namespaces

    @contextmanager
    def namespaces(self) -> Iterator[None]:
        """Make namespaces with a Service, and delete them, from ``with`` to its end."""
        end = threading.Event()

        def run() -> None:
            while not end.wait(_NAMESPACE_EVERY):
                self._namespace(f"soak-{next(self._numbers)}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield
        end.set()
        thread.join(30)

    def _namespace(self, name: str) -> None:
        full = f"{name}.svc.cluster.local."
        gone: frozenset[str] = frozenset()
        try:
            self._api.ensure_namespace(name)
            self._follow("create_namespace", [Check(full, packets.A, gone, "NOERROR")])
            manifest = cluster.service("inside")
            manifest["metadata"]["namespace"] = name
            address = self._api.create(manifest)["spec"]["clusterIP"]
            inside = Check(f"inside.{full}", packets.A, frozenset((address,)), "NOERROR")
            self._follow("create_inside", [inside])
            time.sleep(2.5)  # after which these are not looked at any more
            self._api.delete("Namespace", "", name)
            deadline = time.monotonic() + 20
            while self._api.get("Namespace", "", name) and time.monotonic() < deadline:
                time.sleep(0.05)
        except (ApiError, OSError) as error:
            self.refused.append(f"namespace: {error}")
            return
        checks = [Check(each, packets.A, gone, "NXDOMAIN") for each in (full, f"inside.{full}")]
        self._follow("delete_namespace", checks)


def _reverse(address: str) -> str:
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa."
