"""A record from the text that a template made: one entry of a master file."""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from kdns.plugins.template.lexer import TemplateError
from kdns.wire.constants import Class
from kdns.wire.master import MasterFileError, parse
from kdns.wire.message import Record

DEFAULT_TTL: Final = 3600  # seconds; the peer's, for a record without one

# Master files here hold class IN alone; a template may answer for others as well.
_OTHER_CLASS: Final = re.compile(r"(\s*\S+(?:\s+[0-9]\w*)?\s+)(CH|HS)(?=\s)", re.IGNORECASE)


def record(text: str) -> Record:
    """The first record in ``text``; relative names belong to the root. Raises ``TemplateError``."""
    text = text.strip()
    rclass: int = Class.IN
    if found := _OTHER_CLASS.match(text):
        rclass = Class[found[2].upper()]
        text = f"{found[1]}IN{text[found.end() :]}"
    try:
        first = next(parse(f"$TTL {DEFAULT_TTL}\n{text}\n", "record", b"\0"), None)
    except MasterFileError as error:
        raise TemplateError(f"{text[:100]!r} is not a record: {error}") from error
    if first is None:
        raise TemplateError("the template made no record")
    return replace(first.record, rclass=rclass)
