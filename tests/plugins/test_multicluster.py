"""``multicluster``: ServiceImports in a zone of their own, beside the Services of the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdns.config.access import ManifestAccess
from kdns.config.tree import ConfigError
from kdns.records.objects import (
    Change,
    Endpoint,
    Gone,
    Import,
    Imported,
    Kind,
    Namespace,
    Object,
    Port,
    Put,
    Service,
    Slice,
)
from kdns.sources.manifests import Manifests
from kdns.status import SourceStatus
from tests.plugins.chains import Chain, told

COREFILE = """\
.:53 {
    kubernetes cluster.local clusterset.local in-addr.arpa {
        multicluster clusterset.local
        zonal
    }
}
"""
SQL = (Port("sql", "tcp", 5432),)
EAST = Slice(
    *("shop", "db-east", "", (Endpoint(("10.1.0.1",), hostname="db-0"),), SQL),
    imported=Imported("db", "east"),
)
WEST = Slice(
    *("shop", "db-west", "db", (Endpoint(("10.2.0.1",), hostname="db-0", zone="z"),), SQL),
    imported=Imported("db", "West"),
)
OBJECTS: tuple[Object, ...] = (
    Namespace("shop"),
    Service("shop", "local", cluster_ips=("10.96.0.7",)),
    Service("shop", "db", headless=True),
    Import(Service("shop", "db", headless=True, ports=SQL)),
    Import(Service("shop", "web", cluster_ips=("10.42.0.1",))),
    EAST,
    WEST,
)
SET = "shop.svc.clusterset.local."
OWN = "shop.svc.cluster.local."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (f"web.{SET} A", "A 10.42.0.1"),
        (f"web.{OWN} A", "NXDOMAIN"),
        (f"local.{OWN} A", "A 10.96.0.7"),
        (f"local.{SET} A", "NXDOMAIN"),
        (f"db.{SET} A", "A 10.1.0.1, A 10.2.0.1"),
        (f"db.{OWN} A", "A 10.2.0.1"),
        (f"db-0.east.db.{SET} A", "A 10.1.0.1"),
        (f"db-0.WEST.db.{SET} A", "A 10.2.0.1"),
        (f"db-0.north.db.{SET} A", "NXDOMAIN"),
        (f"db-0.db.{SET} A", "NXDOMAIN"),
        (f"db-0.db.{OWN} A", "A 10.2.0.1"),
        (f"db-0.west.db.{OWN} A", "NXDOMAIN"),
        (f"east.db.{SET} A", "NODATA"),
        (f"z.pin._zone.db.{SET} A", "NXDOMAIN"),
        (
            f"_sql._tcp.db.{SET} SRV",
            f"SRV 0 50 5432 db-0.east.db.{SET}, SRV 0 50 5432 db-0.west.db.{SET}",
        ),
        (f"{SET} A", "NODATA"),
        (f"x.nowhere.{SET.removeprefix('shop.')} A", "NXDOMAIN"),
    ],
)
def test_answers(question: str, answer: str) -> None:
    rcode, *records = told(Chain(COREFILE, OBJECTS).ask(question)).split("; ")
    found = [
        line.split(" ", 2)[2] for line in records if line.count(" ") > 2 and line[0] not in "n+"
    ]
    assert (", ".join(found) or {"NOERROR": "NODATA"}.get(rcode, rcode)) == answer


def test_the_reason_is_about_the_import() -> None:
    chain = Chain(COREFILE, OBJECTS)
    (error,) = chain.ask(f"webb.{SET} A").errors
    assert error.text == "no ServiceImport webb in namespace shop; did you mean web?"


def test_a_change_drops_what_was_made_from_it() -> None:
    chain = Chain(COREFILE, OBJECTS)
    answer = chain.ask(f"db.{SET} A")
    moved = Slice(*("shop", "db-east", "", EAST.endpoints, SQL), imported=Imported("db", "south"))
    for change in (
        Put(moved),
        Gone(Kind.SLICE, "shop", "db-east"),
        Gone(Kind.IMPORT, "shop", "db"),
    ):
        assert chain.index.apply(change, 8.0) & answer.keys
    assert told(chain.ask(f"db.{SET} A")).startswith("NXDOMAIN")
    assert told(chain.ask(f"db.{OWN} A")).startswith("NOERROR")


def test_before_the_first_list() -> None:
    chain = Chain(COREFILE, OBJECTS)
    chain.index.clusterset.synced.discard(Kind.SERVICE)
    assert told(chain.ask(f"none.{SET} A")).startswith("SERVFAIL")
    assert told(chain.ask(f"none.{OWN} A")).startswith("NXDOMAIN")


def test_a_zone_that_is_not_served() -> None:
    with pytest.raises(ConfigError) as caught:
        Chain(".:53 {\nkubernetes cluster.local {\nmulticluster clusterset.local\n}\n}")
    expected = "Corefile:3: multicluster: clusterset.local. must be a zone of kubernetes as well"
    assert str(caught.value) == f"{expected}; those are cluster.local."


def test_from_manifests(tmp_path: Path) -> None:
    file = tmp_path / "imports.yaml"
    file.write_text("""\
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: web, namespace: shop}
spec: {type: ClusterSetIP, ips: [10.42.0.1], ports: [{name: http, port: 80}]}
---
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: db, namespace: shop}
spec: {type: Headless}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-east
  namespace: shop
  labels: {multicluster.kubernetes.io/service-name: db, multicluster.kubernetes.io/source-cluster: east}
addressType: IPv4
ports: [{name: sql, port: 5432}]
endpoints: [{addresses: [10.1.0.1], hostname: db-0}]
""")
    changes: list[Change] = []
    status = SourceStatus("test")
    Manifests(ManifestAccess(str(tmp_path), imports=True), status, changes.append).load()
    chain = Chain(COREFILE)
    for change in changes:
        chain.index.apply(change, 7.0)
    assert status.resources["serviceimports"].synced
    assert told(chain.ask(f"web.{SET} A")) == f"NOERROR; web.{SET} 5 A 10.42.0.1"
    assert told(chain.ask(f"db-0.east.db.{SET} A")) == f"NOERROR; db-0.east.db.{SET} 5 A 10.1.0.1"
