"""What several commands share: options that say where a cluster's objects come from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from kdns.cli import coredns, logs, serve
from kdns.config import flags
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError, ServerBlock

if TYPE_CHECKING:
    from kdns.server.generation import Generation

PATIENCE: Final = 10.0
"""Seconds for an API server to list everything."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``kdns serve`` that say what is answered, or a Corefile."""
    sources = parser.add_argument_group(serve.SOURCES)
    serve.add_sources(sources)
    serve.add_snapshot(sources)
    serve.add_answers(parser.add_argument_group("what is answered"))
    parser.add_argument(
        "--conf", default="", metavar="FILE", help="take all of this from a Corefile instead"
    )


def refuse(options: argparse.Namespace, other: str) -> None:
    """Raise ``ConfigError`` where a source is named that ``other`` would leave unused."""
    for option in ("--manifests", "--kubeconfig", "--in-cluster", "--zones", "--snapshot"):
        if getattr(options, option[2:].replace("-", "_")):
            raise ConfigError(f"{option} has no effect with {other}; say one of the two")


@asynccontextmanager
async def loaded(blocks: tuple[ServerBlock, ...]) -> AsyncIterator[Generation]:
    """The configuration with its data, as ``server.offline`` loads it. Raises ``ConfigError``."""
    from kdns.server import offline

    with logs.silent():
        async with offline.loaded(blocks, PATIENCE, _tell) as generation:
            yield generation


def _tell(text: str) -> None:
    print(f"kdns: {text}", file=sys.stderr, flush=True)


@asynccontextmanager
async def serving(options: argparse.Namespace) -> AsyncIterator[Address]:
    """A server by these options, as ``server.offline`` makes it. Raises ``ConfigError``."""
    from kdns.server import offline

    with logs.silent():
        async with offline.serving(blocks(options)) as address:
            yield address


def blocks(options: argparse.Namespace) -> tuple[ServerBlock, ...]:
    """The server blocks that the options mean. Raises ``ConfigError``."""
    if options.conf:
        refuse(options, "--conf")
        return coredns.read(options.conf, coredns.DEFAULT_PORT)
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    whole = parser.parse_args([])
    vars(whole).update(vars(options))
    return flags.to_blocks(serve.read(whole))
