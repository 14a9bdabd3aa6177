"""``rewrite [continue|stop] …``: other questions than were asked, and replies that do not show it."""

from kdns.plugins.rewrite.settings import Settings, combine, parse
from kdns.plugins.rewrite.stage import wrap

__all__ = ["Settings", "combine", "parse", "wrap"]
