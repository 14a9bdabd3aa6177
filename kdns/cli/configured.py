"""What several commands share: options that say where a cluster's objects come from."""

from __future__ import annotations

import argparse
from typing import Final

from kdns.cli import coredns, serve
from kdns.config import flags
from kdns.config.tree import ServerBlock

PATIENCE: Final = 10.0
"""Seconds for an API server to list everything."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``kdns serve`` that say what is answered, or a Corefile."""
    serve.add_sources(parser.add_argument_group("where the objects come from (one of these)"))
    serve.add_answers(parser.add_argument_group("what is answered"))
    parser.add_argument("--conf", default="", metavar="FILE", help="all this from a Corefile")


def blocks(options: argparse.Namespace) -> tuple[ServerBlock, ...]:
    """The server blocks that the options mean. Raises ``ConfigError``."""
    if options.conf:
        return coredns.read(options.conf, coredns.DEFAULT_PORT)
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    whole = parser.parse_args([])
    vars(whole).update(vars(options))
    return flags.to_blocks(serve.read(whole))
