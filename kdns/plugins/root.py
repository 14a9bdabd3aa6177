"""``root FOLDER``: where the relative paths of other directives (``file``, ``auto``, ``hosts``) start."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct

from kdns.config.tree import Option, ServerBlock

NAME: Final = "root"


class Settings(Struct, frozen=True):
    """What the directive says."""

    folder: str
    warnings: tuple[str, ...] = ()


def parse(directive: Option) -> Settings:
    """A folder that is not there may appear later. Raises ``ConfigError``."""
    folder = directive.one()
    directive.no_options()
    if os.path.isdir(folder):
        return Settings(folder)
    return Settings(folder, (f"{directive.location}: root: {folder} is not a folder (yet)",))


def rooted(path: str, block: ServerBlock) -> str:
    """A path as a directive of ``block`` means it; of several ``root`` directives the last counts."""
    folders = [directive.one() for directive in block.named(NAME)]
    return os.path.join(folders[-1], path) if folders else path
