"""Telling a secondary that a zone has changed: NOTIFY (RFC 1996)."""

from __future__ import annotations

import asyncio
from typing import Final

from kdns.config.addresses import Address
from kdns.upstream.client import UpstreamError, ask
from kdns.wire.constants import Flag, Opcode, Rcode, Type, rcode_name
from kdns.wire.message import Query
from kdns.wire.names import Name, to_wire

ATTEMPTS: Final = 3
PATIENCE: Final = 2.0
"""Seconds for the first attempt; each further one has twice as long."""


async def notify(address: Address, zone: Name, source: str = "") -> str:
    """Send a NOTIFY by UDP and wait for the reply; what went wrong, or ""."""
    flags = Opcode.NOTIFY << 11 | Flag.AA
    query = Query(to_wire(zone), zone, Type.SOA, flags=flags)
    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            async with asyncio.timeout(PATIENCE * 2**attempt):
                response = await ask(address, query, source)
        except TimeoutError:
            problem = "no reply"
        except UpstreamError as error:
            problem = str(error)
        else:
            return "" if response.rcode == Rcode.NOERROR else rcode_name(response.rcode)
    return problem
