"""A walk in words or as JSON: each question, and what the application gets."""

from __future__ import annotations

import json

from kdns.stub.resolver_config import ResolverConfig
from kdns.stub.steps import Step
from kdns.stub.walk import Result
from kdns.wire.constants import Rcode, rcode_name, type_name
from kdns.wire.presentation import rdata_text, record_text


def ignore(_: Step) -> None:
    """Told later, or not at all."""


class Teller:
    """Prints each question; what servers say about a name only once for its types."""

    def __init__(self) -> None:
        self._told: tuple[str, tuple[str, ...]] = ("", ())

    def show(self, step: Step) -> None:
        said = rcode_name(step.rcode) if step.response else step.problem
        if step.rcode == Rcode.NOERROR and not step.found:
            said = "NODATA"
        spent, transport = f"{step.seconds * 1000:.1f} ms", " over TCP" * (step.transport == "tcp")
        print(f"{step.name} {type_name(step.qtype)}: {said} ({step.server}{transport}, {spent})")
        if self._told != (step.name, step.reasons):
            self._told = step.name, step.reasons
            print("".join(f"    {reason}\n" for reason in step.reasons), end="")
        for record in step.response.answer if step.response else ():
            print(f"    {record_text(record)}")


def conclude(result: Result) -> None:
    """Print what the application gets, and what that took."""
    count = len(result.steps)
    spent = f"{count} question{'s' * (count > 1)} in {result.seconds * 1000:.0f} ms"
    if not result.records:
        print(f"; the application gets an error: {result.failure} ({spent})")
        return
    found = ", ".join(rdata_text(each.rtype, each.rdata) for each in result.records)
    print(f"; the application gets {found} ({spent})")
    if result.wasted:
        print(
            f"; {result.wasted} questions were about other names;"
            f" written as {result.name} none would be"
        )


def to_json(result: Result, conf: ResolverConfig, resolver: str) -> str:
    """All of it as a document."""
    document = {
        "resolver": resolver,
        "search": conf.search,
        "ndots": conf.ndots,
        "servers": [str(server) for server in conf.servers],
        "questions": [_question_document(step) for step in result.steps],
        "name": result.name,
        "found": [rdata_text(each.rtype, each.rdata) for each in result.records],
        "failure": result.failure,
        "milliseconds": round(result.seconds * 1000, 3),
    }
    return json.dumps(document, indent=2)


def _question_document(step: Step) -> dict[str, object]:
    return {
        "name": step.name,
        "type": type_name(step.qtype),
        "server": str(step.server),
        "transport": step.transport,
        "rcode": rcode_name(step.rcode) if step.response else None,
        "problem": step.problem,
        "answer": [record_text(each) for each in step.response.answer] if step.response else [],
        "reasons": step.reasons,
        "milliseconds": round(step.seconds * 1000, 3),
    }
