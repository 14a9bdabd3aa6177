"""``kdns explain``: how the answer to a name comes about, with its objects and what to look at next.

The server tells that itself (``NAME.explain.kdns.``, see ``derivation``): a running one is asked, or one
is made up from manifests or an API server for just this question.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from kdns.cli import configured, servers
from kdns.cli.advice import advice, not_ready
from kdns.cli.query import Question, question
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError
from kdns.derivation.zone import EXPLAIN
from kdns.stub.flavours import FLAVOURS
from kdns.stub.resolver_config import ResolverConfig, in_namespace
from kdns.stub.walk import ADDRESSES
from kdns.wire.constants import Rcode, Type, rcode_name, type_name
from kdns.wire.fields import strings
from kdns.wire.message import Edns, Query, Record
from kdns.wire.names import BadNameError, from_wire, to_text, wire_from_text
from kdns.wire.presentation import CONTROL_ESCAPES

if TYPE_CHECKING:
    from kdns.server.generation import Generation

EXAMPLES: Final = """\
examples:
  kdns explain web.shop.svc.cluster.local --manifests examples/cluster
  kdns explain web -n shop --kubeconfig ~/.kube/config          live, from the API server
  kdns explain _http._tcp.web.shop.svc.cluster.local SRV @127.0.0.1 -p 1053
                                                                a running server, as far as it lets us
"""

PATIENCE: Final = 5.0
"""Seconds for a server's explanation."""

Ask = Callable[[str], Awaitable[tuple[str, ...]]]
"""The steps for a name below ``explain.kdns.``. Raises ``ConfigError``."""


