"""Every step of every case, against a real server on real sockets."""

from __future__ import annotations

import re

import dns.message
import dns.rcode
import pytest

from tests.conformance import cases
from tests.conformance.cases import Case, Expected, Step
from tests.conformance.client import SECONDS, SILENCE, WAYS, Way, ask_by, assemble, send_udp
from tests.conformance.conftest import Running, Stage
from tests.conformance.expectation import differences, reasons, shown
from tests.conformance.subjects import SUBJECT

_CASES = {path.stem: cases.load(path) for path in cases.paths()}
_STEPS = [
    pytest.param(case, step, id=f"{name}-{number:02}-{step.ask or step.send}")
    for name, case in _CASES.items()
    for number, step in enumerate(case.steps, 1)
]


@pytest.mark.parametrize(("case", "step"), _STEPS)
def test_step(stage: Stage, case: Case, step: Step) -> None:
    running = stage.serve(case)
    expected = step.expected(SUBJECT)
    if step.send:
        check_octets(running, step, expected)
    elif step.search:
        check_search(running, step, expected)
    else:
        for way in WAYS:
            check(running, step, expected, way)


def check(running: Running, step: Step, expected: Expected, way: Way) -> None:
    reply = ask_by(way, running.port, step.ask)
    found = differences(reply, expected, running.case)
    edns = way == "udp with EDNS"
    if (reply.edns == 0) != edns:
        found.append(f"OPT: wanted {edns}, got {not edns}")
    if edns and step.why and SUBJECT == "kdns":
        told = reasons(reply)
        if not any(re.search(step.why, text) for text in told):
            found.append(f"reason: wanted {step.why!r}, got {told}")
    assert not found, report(step, way, found)


def report(step: Step, way: str, found: list[str]) -> str:
    return "\n".join([f"{step.ask or step.send} by {way} ({step.cite})", *found])


def check_octets(running: Running, step: Step, expected: Expected) -> None:
    data = assemble(step.send)
    silent = expected.says == "SILENCE"
    reply = send_udp(running.port, data, SILENCE if silent else SECONDS)
    if silent:
        assert reply is None, step.cite
        return
    assert reply is not None, f"silence, wanted {expected.says} ({step.cite})"
    assert reply[:2] == data[:2]
    assert reply[2] & 0x80, "QR is not set"
    message = dns.message.from_wire(reply, one_rr_per_rrset=True)
    found = differences(message, expected, running.case)
    assert not found, report(step, "udp", found)


def check_search(running: Running, step: Step, expected: Expected) -> None:
    """As a stub resolver does with ndots:5: every suffix in turn, then the name as it is."""
    name, rdtype = step.ask.split()
    misses = []
    for suffix in [*step.search.split(), "."]:
        full = f"{name}.{suffix}".rstrip(".") + "."
        reply = ask_by("udp", running.port, f"{full} {rdtype}")
        if reply.answer:
            assert sorted(shown(reply.answer)), full
            found = differences(reply, expected, running.case)
            assert not found, report(step, full, found)
            return
        misses.append((full, dns.rcode.to_text(reply.rcode())))
        assert reply.rcode() == dns.rcode.NXDOMAIN, f"{misses[-1]}: the resolver would stop here"
    assert expected.says == "NXDOMAIN", misses


def test_every_step_can_fail() -> None:
    """A comparison that lets anything pass would make all of this worthless."""
    case = Case("", [])
    reply = dns.message.make_response(dns.message.make_query("a.cluster.local.", "A"))
    for says in ("NXDOMAIN", "NODATA", "a 5 A 10.0.0.1", "SERVFAIL"):
        assert differences(reply, Expected(says), case), says


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
def test_every_step_has_a_source_and_every_difference_a_reason(case: Case) -> None:
    for step in case.steps:
        assert step.coredns is None or step.coredns.because
        assert step.cite
