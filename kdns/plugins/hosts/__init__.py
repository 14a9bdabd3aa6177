"""``hosts [FILE [ZONES…]] { … }``: names and addresses from a hosts file and from inline lines."""

from kdns.plugins.hosts.settings import Settings, parse
from kdns.plugins.hosts.stage import wrap

__all__ = ["Settings", "parse", "wrap"]
