"""Classes besides IN: another class is another tree (RFC 1034 section 3.6), so directives that know IN alone
answer with none of its records, whatever else stands in the server block."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from kdns.plugins.chain import SUPPORTED
from kdns.records.objects import Namespace, Port, Service
from kdns.wire.constants import Class, Rcode, Type
from kdns.wire.message import Answer, Record
from tests.plugins.chains import Chain

OBJECTS: Final = (
    Namespace("shop"),
    Service(
        "shop",
        "web",
        cluster_ips=("10.96.1.1",),
        ports=(Port("http", "tcp", 80),),
        external_ips=("192.0.2.8",),
    ),
)
ANSWERS: Final = {
    "any": ("any", "a.test ANY"),
    "autopath": ("autopath SEARCH\nhosts {\n192.0.2.1 b.c.test\n}", "b.ns.test A"),
    "auto": ("auto {\ndirectory FOLDER\n}", "a.test A"),
    "cache": ("cache\nhosts {\n192.0.2.1 a.test\n}", "a.test A"),
    "dns64": ("dns64 {\nallow_ipv4\n}\nhosts {\n192.0.2.1 a.test\n}", "a.test AAAA"),
    "file": ("file FOLDER/db.test test", "a.test A"),
    "hosts": ("hosts {\n192.0.2.1 a.test\n}", "a.test A"),
    "hosts, PTR": ("hosts {\n192.0.2.1 a.test\n}", "1.2.0.192.in-addr.arpa PTR"),
    "hosts, fallthrough": ("hosts {\n192.0.2.1 a.test\nfallthrough\n}", "a.test A"),
    "k8s_external": ("k8s_external ext.test\nkubernetes cluster.local", "web.shop.ext.test A"),
    "kubernetes": ("kubernetes cluster.local", "web.shop.svc.cluster.local A"),
    "local": ("local", "localhost.test A"),
    "local, apex": ("local", "localhost SOA"),
    "no_aaaa": ("no_aaaa\nhosts {\n192.0.2.1 a.test\n}", "a.test A"),
    "shortnames": ("shortnames\nkubernetes cluster.local", "web.shop.svc A"),
    "template IN": ('template IN A {\nanswer "{{ .Name }} 60 IN A 192.0.2.1"\n}', "a.test A"),
    "template ANY": ('template ANY A {\nanswer "{{ .Name }} 60 A 192.0.2.1"\n}', "a.test A"),
    "template, authority": (
        'template ANY A {\nauthority "{{ .Name }} 60 IN NS b.test."\n}',
        "a.test A",
    ),
    "transfer": ("transfer {\nto *\n}\nfile FOLDER/db.test test", "test AXFR"),
    "whoami": ("whoami", "a.test A"),
}
"""A block and a query that it answers, of class IN."""

NO_ANSWERS: Final = (
    "acl bind bufsize debug errors explain fault header health loadbalance log loop metadata minimal nsid "
    "prometheus ready reload rewrite root tls view"
)
"""Directives that answer with no records of their own."""
OTHERS: Final = "chaos forward proxy secondary"
"""Those for other classes; and ``secondary``, which answers by the code of ``file``."""


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "db.test").write_text(
        "$ORIGIN test.\n$TTL 60\n@ SOA ns.test. a.test. 1 1 1 1 1\n@ NS a\na A 192.0.2.1\n"
    )
    (tmp_path / "resolv.conf").write_text("search ns.test c.test\n")
    return {"FOLDER": str(tmp_path), "SEARCH": str(tmp_path / "resolv.conf")}


def records(answer: Answer) -> tuple[Record, ...]:
    return (*answer.answer, *answer.authority, *answer.additional)


def test_the_table_has_every_directive() -> None:
    tested = {name.split(",")[0].split()[0] for name in ANSWERS}
    ignored = {name for name, module in SUPPORTED.items() if module.endswith(".ignored")}
    assert tested | {*NO_ANSWERS.split(), *OTHERS.split()} == set(SUPPORTED) - ignored


@pytest.mark.parametrize("qclass", [Class.CH, Class.HS, Class.NONE])
@pytest.mark.parametrize(("text", "asked"), ANSWERS.values(), ids=ANSWERS)
def test_no_record_of_another_class(
    text: str, asked: str, qclass: int, places: dict[str, str]
) -> None:
    for word, place in places.items():
        text = text.replace(word, place)
    server = Chain(f". {{\nchaos\n{text}\n}}\n", OBJECTS)
    transport = "tcp" if asked.endswith("AXFR") else "udp"
    found = server.ask(asked, transport=transport)
    assert records(found)
    other = server.ask(asked, transport=transport, qclass=qclass)
    assert other.rcode == Rcode.REFUSED or not other.handled
    assert not records(other)


def test_templates_may_answer_for_other_classes() -> None:
    server = Chain('. {\ntemplate ANY TXT {\nanswer "{{ .Name }} 60 {{ .Class }} TXT x"\n}\n}\n')
    (record,) = server.ask("a.test TXT", qclass=Class.CH).answer
    assert (record.rtype, record.rclass) == (Type.TXT, Class.CH)
