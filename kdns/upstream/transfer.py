"""A zone as another server hands it over: AXFR (RFC 5936)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Final

from kdns.config.addresses import Address
from kdns.upstream.errors import UpstreamError, broken
from kdns.wire.constants import Rcode, Type, rcode_name
from kdns.wire.message import Query, Record
from kdns.wire.names import from_wire
from kdns.wire.requests import encode
from kdns.wire.responses import Response, Unreadable, decode

PATIENCE: Final = 10.0
"""Seconds for the connection, and for each message of the transfer."""

MAX_RECORDS: Final = 2_000_000
MAX_OCTETS: Final = 256 * 1024 * 1024
"""More than any zone that is served here, and less than would end the process."""


async def transfer(address: Address, zone: bytes) -> AsyncIterator[Record]:
    """The records of a zone (wire form), the SOA first and once. Raises ``UpstreamError``."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            query = Query(zone, from_wire(zone), Type.AXFR)
            message_id = secrets.randbits(16)
            request = encode(query, message_id)
            writer.write(len(request).to_bytes(2, "big") + request)
            async for record in _records(reader, query, message_id):
                yield record
        finally:
            writer.close()
    except TimeoutError:
        raise UpstreamError(f"nothing came for {PATIENCE:g} s") from None
    except EOFError as error:
        raise UpstreamError("the connection was closed in the middle") from error
    except OSError as error:
        raise broken(error) from error


async def _records(
    reader: asyncio.StreamReader, query: Query, message_id: int
) -> AsyncIterator[Record]:
    """RFC 5936 section 2.2: the SOA comes first and, for the end, last."""
    first: Record | None = None
    count = octets = 0
    while True:
        records = (await _message(reader, query, message_id)).answer
        if not records:  # else a server could go on for ever, and be given all of the time
            place = " in the middle" if first else ""
            raise UpstreamError(f"the transfer has no records{place}")
        for record in records:
            if first is None:
                if record.rtype != Type.SOA:
                    raise UpstreamError("the transfer does not begin with the SOA")
                first = record
            elif record.rtype == Type.SOA:
                return
            yield record
            count += 1
            octets += len(record.owner) + len(record.rdata)
            if count > MAX_RECORDS or octets > MAX_OCTETS:
                raise UpstreamError(
                    f"the transfer is too large: {count} records with {octets} octets came so far"
                )


async def _message(reader: asyncio.StreamReader, query: Query, message_id: int) -> Response:
    async with asyncio.timeout(PATIENCE):
        size = int.from_bytes(await reader.readexactly(2), "big")
        response = decode(await reader.readexactly(size))
    if isinstance(response, Unreadable):
        raise UpstreamError(f"unreadable reply: {response.reason}")
    if response.message_id != message_id:
        raise UpstreamError("the reply is to another question")
    if response.rcode != Rcode.NOERROR:
        reasons = "".join(f" ({error.text})" for error in response.errors if error.text)
        raise UpstreamError(f"no zone transfer: {rcode_name(response.rcode)}{reasons}")
    return response
