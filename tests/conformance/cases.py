"""Conformance cases as data: what a folder of objects must answer, each line with its source.

A case file (tests/cases/*.yaml) declares Kubernetes objects, the options of the ``kubernetes``
directive, and steps. Names in it are relative to ``cluster.local.`` unless they end with a dot; records
are in zone-file text, and one without a TTL has the case's. A step says

* ``ask``: NAME TYPE [CLASS], asked over UDP, UDP with EDNS, and TCP: each must get the same; or
  ``send``: the octets of a message in hexadecimal, with names in braces in text;
* ``cite``: the sentence it follows: ``K8s 2.3.1`` is a section of the Kubernetes DNS specification 1.1.0
  (https://github.com/kubernetes/dns/blob/master/docs/specification.md), ``peer`` is what CoreDNS does;
* ``says``: the rcode (NODATA is NOERROR without records) and the answer section, one record a line;
* ``also``: the additional section; ``authority``: that section, where it is not the zone's SOA under a
  negative answer and empty under a positive one;
* ``why``: a pattern that the Extended DNS Error's text must match when the question has EDNS;
* ``coredns``: what CoreDNS says instead, and ``because``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from msgspec import Struct

FOLDER: Final = Path(__file__).parent.parent / "cases"


class Expected(Struct, forbid_unknown_fields=True, frozen=True):
    says: str
    also: str = ""
    authority: str | None = None
    aa: bool = True


class Peer(Struct, forbid_unknown_fields=True, frozen=True):
    because: str
    says: str
    also: str = ""
    authority: str | None = None
    aa: bool = True

    @property
    def expected(self) -> Expected:
        return Expected(self.says, self.also, self.authority, self.aa)


class Step(Struct, forbid_unknown_fields=True, frozen=True):
    cite: str
    says: str
    ask: str = ""
    send: str = ""
    search: str = ""
    """The resolv.conf search list that NAME is completed with, as ndots:5 would; the first hit counts."""
    also: str = ""
    authority: str | None = None
    aa: bool = True
    why: str = ""
    coredns: Peer | None = None

    def expected(self, subject: str) -> Expected:
        if subject == "coredns" and self.coredns:
            return self.coredns.expected
        return Expected(self.says, self.also, self.authority, self.aa)


class Case(Struct, forbid_unknown_fields=True, frozen=True):
    about: str
    steps: list[Step]
    objects: list[dict[str, Any]] = []
    zones: tuple[str, ...] = ("cluster.local", "in-addr.arpa", "ip6.arpa")
    kubernetes: str = ""
    """Options of the directive, a line each."""
    plugins: str = ""
    """Further directives of the server block."""
    blocks: str = ""
    """Further server blocks."""
    files: dict[str, str] = {}
    """Files beside the Corefile, which stand in it as FOLDER/name."""
    ttl: int = 5

    @property
    def manifests(self) -> list[dict[str, Any]]:
        return [{"apiVersion": _VERSIONS[o["kind"]], **o} for o in self.objects]


_VERSIONS: Final = {
    "Endpoints": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Namespace": "v1",
    "Pod": "v1",
    "Service": "v1",
}


def load(path: Path) -> Case:
    """Read a case file; raises ``ValueError`` that names the file and the field."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()), Case)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path}: {error}") from error


def paths() -> list[Path]:
    return sorted(FOLDER.glob("*.yaml"))
