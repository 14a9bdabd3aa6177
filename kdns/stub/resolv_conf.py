"""``resolv.conf`` (its manual page in section 5), and the one that the kubelet writes for a Pod. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.records.search import NDOTS, search_list
from kdns.upstream.resolv import is_address, lines

MAX_SERVERS: Final = 3
"""``MAXNS`` of glibc and musl; Go has the same."""
MAX_NDOTS: Final = 15


class ResolvConf(Struct, frozen=True):
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


def parse(text: str, port: int = 53) -> ResolvConf:
    """What is no known line or value is passed over, as libraries do; the last ``search`` counts."""
    conf = ResolvConf()
    for words in lines(text):
        if words[0] in _LINES:
            conf = _LINES[words[0]](conf, words[1:], port)
    return conf


def in_namespace(namespace: str, zone: str, servers: tuple[Address, ...]) -> ResolvConf:
    """What a Pod with the usual dnsPolicy, ClusterFirst, is given."""
    search = tuple(map(".".join, search_list(namespace, tuple(zone.split(".")))))
    return ResolvConf(servers, search, ndots=NDOTS)


def with_option(conf: ResolvConf, option: str) -> ResolvConf:
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


def _nameserver(conf: ResolvConf, words: list[str], port: int) -> ResolvConf:
    if not words or not is_address(words[0]) or len(conf.servers) == MAX_SERVERS:
        return conf
    return replace(conf, servers=(*conf.servers, Address(words[0], port)))


def _search(conf: ResolvConf, words: list[str], _: int) -> ResolvConf:
    return replace(conf, search=tuple(word.strip(".") for word in words if word.strip(".")))


def _domain(conf: ResolvConf, words: list[str], port: int) -> ResolvConf:
    return _search(conf, words[:1], port)


def _options(conf: ResolvConf, words: list[str], _: int) -> ResolvConf:
    for word in words:
        conf = with_option(conf, word)
    return conf


_LINES: Final[dict[str, Callable[[ResolvConf, list[str], int], ResolvConf]]] = {
    "nameserver": _nameserver,
    "search": _search,
    "domain": _domain,
    "options": _options,
}