class Told(Struct, frozen=True):
    """The steps for one name, as ``KIND: TEXT``."""

    name: str
    steps: tuple[str, ...]

    def texts(self, kind: str) -> list[str]:
        return [step[len(kind) + 2 :] for step in self.steps if step.startswith(f"{kind}: ")]

    @property
    def answers(self) -> bool:
        """Whether it has such records; an alias that leads nowhere is none."""
        found = any(text.startswith("NOERROR") for text in self.texts("answer"))
        return found and bool(self.texts("record"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME [TYPE] [@SERVER]",
        help="in any order; without TYPE: A; without @SERVER, what the options below say is explained",
    )
    parser.add_argument(
        "-x", dest="address", metavar="ADDRESS", help="explain the name of an address (PTR)"
    )
    parser.add_argument(
        "-n",
        "--namespace",
        default="",
        metavar="NS",
        help="complete the name as in a Pod of this namespace",
    )
    servers.add_port(parser, "the server's port")
    parser.add_argument("--json", action="store_true", help="print the same as a JSON document")
    configured.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the explanation. Returns 0 where the name has such records, else 1."""
    asked = question(options)
    if len(asked.qtypes) > 1 and asked.qtypes != ADDRESSES:
        raise ConfigError("one type at a time")
    kind = Type.A if len(asked.qtypes) > 1 else asked.qtypes[0]
    told = asyncio.run(_explain(options, asked, kind))
    shown = _shown(told)
    others = [each for each in told if each is not shown]
    if options.json:
        print(json.dumps(_document(shown, others), indent=2))
    else:
        _print(shown, others)
    return 0 if shown.answers else 1


def _shown(told: list[Told]) -> Told:
    """What has records, else the first that was not merely made by the search list, else the first."""
    found = [each for each in told if each.answers]
    meant = [
        each for each in told if not any("search list" in text for text in each.texts("reason"))
    ]
    return (*found, *meant, *told)[0]


async def _explain(options: argparse.Namespace, asked: Question, kind: int) -> list[Told]:
    if asked.server:
        address = servers.read(asked.server, options.port)
        configured.refuse(options, asked.server)
        return await _candidates(options, asked.name, kind, _asking(address))
    async with configured.loaded(configured.blocks(options)) as generation:
        return await _candidates(options, asked.name, kind, _deriving(generation))


async def _candidates(options: argparse.Namespace, name: str, kind: int, ask: Ask) -> list[Told]:
    """The name, or what a search list makes of it until one has records."""
    names = [name.rstrip(".") + "."]
    if options.namespace:
        zone = (options.zone or ["cluster.local"])[0].strip(".")
        conf = in_namespace(options.namespace, zone, ())
        names = FLAVOURS["glibc"].candidates(name, conf)
    prefix = "" if kind == Type.A else f"_{type_name(kind).lower()}."
    told: list[Told] = []
    for candidate in names:
        explained = f"{candidate.removesuffix('.')}.".lstrip(".") + prefix + to_text(EXPLAIN)
        told.append(Told(candidate, await ask(explained)))
        if told[-1].answers:
            break
    return told


# ---- who explains


def _deriving(generation: Generation) -> Ask:
    async def ask(name: str) -> tuple[str, ...]:
        query = _query(name, "127.0.0.1")
        for responder in generation.responders.values():
            if responder.find(query)[0] is not None:
                answer = await responder.resolve(query)
                if not answer.answer:
                    why = "; ".join(error.text for error in answer.errors)
                    raise ConfigError(f"this configuration does not explain: {why}")
                return _steps(answer.answer)
        raise ConfigError("this configuration has no server block that explains")

    return ask


def _asking(address: Address) -> Ask:
    async def ask(name: str) -> tuple[str, ...]:
        from kdns.stub.exchange import Exchange

        _query(name, "")
        conf = ResolverConfig((address,))
        step = await Exchange(conf, lambda _: None).once(address, name, Type.TXT, PATIENCE)
        if step.response is None:
            raise ConfigError(f"{address}: {step.problem}")
        if not step.found:
            why = "; ".join(step.reasons) or "it is no kdns, or does not explain"
            raise ConfigError(f"{address}: {rcode_name(step.rcode or Rcode.NOERROR)}: {why}")
        return _steps(step.found)

    return ask


def _query(name: str, client: str) -> Query:
    try:
        wire = wire_from_text(name)
    except BadNameError as error:
        raise ConfigError(f"too long to be explained: {error}") from None
    return Query(wire, from_wire(wire), Type.TXT, edns=Edns(), client=client)


def _steps(records: Sequence[Record]) -> tuple[str, ...]:
    """The texts by the numbers that they begin with, for records come in any order."""
    texts = [b"".join(strings(record.rdata)).decode(errors="replace") for record in records]
    numbered = [text.partition(" ") for text in texts]
    ordered = sorted(numbered, key=lambda parts: int(parts[0]) if parts[0].isdigit() else 0)
    return tuple(text.translate(CONTROL_ESCAPES) for _, _, text in ordered)


# ---- what is told


_APART: Final = ("object", "record", "reason", "answer", "question", "authority")
"""Kinds of steps that have a place of their own, or say nothing new."""


def _print(shown: Told, others: list[Told]) -> None:
    print(f"{shown.name} {' '.join(shown.texts('answer')) or 'no answer'}")
    for line in (*shown.texts("record"), *shown.texts("reason")):
        print(f"  {line}")
    for other in others:
        reasons = "; ".join(other.texts("reason")) or " ".join(other.texts("answer"))
        print(f"also tried: {other.name} {reasons}")
    print("\nhow:")
    for step in shown.steps:
        if step.partition(":")[0] not in _APART:
            print(f"  {step}")
    if objects := shown.texts("object"):
        print()
        print("\n".join(_table(objects)))
    if lines := _advice(shown):
        print("\nnext:")
        print("".join(f"  {line}\n" for line in lines), end="")


def _advice(shown: Told) -> list[str]:
    """For its reasons; where readiness is one, the Pods that lack it too."""
    reasons = shown.texts("reason")
    lines = advice(reasons)
    if any("ready" in reason for reason in reasons):
        lines += not_ready(reasons, shown.texts("object"))
    return list(dict.fromkeys(lines))


def _table(objects: list[str]) -> list[str]:
    """``KIND NAMESPACE/NAME: STATE; STATE`` as kubectl would lay it out."""
    rows = [("KIND", "NAME", "STATE")]
    for text in objects:
        what, _, state = text.partition(": ")
        kind, _, name = what.partition(" ")
        first, *more = state.split("; ") if kind == "EndpointSlice" else [state]
        rows.append((kind, name, first))
        rows += [("", "", each) for each in more]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{a:{widths[0]}}   {b:{widths[1]}}   {c}".rstrip() for a, b, c in rows]


def _document(shown: Told, others: list[Told]) -> dict[str, object]:
    return {
        "name": shown.name,
        "records": shown.texts("record"),
        "reasons": shown.texts("reason"),
        "steps": shown.steps,
        "objects": shown.texts("object"),
        "next": _advice(shown),
        "tried": [{"name": each.name, "reasons": each.texts("reason")} for each in others],
    }
