"""``whoami``: tells askers the address, port and transport that they were seen with."""

from __future__ import annotations

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.wire import rdata
from kdns.wire.constants import Class, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import MAX_NAME, plain_address


class Settings(Struct, frozen=True):
    """There is nothing to set."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    directive.no_options()
    return Settings()


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Answer every query of class IN; nothing comes after this stage."""

    async def answer(query: Query) -> Answer:
        if query.qclass != Class.IN:  # addresses of class IN have no other class's meaning
            return Answer(Rcode.REFUSED, authoritative=False, plugin="whoami")
        records = (*_address(query), *_service(query))
        return Answer(additional=records, keep_until=0.0, plugin="whoami")

    return answer


def _address(query: Query) -> tuple[Record, ...]:
    if not query.client:
        return ()
    address = plain_address(query.client)
    rtype = Type.A if address.version == 4 else Type.AAAA
    return (Record(query.qname, rtype, 0, address.packed),)


def _service(query: Query) -> tuple[Record, ...]:
    label = b"\4_udp" if query.transport == "udp" else b"\4_tcp"
    if len(label) + len(query.qname) > MAX_NAME:
        return ()
    target = rdata.srv(0, 0, query.client_port, b"\0")
    return (Record(label + query.qname, Type.SRV, 0, target),)
