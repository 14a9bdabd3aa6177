"""Records as master files write them (RFC 1035 section 5.1), for people and for other programs."""

from __future__ import annotations

from typing import Final

from kdns.wire import record_types
from kdns.wire.constants import class_name, type_name
from kdns.wire.message import Record
from kdns.wire.names import wire_to_text

CONTROL_ESCAPES: Final = {code: f"\\{code:03d}" for code in (*range(32), *range(127, 160))}
"""For ``str.translate``: labels and texts may hold control characters, which must reach no terminal."""

rdata_text: Final = record_types.to_text


def record_text(record: Record) -> str:
    """``OWNER TTL CLASS TYPE DATA``."""
    owner, rclass = wire_to_text(record.owner), class_name(record.rclass)
    data = rdata_text(record.rtype, record.rdata)
    return f"{owner} {record.ttl} {rclass} {type_name(record.rtype)} {data}"
