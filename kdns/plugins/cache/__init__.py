"""``cache [TTL] [ZONES…] { … }``: keeps what other servers said for as long as its TTLs say.

Answers made from memory (a cluster, a zone file) pass: they are current without it, and the reply cache
has their bytes. ``settings`` has what the directive says, ``kinds`` what an answer is to a cache, ``store``
where it is kept, ``stage`` the answering.
"""

from kdns.plugins.cache.settings import Settings, parse
from kdns.plugins.cache.stage import wrap

__all__ = ["Settings", "parse", "wrap"]
