"""Directives that stand more than once in a server block, as an import of further lines makes them.

CoreDNS refuses that for some; of others it reads the first, or all one after the other. So does this, and
says which line counts: what nobody sees is that a line has no effect.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kdns.config.tree import Option, ServerBlock
from kdns.plugins import ignored

SEVERAL: Final = frozenset(
    {"acl", "auto", "bind", "fault", "file", "forward", "header", "log", "proxy", "rewrite", "root"}
    | {"secondary", "template", "transfer", *ignored.DIRECTIVES}
)
"""Each line counts."""

FIRST: Final = frozenset({"any", "bufsize", "chaos", "minimal", "reload", "whoami"})
"""The first line counts."""

JOINED: Final = frozenset({"autopath", "debug", "dns64", "health", "loadbalance", "local"})
"""The lines are read as one, of which the later part wins."""


def settle(block: ServerBlock) -> tuple[ServerBlock, tuple[str, ...]]:
    """The block with each directive as it counts, and what is to be said of that.

    Raises ``ConfigError`` at the second line of a directive that may stand only once.
    """
    settled: list[Option] = []
    places: dict[str, int] = {}
    warnings: list[str] = []
    for each in block.directives:
        if each.name in SEVERAL or each.name not in places:
            places[each.name] = len(settled)
            settled.append(each)
        else:
            before = settled[places[each.name]]
            warnings.append(_warning(before, each))
            if each.name in JOINED:
                settled[places[each.name]] = _joined(before, each)
    return replace(block, directives=tuple(settled)) if warnings else block, tuple(warnings)


def _joined(before: Option, later: Option) -> Option:
    chosen = later if later.args else before
    return replace(chosen, options=(*before.options, *later.options))


def _warning(before: Option, later: Option) -> str:
    """Raises ``ConfigError`` where a second line is none of these."""
    if later.name in FIRST:
        which = "; the first line counts, remove the other"
    elif later.name in JOINED:
        which = "; both are read as one, where they differ this line counts"
    else:
        later.fail(f"is there already ({before.location}); a server block takes it once")
    return f"{later.location}: {later.name} is there already ({before.location}){which}"
