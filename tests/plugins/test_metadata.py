"""``metadata``: what directives publish, in all that makes use of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import pytest
from msgspec.structs import replace

from kdns.plugins import log, metadata, rewrite
from kdns.plugins.kubernetes.published import parts
from kdns.records.objects import Namespace, Pod, Port, Service
from kdns.wire.message import FOREVER, Answer, Query
from kdns.wire.names import from_text
from tests.plugins.chains import Chain, question, told
from tests.plugins.peers import Peers, check, wait_until

OBJECTS: Final = (
    Namespace("shop"),
    Service("shop", "web", cluster_ips=("10.96.1.1",), ports=(Port("http", "tcp", 80),)),
    Pod("store", "client-1", ("10.0.0.9",)),
    Pod("node", "proxy", ("10.0.0.10",), host_network=True),
)
COREFILE: Final = """\
. {
    metadata
    OTHER
    kubernetes cluster.local {
        pods verified
    }
}
"""
LABELS: Final = (
    *("kind", "namespace", "service", "endpoint", "port-name", "protocol", "zone", "parse-error"),
    *("client-namespace", "client-pod-name"),
)


def chain(other: str = "", text: str = COREFILE) -> Chain:
    return Chain(text.replace("OTHER", other), OBJECTS)


def test_a_publisher_that_fails_has_no_value(caplog: pytest.LogCaptureFixture) -> None:
    def fails(query: Query, label: str) -> str:
        raise KeyError(label)

    read = metadata.reader(((),), {"odd": fails, "view": lambda query, label: "v"})
    assert read(question("a.test A"), "odd/x", None) == ""
    assert read(question("a.test A"), "view/name", None) == "v"
    assert read(question("a.test A"), "odd/x", Answer(metadata=(("odd/x", "known"),))) == "known"
    assert [each.message for each in caplog.records] == ["odd/x for a.test.: KeyError('odd/x')"]


def published(server: Chain, name: str, client: str = "192.0.2.1") -> dict[str, str]:
    query = replace(question(f"{name} A"), client=client)
    found = {label: server.metadata(query, f"kubernetes/{label}") for label in LABELS}
    return {label: value for label, value in found.items() if value}


NAMES: Final = {
    "cluster.local.": {},
    "svc.cluster.local.": {},
    "shop.svc.cluster.local.": {"kind": "svc", "namespace": "shop"},
    "Web.Shop.svc.Cluster.local.": {"kind": "svc", "namespace": "shop", "service": "web"},
    "1-2-3-4.shop.pod.cluster.local.": {"kind": "pod", "namespace": "shop", "service": "1-2-3-4"},
    "e.web.shop.svc.cluster.local.": {
        "kind": "svc",
        "namespace": "shop",
        "service": "web",
        "endpoint": "e",
    },
    "_http._tcp.web.shop.svc.cluster.local.": {
        "kind": "svc",
        "namespace": "shop",
        "service": "web",
        "port-name": "http",
        "protocol": "tcp",
    },
    "a.b.c.web.shop.svc.cluster.local.": {"parse-error": "invalid query name"},
    "x.cluster.local.": {"parse-error": "invalid query name"},
    "example.org.": {},
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_parts_of_the_name(name: str, expected: dict[str, str]) -> None:
    assert published(chain(), name) == expected


def test_zones_of_nodes() -> None:
    labels = from_text("eu.west.pin._zone.web.shop.svc.")
    expected = {"kind": "svc", "namespace": "shop", "service": "web", "zone": "eu.west"}
    assert parts(labels, zonal=True) == expected
    assert parts(labels) == {"parse-error": "invalid query name"}


def test_who_asks() -> None:
    pod = {"client-namespace": "store", "client-pod-name": "client-1"}
    assert published(chain(), "example.org.", "10.0.0.9") == pod
    assert published(chain(), "example.org.", "::ffff:10.0.0.9") == pod
    assert published(chain(), "example.org.", "10.0.0.10") == {}
    assert published(chain(), "example.org.", "") == {}
    unwatched = chain(text=COREFILE.replace("verified", "insecure"))
    assert published(unwatched, "example.org.", "10.0.0.9") == {}


def test_only_with_the_directive_and_in_its_zones() -> None:
    name = "web.shop.svc.cluster.local."
    assert published(chain(text=COREFILE.replace("    metadata\n", "")), name) == {}
    elsewhere = chain(text=COREFILE.replace("metadata\n", "metadata example.org\n"))
    assert published(elsewhere, name) == {}


def test_in_templates() -> None:
    text = '"{{ .Name }} 1 TXT {{ .Meta \\"kubernetes/client-namespace\\" }}|{{ .Meta \\"x/y\\" }}"'
    server = chain(f"template IN TXT {{\nanswer {text}\n}}")
    answer = server.ask("a.org. TXT")
    assert told(answer) == "NOERROR; a.org. 1 TXT store|"
    assert answer.keep_until == 0.0


def test_in_expressions_of_templates() -> None:
    server = chain(
        "template IN TXT {\nvar who metadata('kubernetes/client-namespace')\nexpr who == 'store'\n"
        'answer "{{ .Name }} 1 TXT {{ .Var.who }}"\n}'
    )
    answer = server.ask("a.org. TXT")
    assert (told(answer), answer.keep_until) == ("NOERROR; a.org. 1 TXT store", 0.0)
    other = server.ask("a.org. TXT", client="192.0.2.1")
    assert (other.rcode, other.keep_until) == (2, 0.0)


def test_in_names() -> None:
    to = "{1}.{kubernetes/client-namespace}.svc.cluster.local metadata answer auto"
    rule = f"rewrite name regex ^([^.]*)\\.here\\.$ {to}"
    seen = []
    settings = cast("rewrite.Settings", chain(rule).settings("rewrite"))

    async def see(query: object) -> Answer:
        seen.append(query)
        return Answer()

    server = chain(rule)
    server.handler = rewrite.wrap(settings, see, server)
    assert server.ask("web.here. A").keep_until == 0.0
    assert server.ask("web.here. A", client="192.0.2.1").keep_until == 0.0  # a Pod gets another
    assert server.ask("web.there. A").keep_until == FOREVER
    names = [".".join(query.name) for query in seen]  # type: ignore[attr-defined]
    assert names == ["web.store.svc.cluster.local", "web.here", "web.there"]


def test_what_is_put_into_names_is_not_looked_at_again() -> None:
    rule = "rewrite name regex (.*)\\.here\\.$ {1}.{kubernetes/client-namespace} metadata"
    server = chain(rule)
    settings = cast("rewrite.Settings", server.settings("rewrite"))
    seen = []

    async def see(query: object) -> Answer:
        seen.append(query)
        return Answer()

    server.handler = rewrite.wrap(settings, see, server)
    server.ask("{kubernetes/client-pod-name}.here. A")
    assert seen[0].name == ("{kubernetes/client-pod-name}", "store")  # type: ignore[attr-defined]


def test_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    form = "{name} {/kubernetes/service} {/kubernetes/endpoint} {/forward/upstream} {/log/type} {/log/class}"
    settings = log.Settings((log.Rule((), form),))
    query = question("web.shop.svc.cluster.local. A")
    answer = Answer(rcode=3, metadata=(("forward/upstream", "192.0.2.1:53"),))
    log.observe(chain(), settings)(query, answer, 1, 0.0)
    log.observe(chain(text=COREFILE.replace("    metadata\n", "")), settings)(query, answer, 1, 0.0)
    assert caplog.messages == [
        "web.shop.svc.cluster.local. web - 192.0.2.1:53 NXDOMAIN denial",
        "web.shop.svc.cluster.local. - - - - -",
    ]


LOG = "{name} {local} {/forward/upstream} {/log/type} {/log/class} {/view/name} {/x/y}"


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    text = f"""\
test {{
    bind 127.0.0.1
    metadata
    view mine {{
        expr true
    }}
    log . "<{LOG}>"
    template IN TXT {{
        match ^a
        answer "{{{{ .Name }}}} 60 IN TXT <{{{{ .Meta \\"view/name\\" }}}}{{{{ .Meta \\"no/no\\" }}}}>"
        fallthrough
    }}
    hosts {{
        192.0.2.1 b.test
    }}
}}
. {{
    bind 127.0.0.1
    whoami
}}
"""
    server = Peers(text, tmp_path)
    yield server
    server.stop()


def test_beside_coredns(peers: Peers, tmp_path: Path) -> None:
    questions = ("a.test TXT", "b.test A", "b.test AAAA")
    check(peers, questions, {})

    def lines(name: str) -> list[str]:
        text = (tmp_path / f"{name}.log").read_text()
        return [line[line.index("<") :] for line in text.splitlines() if "<" in line]

    wait_until(lambda: len(lines("kdns")) == len(questions) == len(lines("coredns")), 60, "lines")
    assert lines("kdns") == lines("coredns")
    assert lines("kdns")[0] == "<a.test. 127.0.0.1 - NOERROR success mine ->"
