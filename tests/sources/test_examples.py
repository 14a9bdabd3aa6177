"""Every ``dig`` line in the example manifests gives what the comment beside it says."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest

from kdns.config.access import ManifestAccess
from kdns.records.index import Index
from kdns.records.lookup import lookup
from kdns.records.outcome import Outcome, View
from kdns.sources.manifests import Manifests
from kdns.status import SourceStatus
from kdns.wire import names
from kdns.wire.constants import Type

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"
COMMAND = re.compile(
    r"#   dig @127\.0\.0\.1 -p 1053 (?P<question>\S+(?: \S+)?)(?:  +(?P<said>.+))?"
)
CLUSTER = names.from_text("cluster.local.")
REVERSE = [names.from_text(f"{zone}.arpa.") for zone in ("in-addr", "ip6")]


class Line(NamedTuple):
    """A command, and what the file says that it shows."""

    question: str
    said: str


LINES = [
    Line(found["question"], found["said"] or "")
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for found in map(COMMAND.fullmatch, path.read_text().splitlines())
    if found
]


@pytest.fixture(scope="module")
def index() -> Index:
    made = Index()
    source = Manifests(
        ManifestAccess(str(EXAMPLES), pods=True),
        SourceStatus("examples"),
        lambda change: [made.apply(change, 0.0)].clear(),
    )
    source.load()
    return made


def ask(index: Index, question: str) -> Outcome:
    words = question.split()
    if words[0] == "-x":
        name, qtype = names.reverse(words[1]), Type.PTR
    else:
        name, qtype = names.from_text(f"{words[0]}."), Type[words[1]] if words[1:] else Type.A
    zone = next(zone for zone in (CLUSTER, *REVERSE) if names.is_below(name, zone))
    return lookup(index, View((CLUSTER, *REVERSE)), zone, names.to_wire(name), name, qtype)


@pytest.mark.parametrize(
    "line", [each for each in LINES if "local" in each.question or "-x" in each.question], ids=str
)
def test_dig_lines_tell_the_truth(index: Index, line: Line) -> None:
    outcome = ask(index, line.question)
    if line.said.startswith("NXDOMAIN"):
        assert (outcome.exists, outcome.answer) == (False, ())
        return
    assert outcome.answer
    addresses = {str(ip_address(each.rdata)) for each in outcome.answer if each.rtype == Type.A}
    said = set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b(?!/)", line.said))
    if said:
        assert addresses == said
    if target := re.match(r"(?:CNAME|PTR) (\S+\.\S+)", line.said):
        found = {names.wire_to_text(each.rdata) for each in outcome.answer}
        assert found == {f"{target[1]}."}
    if "two records" in line.said:
        assert len(outcome.answer) == 2


def test_each_file_says_what_to_try() -> None:
    assert len(LINES) >= 25
    for path in EXAMPLES.glob("*.yaml"):
        assert path.read_text().startswith("# ")
        assert "#   dig @" in path.read_text()


def test_services_below_an_unready_pod(index: Index) -> None:
    found = ask(index, "_postgres._tcp.db.default.svc.cluster.local SRV")
    targets = sorted(names.wire_to_text(each.rdata[6:]) for each in found.answer)
    assert targets == ["db-0.db.default.svc.cluster.local.", "db-1.db.default.svc.cluster.local."]
