# ruff: noqa: E501  (a table row per case reads best on one line)
"""Reasons never name what the client could not query: what ``acl`` blocks, what another server block has,
and what a ``view`` hides."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import dns.asyncquery
import dns.edns
import dns.message
import pytest

from kdns.plugins.acl import ACTIONS
from kdns.records.objects import Endpoint, Namespace, Object, Port, Service, Slice
from kdns.wire.constants import Rcode
from kdns.wire.message import Answer
from tests.cluster.processes import free_dns_port
from tests.plugins.chains import Chain
from tests.server.running import InProcess

HTTP: Final = (Port("http", "tcp", 80),)
OBJECTS: Final[tuple[Object, ...]] = (
    Namespace("shop"),
    Namespace("vault"),
    Service("shop", "web", cluster_ips=("10.96.0.1",), ports=HTTP),
    Service("shop", "public", cluster_ips=("10.96.0.2",), ports=HTTP, external_ips=("192.0.2.1",)),
    Service("shop", "db", cluster_ips=(), headless=True, ports=HTTP),
    Slice(
        "shop",
        "db-1",
        "db",
        (Endpoint(("10.1.0.1",), hostname="pod-0"), Endpoint(("10.1.0.2",), hostname="pod-1")),
        HTTP,
    ),
    Service("vault", "secret", cluster_ips=("10.96.0.9",), ports=HTTP, external_ips=("192.0.2.9",)),
)

HINTS: Final = {
    "the same name": ("secret.shop.svc.D", "vault.svc.D", "there is one in vault"),
    "appended, endpoint": ("secret.vault.shop.svc.D", "vault.svc.D", "appended to secret.vault, which exists"),
    "namespace and name": ("vault.secret.svc.D", "vault.svc.D", "Service secret is in namespace vault"),
    "no name": ("secret.svc.D", "vault.svc.D", "is in namespace vault"),
    "alike": ("pubic.shop.svc.D", "public.shop.svc.D", "did you mean public?"),
    "namespace alike": ("web.valt.svc.D", "vault.svc.D", "did you mean vault?"),
    "no form": ("secret.vault.D", "vault.svc.D", "did you mean secret.vault.svc?"),
    "endpoint": ("pod-2.db.shop.svc.D", "pod-0.db.shop.svc.D pod-1.db.shop.svc.D", "ready: pod-0, pod-1"),
    "port": ("_htp._tcp.web.shop.svc.D", "_http._tcp.web.shop.svc.D", "_http._tcp"),
    "outside": ("secret.shop.ext.test", "vault.ext.test", "there is one in vault"),
    "outside, alike": ("pubic.shop.ext.test", "public.shop.ext.test", "did you mean public?"),
    "outside, namespace": ("web.valt.ext.test", "vault.ext.test", "did you mean vault?"),
}  # fmt: skip
"""A query, the zones with what its reason mentions, and how it does."""


def ask(acl: str, name: str, client: str = "10.0.0.9", *, short: str = "") -> Answer:
    text = f". {{\n{acl}\n{short}\nk8s_external ext.test\nkubernetes cluster.local\n}}\n"
    return Chain(text, OBJECTS).ask(f"{name} A".replace(".D ", ".cluster.local "), client=client)


def why(answer: Answer) -> str:
    return "; ".join(error.text for error in answer.errors)


@pytest.mark.parametrize(("name", "zones", "hint"), HINTS.values(), ids=HINTS)
def test_what_acl_blocks_is_not_named(name: str, zones: str, hint: str, clock: float) -> None:
    zones = zones.replace(".D", ".cluster.local")
    open_ = ask("", name)
    assert hint in why(open_)
    assert open_.keep_until == clock + 5
    for action in set(ACTIONS) - {"allow"}:
        blocked = ask(f"acl {zones} {{\n{action}\n}}", name)
        assert blocked.rcode == Rcode.NXDOMAIN
        assert why(blocked)
        assert hint not in why(blocked)
        assert blocked.keep_until == clock + 5, "it is the same for every client"
    own = f"acl {zones} {{\nblock net 10.0.0.0/24\n}}"
    near, far = ask(own, name), ask(own, name, "10.0.1.1")
    assert hint not in why(near)
    assert hint in why(far)
    assert near.keep_until == far.keep_until == 0.0
    # The server's own queries may be made for any client.
    assert hint not in why(ask(own, name, ""))
    assert hint not in why(ask(f"acl {zones} {{\nallow net 10.0.0.0/24\nblock\n}}", name, ""))
    assert hint in why(ask(f"acl {zones} {{\nblock type TXT\n}}", name))


def test_what_is_not_blocked_is_named_still() -> None:
    objects = (*OBJECTS, Namespace("open"), Service("open", "secret", cluster_ips=("10.96.0.8",)))
    text = ". {\nacl vault.svc.cluster.local {\nblock\n}\nkubernetes cluster.local\n}\n"
    answer = Chain(text, objects).ask("secret.shop.svc.cluster.local A")
    assert why(answer) == "no Service secret in namespace shop; there is one in open"


@pytest.mark.parametrize(
    ("action", "rcode", "silent"),
    [("block", Rcode.REFUSED, False), ("filter", Rcode.NOERROR, False), ("drop", 0, True)],
)
def test_shortnames_completes_no_name_that_acl_blocks(
    action: str, rcode: int, silent: bool
) -> None:
    acl = f"acl vault.svc.cluster.local {{\n{action} net 10.0.0.0/24\n}}"
    blocked = ask(acl, "secret.vault", short="shortnames")
    assert (blocked.rcode, blocked.silent, blocked.answer) == (rcode, silent, ())
    assert blocked.keep_until == 0.0
    assert ask(acl, "secret.vault", "10.0.1.1", short="shortnames").answer
    assert "vault" not in why(ask(acl, "secret.shop", short="shortnames"))


MANIFESTS: Final = """\
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: vault}}
---
apiVersion: v1
kind: Service
metadata: {name: secret, namespace: vault}
spec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}
"""
CLUSTER: Final = "kubernetes cluster.local {\nmanifests FOLDER\n}\n"

BLOCKS: Final = {
    "one": (f"@cluster.local \n{CLUSTER}}}\n", True),
    "another block": (f"@cluster.local \n{CLUSTER}}}\n@vault.svc.cluster.local \nwhoami\n}}\n", False),
    "a view of the zone": (f"@cluster.local \nview own {{\nexpr name() contains 'shop'\n}}\n{CLUSTER}}}\n@cluster.local \nwhoami\n}}\n", False),
    "a view for clients": (f"@vault.svc.cluster.local \nview far {{\nexpr incidr(client_ip(), '127.0.0.2/32')\n}}\n{CLUSTER}}}\n@cluster.local \n{CLUSTER}}}\n", True),
    "acl": (f"@cluster.local \nacl vault.svc.cluster.local {{\nblock\n}}\n{CLUSTER}}}\n", False),
}  # fmt: skip


@pytest.fixture
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[InProcess]:
    (tmp_path / "all.yaml").write_text(MANIFESTS)
    text = str(request.param).replace("FOLDER", str(tmp_path))
    text = re.sub(r"(?m)^@(\S+) ", rf"\1:{free_dns_port()} {{\nbind 127.0.0.1\n", text)
    running = InProcess(text)
    await running.start()
    yield running
    assert await running.stop() == 0


async def reason(server: InProcess, source: str = "127.0.0.1") -> str:
    query = dns.message.make_query("secret.shop.svc.cluster.local", "A", use_edns=True, id=7)
    port = server.endpoint.address.port
    reply = await dns.asyncquery.udp(query, "127.0.0.1", 30, port, source=source)
    return "; ".join(option.text or "" for option in reply.extended_errors())


@pytest.mark.parametrize(("server", "named"), BLOCKS.values(), ids=BLOCKS, indirect=["server"])
async def test_what_other_blocks_answer_for_is_not_named(server: InProcess, named: bool) -> None:
    for _ in range(2):
        text = await reason(server)
        assert text.startswith("no Service secret in namespace shop")
        assert ("vault" in text) == named
    if "far" in server.text:
        assert "vault" not in await reason(server, "127.0.0.2")


@pytest.mark.parametrize("server", [BLOCKS["one"][0], BLOCKS["acl"][0]], indirect=True)
async def test_explanations_show_no_object_that_acl_blocks(server: InProcess) -> None:
    name = "secret.vault.shop.svc.cluster.local.explain.kdns"
    query = dns.message.make_query(name, "TXT", use_edns=True)
    reply = await dns.asyncquery.tcp(query, "127.0.0.1", 30, server.endpoint.address.port)
    steps = " ".join(item.to_text() for rrset in reply.answer for item in rrset)
    assert "no such name" in steps
    assert ("10.96.0.9" in steps) == ("acl" not in server.text)
