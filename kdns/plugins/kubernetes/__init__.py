"""``kubernetes [ZONES…] { … }``: names of Services and Pods, from an API server or from manifests."""

from kdns.plugins.kubernetes.published import publish
from kdns.plugins.kubernetes.settings import Settings, parse
from kdns.plugins.kubernetes.stage import wrap

__all__ = ["Settings", "parse", "publish", "wrap"]
