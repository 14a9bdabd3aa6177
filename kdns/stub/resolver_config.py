"""What an application's resolver is told, by ``resolv.conf`` or by the kubelet. Pure."""

from __future__ import annotations

from functools import reduce
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import resolv_conf
from kdns.config.addresses import Address
from kdns.records.search import NDOTS, search_list

MAX_NDOTS: Final = 15


class ResolverConfig(Struct, frozen=True):
    """Whom to ask, and how names are completed."""

    servers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    """A name with fewer dots is completed before it is tried as it is; 0 to 15."""
    timeout: int = 5
    """Seconds for one question."""
    attempts: int = 2
    single_request: bool = False
    """A and AAAA one after the other."""
    use_tcp: bool = False
    no_aaaa: bool = False

    def told(self) -> str:
        """In a line, for people."""
        search = " ".join(self.search) or "nothing"
        servers = ", ".join(map(str, self.servers)) or "nobody"
        return f"search {search}; ndots {self.ndots}; asking {servers}"


def parse(text: str, port: int = 53) -> ResolverConfig:
    """What a ``resolv.conf`` comes to. What is no known word is passed over, as libraries do."""
    conf = resolv_conf.parse(text, port)
    search = tuple(name for each in conf.search if (name := each.strip(".")))
    told = ResolverConfig(conf.servers[: resolv_conf.MAX_SERVERS], search)
    return reduce(with_option, conf.options, told)


def in_namespace(namespace: str, zone: str, servers: tuple[Address, ...]) -> ResolverConfig:
    """What a Pod with the usual dnsPolicy, ClusterFirst, is given."""
    search = tuple(map(".".join, search_list(namespace, tuple(zone.split(".")))))
    return ResolverConfig(servers, search, ndots=NDOTS)


def with_option(conf: ResolverConfig, option: str) -> ResolverConfig:
    """With one word of an ``options`` line, such as ``ndots:2``; unknown ones change nothing."""
    name, _, value = option.partition(":")
    if name in _NUMBERS:
        field, least, most = _NUMBERS[name]
        if value.isascii() and value.isdigit():
            return replace(conf, **{field: min(max(int(value[:9]), least), most)})
    elif name in _FLAGS:
        return replace(conf, **{_FLAGS[name]: True})
    return conf


_NUMBERS: Final = {
    "ndots": ("ndots", 0, MAX_NDOTS),
    "timeout": ("timeout", 1, 30),
    "attempts": ("attempts", 1, 5),
}
_FLAGS: Final = {
    "single-request": "single_request",
    "single-request-reopen": "single_request",
    "use-vc": "use_tcp",
    "no-aaaa": "no_aaaa",
}
