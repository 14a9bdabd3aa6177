"""What a look-up found, and why it found no more: the value between ``lookup`` and the stages."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Literal

from msgspec import Struct

from kdns.records.objects import Kind
from kdns.wire.constants import Type
from kdns.wire.message import Key, Record
from kdns.wire.names import Name


class PodMode(Enum):
    """The ``pods`` option: which names below ``pod`` exist."""

    DISABLED = "disabled"
    INSECURE = "insecure"
    VERIFIED = "verified"


class View(Struct, frozen=True):
    """How a cluster is shown: the options of a ``kubernetes`` directive that shape answers."""

    zones: tuple[Name, ...]
    """Forward and reverse zones; the first forward one is the primary, where PTRs point."""
    ttl: int = 5
    """Seconds, 0 to 3600."""
    namespaces: frozenset[str] = frozenset()
    """The only namespaces that are exposed; empty for all."""
    labelled: bool = False
    """Whether ``namespace_labels`` hides namespaces: then an unknown one may exist, unexposed."""
    pods: PodMode = PodMode.DISABLED
    endpoint_pod_names: bool = False
    endpoints: bool = True
    """False with ``noendpoints``."""
    zonal: bool = False
    multicluster: tuple[Name, ...] = ()
    """The zones among ``zones`` that ServiceImports are in."""
    ignore_empty: bool = False

    @property
    def primary(self) -> Name:
        return next(zone for zone in self.zones if zone[-1:] != ("arpa",))


class Asked(Struct, frozen=True):
    """A name taken apart (Kubernetes DNS specification 1.1.0, section 2)."""

    kind: Literal["apex", "svc", "pod", "other"]
    namespace: str = ""
    service: str = ""
    """The Service's name, or below ``pod`` the address with dashes."""
    endpoint: str = ""
    port: str | None = None
    protocol: str | None = None
    """Without underscores; None where the name has no such part, "" matches any."""
    labels: Name = ()
    """All that stands left of the zone."""
    cluster: str = ""
    """Of an endpoint in a clusterset, the cluster that it is in."""
    title: str = "Service"
    """What ``service`` is the name of: in a clusterset, of a ServiceImport."""


class Reason(Enum):
    """Why a name does not exist, or has no such record. ``explain`` says it in words."""

    NO_SUCH_TYPE = auto()
    EMPTY_NON_TERMINAL = auto()
    NOT_A_KUBERNETES_NAME = auto()
    NO_NAMESPACE = auto()
    NO_SERVICE = auto()
    NO_READY_ENDPOINT = auto()
    NO_SUCH_ENDPOINT = auto()
    NO_SUCH_PORT = auto()
    NO_ENDPOINT_IN_ZONE = auto()
    BELOW_EXTERNAL_NAME = auto()
    EXTERNAL_NAME_IS_ADDRESS = auto()
    PODS_DISABLED = auto()
    POD_NAME_IS_NO_ADDRESS = auto()
    NO_POD_AT_ADDRESS = auto()
    NO_NAME_AT_ADDRESS = auto()
    ENDPOINTS_NOT_WATCHED = auto()


class Outcome(Struct, frozen=True):
    """The result of one look-up; positive when ``answer`` holds records."""

    exists: bool = True
    """Whether the name exists: the difference between NODATA and NXDOMAIN."""
    answer: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    keys: tuple[Key, ...] = ()
    reason: Reason | None = None
    asked: Asked | None = None
    needs: tuple[Kind, ...] = ()
    """Kinds that must be synced before a negative outcome is the truth."""
    target: bytes = b""
    """Where a CNAME in ``answer`` leads, if that is still to be followed."""
    has: tuple[Type, ...] = ()
    """Where the name exists without a record of the type asked: those that it has."""
