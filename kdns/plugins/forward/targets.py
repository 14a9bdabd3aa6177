"""What the TO… of ``forward`` mean.

They are addresses (``10.0.0.10``, ``[2003::1]:53``, ``tls://9.9.9.9%dns.quad9.net``), files
(``/etc/resolv.conf``) and host names (``dns.example.org:5353``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from kdns.config.addresses import Address, parse_address
from kdns.config.tree import ConfigError, Option
from kdns.upstream import resolv
from kdns.upstream.client import Target
from kdns.upstream.resolv import ResolvError
from kdns.wire import names
from kdns.wire.names import is_address

if TYPE_CHECKING:
    from kdns.plugins.forward.settings import Settings

MAX_TARGETS: Final = 15  # CoreDNS's
PORTS: Final = {"dns": 53, "tls": 853}
_SERVERNAME: Final = re.compile(r"%([^%:\]]*)(?=[:\]]|$)")
"""The name in the certificate: between the address and the port, or after both, as CoreDNS has it."""
NOT_YET: Final = ("https", "quic", "grpc")


class _Parts(Struct, frozen=True):
    """A TO taken apart."""

    scheme: str
    host: str
    """An address, a host name, or a path."""
    port: int
    servername: str = ""


def check_target(option: Option, text: str) -> None:
    """Raise ``ConfigError`` for what no server could be behind."""
    scheme = text.partition("://")[0] if "://" in text else "dns"
    if scheme in NOT_YET:
        option.fail(f"{text!r}: {scheme}:// upstreams are not supported; use an address or tls://")
    if scheme not in PORTS:
        option.fail(f"{text!r}: expected dns:// or tls://, found {scheme}://")
    host = _split(text).host
    if not host or (not is_address(host) and "/" not in host and not _is_host(host)):
        option.fail(f"{text!r} is no address, no file and no host name")


def _is_host(text: str) -> bool:
    try:
        return bool(names.from_text(text))
    except names.BadNameError:
        return False


def _split(text: str) -> _Parts:
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "dns", text
    servername = ""
    if scheme == "tls" and (name := _SERVERNAME.search(rest)):
        servername, rest = name[1], rest[: name.start()] + rest[name.end() :]
    return _Parts(scheme, *_host_and_port(rest, PORTS.get(scheme, 0)), servername)


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    if "/" in text or is_address(text):
        return text, default
    try:
        address = parse_address(text)
    except ValueError:
        return text.strip("[]"), default
    return address.host, address.port


def read_targets(settings: Settings) -> list[Target]:
    """All upstreams, each once. Blocking. Raises ``ConfigError`` where a TO gives none.

    A file without a nameserver gives none, as CoreDNS has it, so long as another TO does.
    """
    found: dict[Target, None] = {}
    for text in settings.to:
        try:
            found.update(dict.fromkeys(_expand(_split(text), settings)))
        except ResolvError as error:
            raise ConfigError(f"forward: {error}", settings.location) from error
    if not found:
        raise ConfigError("forward: no upstream is named by these files", settings.location)
    if len(found) > MAX_TARGETS:
        raise ConfigError(
            f"forward: {len(found)} upstreams; {MAX_TARGETS} is the most", settings.location
        )
    return list(found)


def _expand(parts: _Parts, settings: Settings) -> Iterator[Target]:
    host, port, tls = parts.host, parts.port, parts.scheme == "tls"
    servername = parts.servername or settings.servername
    if is_address(host):
        yield Target(Address(host, port), tls, servername if tls else "")
    elif "/" in host or os.path.isfile(host):
        for server in resolv.nameservers(host):
            yield Target(Address(server, 53))
    else:
        for address in resolv.addresses(host, settings.resolvers):
            yield Target(Address(address, port), tls, (servername or host) if tls else "")
