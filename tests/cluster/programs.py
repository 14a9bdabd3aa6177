"""Where the real programs come from: etcd, the Kubernetes control plane, and CoreDNS as the peer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")
COREDNS = "coredns"
BUILD = Path(__file__).parent / "binaries" / "build.sh"


class MissingProgramError(Exception):
    """A program is nowhere; the message names the places looked at and the command that builds it."""


def find(name: str) -> Path | None:
    """Look in KUBEBUILDER_ASSETS, then on PATH, then in the cache that ``build.sh`` fills."""
    on_path = shutil.which(name)
    candidates = (
        Path(assets) / name if (assets := os.environ.get("KUBEBUILDER_ASSETS")) else None,
        Path(on_path) if on_path else None,
        _cache() / name,
    )
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def missing(*names: str) -> list[str]:
    return [name for name in names if find(name) is None]


def can_build() -> bool:
    """Building takes minutes, but needs nothing but Go (and CI is to fail rather than to skip)."""
    return bool(os.environ.get("CI")) or shutil.which("go") is not None


def build() -> None:
    """Build what is not there yet; raises ``subprocess.CalledProcessError`` with the compiler's words."""
    subprocess.run([str(BUILD)], check=True, stdin=subprocess.DEVNULL)


def require(name: str) -> Path:
    """The path of ``name``; raises ``MissingProgramError``."""
    path = find(name)
    if path is None:
        raise MissingProgramError(reason(name))
    return path


def reason(*names: str) -> str:
    return (
        f"{', '.join(names)} not found in $KUBEBUILDER_ASSETS, on PATH or in {_cache()}; "
        "where Go is installed, `tests/cluster/binaries/build.sh` builds it once"
    )


def _cache() -> Path:
    return Path(os.environ.get("KDNS_CACHE") or Path.home() / ".cache" / "kdns") / "bin"
