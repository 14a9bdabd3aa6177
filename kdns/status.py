"""What is known about the sources: synced or not, how old, and what is in the way.

One ``SourceStatus`` per source; the source writes it, ``/ready``, metrics and the explanations read it.
"""

from __future__ import annotations

from time import time

from msgspec import Struct, field


class ResourceStatus(Struct):
    """One watched resource. Times are Unix seconds; 0 means never."""

    synced: bool = False
    """Whether a full list has arrived; never goes back."""
    confirmed_at: float = 0.0
    """When the API last showed that what is known is current: an event, a bookmark, a list."""
    version: str = ""
    """The resourceVersion that what is known is of; "" where there is none, as of manifests."""
    lost_at: float = 0.0
    """Since when the connection is down; 0 while it is up."""
    problem: str = ""
    """Why it is down or not synced, such as ``forbidden: cannot list endpointslices``; "" if fine."""
    relists: int = 0
    restarts: int = 0
    restored: bool = False
    """Whether what is known is from a snapshot; the first list ends that. Until then ``lost_at`` is when
    the snapshot was current."""


class SourceStatus(Struct):
    """A source and its resources, by plural resource name."""

    name: str
    """For people: ``https://10.0.0.1:6443`` or ``manifests examples/cluster``."""
    resources: dict[str, ResourceStatus] = field(default_factory=dict)
    keeps_snapshot: bool = False
    saved_at: float = 0.0
    """When a snapshot was written last, Unix seconds; 0 for never."""
    save_failures: int = 0

    @property
    def synced(self) -> bool:
        for resource in self.resources.values():  # every question asks: no generator
            if not resource.synced:
                return False
        return bool(self.resources)

    @property
    def restored(self) -> bool:
        """Whether any of it is from a snapshot."""
        return any(r.restored for r in self.resources.values())

    @property
    def problem(self) -> str:
        """The first reason for not being synced or current, with its resource; "" when all is well."""
        for name, resource in self.resources.items():
            if resource.problem:
                return f"{name}: {resource.problem}"
            if resource.restored or not resource.synced:
                return f"{name}: waiting for the first list"
        return ""

    def failed(self, problem: str) -> None:
        """Record that its feed failed and is being restarted."""
        for resource in self.resources.values():
            resource.lost_at = resource.lost_at or time()
            resource.problem = problem

    def settled(self) -> None:
        """Record that its feed runs again."""
        for resource in self.resources.values():
            resource.lost_at, resource.problem = 0.0, ""
            resource.restarts += 1

    def age(self, now: float) -> float:
        """Seconds since the oldest broken watch was lost; 0 while all are connected."""
        lost = [r.lost_at for r in self.resources.values() if r.lost_at]
        return max(0.0, now - min(lost)) if lost else 0.0
