"""Telling a secondary that a zone has changed: NOTIFY (RFC 1996)."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import closing
from typing import Final

import asyncio_dgram

from kdns.config.addresses import Address
from kdns.upstream.errors import broken
from kdns.upstream.replies import NOTIFY, reply_to
from kdns.wire.constants import Rcode, Type, rcode_name
from kdns.wire.message import Query
from kdns.wire.names import Name, to_wire
from kdns.wire.requests import encode_notify
from kdns.wire.responses import Response

ATTEMPTS: Final = 3
PATIENCE: Final = 2.0
"""Seconds for the first attempt; each further one has twice as long."""


async def notify(address: Address, zone: Name, source: str = "") -> str:
    """Send a NOTIFY by UDP, from ``source`` if given, and wait for the reply; what went wrong, or ""."""
    query = Query(to_wire(zone), zone, Type.SOA)
    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            async with asyncio.timeout(PATIENCE * 2**attempt):
                response = await _exchange(address, query, source or _anywhere(address))
        except TimeoutError:
            problem = "no reply"
        except (OSError, asyncio_dgram.TransportClosed) as error:
            problem = str(broken(error))
        else:
            return "" if response.rcode == Rcode.NOERROR else rcode_name(response.rcode)
    return problem


def _anywhere(address: Address) -> str:
    return "::" if ":" in address.host else "0.0.0.0"


async def _exchange(address: Address, query: Query, source: str) -> Response:
    message_id = secrets.randbits(16)
    with closing(await asyncio_dgram.bind((source, 0))) as stream:
        await stream.send(encode_notify(query, message_id), (address.host, address.port))
        while True:
            data, _ = await stream.recv()
            reply = reply_to(query, message_id, bytes(data), NOTIFY)
            if isinstance(reply, Response):
                return reply
