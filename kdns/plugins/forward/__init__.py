"""``forward FROM TO… { … }``: asks other name servers.

``settings`` has what the directive says, ``targets`` which servers its TO… stand for, ``stage`` the
answering.
"""

from kdns.plugins.forward.settings import Settings, covers_root, parse
from kdns.plugins.forward.stage import wrap

__all__ = ["Settings", "covers_root", "parse", "wrap"]
