"""Reaching an API server: kubeconfigs, plugins, tokens and certificates that change, proxies."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml

from kdns.config.access import ApiAccess
from kdns.records.objects import Change
from kdns.server.process import loop_factory
from kdns.server.tasks import cancel
from kdns.sources.apiserver import ApiServer, fetch
from kdns.sources.backoff import Policy
from kdns.sources.transport import AccessError
from kdns.sources.watch import Limits
from kdns.status import SourceStatus
from tests.cluster.certificates import Authority
from tests.fakes.apiserver import SERVICES, FakeApi, Request
from tests.fakes.gate import Gate, Resetter
from tests.waiting import until

LIMITS = Limits(quiet=0.1, version_check=0.2)


def kubeconfig(path: Path, server: str, user: object = None, **cluster: object) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": [{"name": "main", "context": {"cluster": "one", "user": "dev"}}],
        "clusters": [{"name": "one", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "dev", "user": {} if user is None else user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


@asynccontextmanager
async def following(access: ApiAccess) -> AsyncIterator[SourceStatus]:
    status = SourceStatus("test")
    changes: list[Change] = []
    source = ApiServer(access, status, changes.append, LIMITS)
    await source.open()
    task = asyncio.create_task(source.run())
    try:
        yield status
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def synced(access: ApiAccess) -> str:
    """Follow until everything is there; the name of the source."""
    async with following(access) as status:
        await until(lambda: status.synced)
        return status.name


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi().run() as fake:
        fake.put(SERVICES, "web")
        yield fake


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "pki")


def server_tls(authority: Authority, name: str = "server", ask: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.server(name))
    if ask:
        context.load_verify_locations(authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


# -- ways to an API server ------------------------------------------------------------------------


async def test_endpoint_without_scheme_is_http(api: FakeApi) -> None:
    name = await synced(ApiAccess(endpoint=f"127.0.0.1:{api.port}"))
    assert name == api.url


async def test_endpoint_with_certificate_key_and_authority(authority: Authority) -> None:
    client = authority.client("client", "dns")
    async with FakeApi().run(server_tls(authority, ask=True)) as api:
        tls = (*map(str, client), str(authority.certificate))
        assert await synced(ApiAccess(endpoint=f"127.0.0.1:{api.port}", tls=tls)) == api.url


async def test_endpoint_with_an_authority_alone(authority: Authority) -> None:
    async with FakeApi().run(server_tls(authority)) as api:
        await synced(ApiAccess(endpoint=api.url, tls=(str(authority.certificate),)))


async def test_kubeconfig_with_inline_certificates(authority: Authority, tmp_path: Path) -> None:
    certificate, key = (
        base64.b64encode(path.read_bytes()).decode() for path in authority.client("inline", "dns")
    )
    user = {"client-certificate-data": certificate, "client-key-data": key}
    ca = base64.b64encode(authority.certificate.read_bytes()).decode()
    async with FakeApi().run(server_tls(authority, ask=True)) as api:
        path = kubeconfig(tmp_path / "c", api.url, user, **{"certificate-authority-data": ca})
        await synced(ApiAccess(kubeconfig=str(path)))


async def test_kubeconfig_with_relative_paths(authority: Authority, tmp_path: Path) -> None:
    for name, source in zip(("crt", "key"), authority.client("relative", "dns"), strict=True):
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "ca").write_bytes(authority.certificate.read_bytes())
    user = {"client-certificate": "crt", "client-key": "key"}
    async with FakeApi().run(server_tls(authority, ask=True)) as api:
        path = kubeconfig(tmp_path / "c", api.url, user, **{"certificate-authority": "ca"})
        await synced(ApiAccess(kubeconfig=str(path)))


async def test_the_context_chooses_the_cluster(api: FakeApi, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "c", "http://127.0.0.1:1")
    content = yaml.safe_load(path.read_text())
    content["clusters"].append({"name": "two", "cluster": {"server": api.url}})
    content["contexts"].append({"name": "other", "context": {"cluster": "two", "user": "dev"}})
    path.write_text(yaml.safe_dump(content))
    assert await synced(ApiAccess(kubeconfig=str(path), context="other")) == api.url


async def test_several_files_are_merged(api: FakeApi, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_text("apiVersion: v1\nkind: Config\n")
    second = kubeconfig(tmp_path / "second", api.url)
    await synced(ApiAccess(kubeconfig=os.pathsep.join(map(str, (first, second)))))


async def test_basic_token_and_token_file(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    api.tokens = {"Bearer inline"}
    await synced(
        ApiAccess(kubeconfig=str(kubeconfig(tmp_path / "c", api.url, {"token": "inline"})))
    )
    api.tokens = {"Bearer from-file"}
    user = {"tokenFile": "token"}
    await synced(ApiAccess(kubeconfig=str(kubeconfig(tmp_path / "c", api.url, user))))


async def test_in_cluster(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.aio.config import incluster_config

    token = tmp_path / "token"
    token.write_text("first\n")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority.certificate))
    async with FakeApi().run(server_tls(authority)) as api:
        monkeypatch.setattr(
            incluster_config.InClusterConfigLoader.__init__,
            "__defaults__",
            (
                True,
                {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)},
            ),
        )
        api.tokens = {"bearer first"}
        async with following(ApiAccess()) as status:
            await until(lambda: status.synced)
            # The kubelet replaces the token; the old one is refused from then on.
            token.write_text("second\n")
            api.tokens = {"bearer second"}
            api.end_watches()
            await until(lambda: _used(api, "bearer second"))
            await until(lambda: not status.problem)
            assert status.age(1e12) == 0


def _used(api: FakeApi, token: str) -> bool:
    return any(each.verb == "watch" and _token(each) == token for each in api.requests)


def _token(request: Request) -> str:
    return request.headers.get("Authorization", "")


PLUGIN = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
count = here / "count"
count.write_text(str(int(count.read_text() or 0) + 1) if count.exists() else "1")
answer = here / "answer"
if not answer.exists():
    sys.exit("\\033[1msession\\n over, don't worry: please log in")
print(answer.read_text())
"""


def plugin(folder: Path, token: str) -> dict[str, object]:
    """A user whose credentials come from a program that prints what ``grant`` has written."""
    program = folder / "plugin"
    program.write_text(PLUGIN.format(python=sys.executable))
    program.chmod(stat.S_IRWXU)
    if token:
        grant(folder, token)
    return {"exec": {"command": str(program), "apiVersion": "client.authentication.k8s.io/v1"}}


def grant(folder: Path, token: str) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token},
    }
    (folder / "answer").write_text(json.dumps(answer))


async def test_exec_plugin_is_asked_again_when_its_token_expires(
    api: FakeApi, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path / "c", api.url, plugin(tmp_path, "one"))
    api.tokens = {"Bearer one"}
    async with following(ApiAccess(kubeconfig=str(path))) as status:
        await until(lambda: status.synced)
        assert (tmp_path / "count").read_text() == "1", "one run serves all requests"
        grant(tmp_path, "two")
        api.tokens = {"Bearer two"}
        api.end_watches()
        await until(lambda: _used(api, "Bearer two"))
        await until(lambda: not status.problem)
        assert all(each.relists == 0 for each in status.resources.values())


async def test_exec_plugin_that_is_missing_says_how_to_install_it(tmp_path: Path) -> None:
    settings = {"command": "nowhere", "apiVersion": "v1", "installHint": "brew install nowhere"}
    path = kubeconfig(tmp_path / "c", "http://127.0.0.1:9", {"exec": settings})
    async with following(ApiAccess(kubeconfig=str(path))) as status:
        hint = "exec plugin nowhere: No such file or directory; brew install nowhere"
        await until(lambda: hint in status.problem)


async def test_exec_plugin_that_fails_at_start_is_tried_again(
    api: FakeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = kubeconfig(tmp_path / "c", api.url, plugin(tmp_path, ""))
    api.tokens = {"Bearer late"}
    async with following(ApiAccess(kubeconfig=str(path))) as status:
        await until(lambda: "please log in" in status.problem)
        said = r"\027[1msession over, don't worry: please log in (exit status 1)"
        assert f"exec plugin {tmp_path / 'plugin'}: {said}" in status.problem
        grant(tmp_path, "late")
        await until(lambda: status.synced)


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """New credentials are asked for after a minute."""
    monkeypatch.setattr("kdns.sources.connection.CREDENTIALS", Policy(60.0, 1.0, 60.0))


@pytest.mark.usefixtures("_patient")
async def test_a_plugin_that_fails_is_not_run_for_each_attempt(
    api: FakeApi, tmp_path: Path
) -> None:
    """It may open a browser; three watches that try again would run it three times a second."""
    path = kubeconfig(tmp_path / "c", api.url, plugin(tmp_path, ""))
    async with following(ApiAccess(kubeconfig=str(path))) as status:
        await until(lambda: all("log in" in each.problem for each in status.resources.values()))
        await asyncio.sleep(0.4)
        runs = (tmp_path / "count").read_text()
        assert runs == "2", "by the package, and once more to hear why"


@pytest.mark.usefixtures("_patient")
async def test_tokens_that_are_refused_are_not_asked_for_all_the_time(
    api: FakeApi, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path / "c", api.url, plugin(tmp_path, "wrong"))
    api.tokens = {"Bearer right"}
    async with following(ApiAccess(kubeconfig=str(path))) as status:
        await until(lambda: all("unauth" in each.problem for each in status.resources.values()))
        await asyncio.sleep(0.4)
        assert (tmp_path / "count").read_text() == "2", "once, and once more with fresh ones"


async def test_a_plugin_that_waits_for_its_user_holds_nothing_up(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdns.sources.apiserver.OPENING_SECONDS", 0.05)
    user = plugin(tmp_path, "late")
    program = tmp_path / "plugin"
    text = program.read_text().replace(
        "print(", "import time\nwhile not (here / 'go').exists(): time.sleep(0.02)\nprint("
    )
    program.write_text(text)
    api.tokens = {"Bearer late"}
    path = kubeconfig(tmp_path / "c", api.url, user)
    async with asyncio.timeout(30), following(ApiAccess(kubeconfig=str(path))) as status:
        assert not status.synced
        (tmp_path / "go").touch()
        await until(lambda: status.synced)
        assert status.name == api.url


async def test_refused_credentials_are_a_problem_with_words(api: FakeApi, tmp_path: Path) -> None:
    api.tokens = {"Bearer right"}
    path = kubeconfig(tmp_path / "c", api.url, {"token": "wrong"})
    async with following(ApiAccess(kubeconfig=str(path))) as status:
        await until(lambda: "unauthorized: cannot list services" in status.problem)
        assert "wrong" not in status.problem, "tokens are secret"


async def test_certificates_that_are_replaced_on_disk(authority: Authority, tmp_path: Path) -> None:
    """The API's authority changes: TLS fails until the new one is read."""
    other = Authority(tmp_path / "other")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.certificate.read_bytes())
    api = FakeApi()
    await api.start(server_tls(authority))
    path = kubeconfig(tmp_path / "c", api.url, {"token": "t"}, **{"certificate-authority": str(ca)})
    try:
        async with following(ApiAccess(kubeconfig=str(path))) as status:
            await until(lambda: status.synced)
            await api.stop()
            await api.start(server_tls(other))
            await until(lambda: "certificate verify failed" in status.problem)
            ca.write_bytes(other.certificate.read_bytes())
            await until(lambda: not status.problem)
    finally:
        await api.stop()


async def test_a_request_that_is_given_up_leaves_no_connection(authority: Authority) -> None:
    """Not even for TLS's farewell, to which an API server that hangs has no reply."""
    tls, asked = server_tls(authority), threading.Event()

    def hang(listener: socket.socket) -> None:
        with tls.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(1)
            asked.set()
            with socket.socket(fileno=os.dup(connection.fileno())) as beneath:
                while beneath.recv(4096):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        access = ApiAccess(endpoint=url, tls=(str(authority.certificate),))
        hanging = asyncio.create_task(asyncio.to_thread(hang, listener))
        asking = asyncio.create_task(fetch(access, "/version", {}, 30))
        await until(asked.is_set)
        await cancel([asking])
        with suppress(ConnectionResetError):
            await asyncio.wait_for(hanging, 20)


async def test_a_kubeconfig_that_is_edited_is_read_again(api: FakeApi, tmp_path: Path) -> None:
    """As when a local cluster is made anew on another port."""
    path = kubeconfig(tmp_path / "c", "http://127.0.0.1:1")
    async with following(ApiAccess(kubeconfig=str(path))) as status:
        await until(lambda: "connection refused" in status.problem)
        path.write_text("contexts: [")
        await until(lambda: f"{path}:" in status.problem)
        kubeconfig(path, api.url)
        await until(lambda: status.synced)


async def test_proxy_url_is_honoured(api: FakeApi, tmp_path: Path) -> None:
    asked: list[bytes] = []
    relays: list[asyncio.Task[None] | None] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0])
        upstream, out = await asyncio.open_connection("127.0.0.1", api.port)
        try:
            head = head.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
            out.write(head.replace(b"http://cluster.test", b"", 1))
            while data := await upstream.read(65536):
                writer.write(data)
        finally:
            for each in (out, writer):
                each.close()

    proxy = await asyncio.start_server(relay, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    path = kubeconfig(tmp_path / "c", "http://cluster.test", **{"proxy-url": address})
    try:
        async with following(ApiAccess(kubeconfig=str(path))) as status:
            await until(lambda: asked)
            await until(lambda: any(r.synced for r in status.resources.values()))
    finally:
        proxy.close()
        await cancel(filter(None, relays))
    assert asked[0].startswith(b"GET http://cluster.test/")


# -- what is wrong with the settings --------------------------------------------------------------

BROKEN: list[tuple[str, str, str]] = [
    ("not YAML", "a: [", ":1: "),
    ("not a mapping", "- 1", "Expected `object`, got `array`"),
    ("empty", "", "Expected `object`, got `null`"),
    ("not UTF-8", "\xff", ": not a kubeconfig: expected UTF-8"),
    ("no current context", "{}", ": current-context: missing; name a context (there are: none)"),
    (
        "unknown context",
        "{current-context: x, contexts: [{name: y, context: {}}]}",
        ": contexts: no entry named 'x' (there are: y)",
    ),
    (
        "unknown cluster",
        "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}]}",
        ": clusters: no entry named 'c' (there are: none)",
    ),
    (
        "contexts of the wrong type",
        "{contexts: {x: 1}}",
        "Expected `array | null`, got `object` - at `$.contexts`",
    ),
]
FIELDS: list[tuple[str, str, object, dict[str, object], str]] = [
    (
        "no server",
        "",
        {},
        {},
        "clusters[one].cluster.server: expected an http or https URL, got ''",
    ),
    ("odd server", "localhost:6443", {}, {}, "clusters[one].cluster.server: expected an http or"),
    (
        "socks proxy",
        "http://a",
        {},
        {"proxy-url": "socks5://x"},
        "cluster.proxy-url: only http and",
    ),
    (
        "no CA file",
        "https://a",
        {},
        {"certificate-authority": "none.crt"},
        "clusters[one].cluster.certificate-authority: ",
    ),
    ("no key file", "https://a", {"client-key": "k"}, {}, "users[dev].user.client-key: "),
    ("no token file", "https://a", {"tokenFile": "t"}, {}, "users[dev].user.tokenFile: "),
    (
        "data that are not base64",
        "https://a",
        {"client-key-data": "***"},
        {},
        "users[dev].user.client-key-data: not base64",
    ),
    (
        "data that are no certificate",
        "https://a",
        {},
        {"certificate-authority-data": "AAAA"},
        "clusters[one].cluster.certificate-authority-data: expected a certificate or key in PEM",
    ),
    (
        "a certificate that is broken",
        "https://a",
        {},
        {"certificate-authority-data": base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()},
        "certificates or key",
    ),
    ("plugin without command", "https://a", {"exec": {"apiVersion": "v1"}}, {}, "`command`"),
    ("token of the wrong type", "https://a", {"token": 5}, {}, "`$.users[0].user.token`"),
]


async def refused(access: ApiAccess) -> str:
    source = ApiServer(access, SourceStatus("test"), lambda _: None)
    try:
        with pytest.raises(AccessError) as caught:
            await source.open()
    finally:
        await source.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
async def test_a_broken_kubeconfig_is_an_error_with_its_place(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    path.write_text(text, "latin-1")
    said = await refused(ApiAccess(kubeconfig=str(path)))
    assert str(path) in said
    assert message in said


@pytest.mark.parametrize(
    ("server", "user", "cluster", "message"),
    [row[1:] for row in FIELDS],
    ids=[row[0] for row in FIELDS],
)
async def test_a_wrong_field_is_named(
    server: str, user: object, cluster: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path / "config", server, user, **cluster)
    said = await refused(ApiAccess(kubeconfig=str(path)))
    assert str(path) in said
    assert message in said


async def test_a_missing_kubeconfig_is_named() -> None:
    assert await refused(ApiAccess(kubeconfig="/nowhere/config")) == "/nowhere/config: no such file"


async def test_an_unknown_context_lists_those_there_are(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "c", "http://a")
    said = await refused(ApiAccess(kubeconfig=str(path), context="other"))
    assert said == f"{path}: contexts: no entry named 'other' (there are: main)"


async def test_outside_a_cluster_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    said = await refused(ApiAccess())
    assert said == (
        "in-cluster configuration: Service host/port is not set;"
        " outside a Pod, name an API server by kubeconfig or endpoint"
    )


async def test_missing_tls_files_of_an_endpoint() -> None:
    said = await refused(ApiAccess(endpoint="https://a", tls=("/nowhere/ca",)))
    assert said == "tls: /nowhere/ca: no such file"


def test_what_is_not_used_of_the_package_is_not_imported() -> None:
    """It would be a third of the time to start; a process of its own, for its modules to be counted."""
    script = """if True:
        import asyncio, sys
        from kdns.config.access import ApiAccess
        from kdns.sources.apiserver import ApiServer, fetch
        from kdns.status import SourceStatus

        async def main():
            source = ApiServer(ApiAccess("http://127.0.0.1:1"), SourceStatus(""), print)
            await source.open()
            await source.close()

        asyncio.run(main())
        unused = {"kubernetes.client", "kubernetes.aio.dynamic", "kubernetes.aio.watch", "requests"}
        unused |= {"kubernetes.aio.client.api_client", "kubernetes.aio.config.kube_config", "pydantic"}
        print("kubernetes.aio.client.rest" in sys.modules, unused & sys.modules.keys())
    """
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=15
    )
    assert done.stdout == "True set()\n"


# -- a load balancer without a server behind it ------------------------------------------------------


async def _watching_after_resets(
    access: ApiAccess, api: FakeApi, gate: Gate, running: bool
) -> float:
    """Seconds from the first connection that is not reset until everything is watched."""
    status = SourceStatus("test")

    def calm() -> bool:
        watched = api.watches == len(status.resources)
        return watched and status.synced and not status.age(1e12)

    source = ApiServer(access, status, lambda change: None)
    if running:
        await gate.open()
    else:
        resetter = Resetter(gate.port)
    task = asyncio.create_task(source.run())
    try:
        if running:
            await until(calm)
            await gate.shut()
            resetter = Resetter(gate.port)
        await until(lambda: resetter.resets > RESETS)
        resetter.stop()
        await gate.open()
        return await until(calm)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await gate.shut()


RESETS = 15
"""Before the API server is there."""


@pytest.mark.parametrize("running", [False, True], ids=["at start", "while running"])
def test_connections_that_are_reset_at_once_end_nothing(
    authority: Authority, running: bool
) -> None:
    async def one() -> float:
        async with FakeApi().run(server_tls(authority)) as api:
            gate = Gate(api.port)
            endpoint = f"https://127.0.0.1:{gate.port}"
            access = ApiAccess(endpoint=endpoint, tls=(str(authority.certificate),))
            return await _watching_after_resets(access, api, gate, running)

    async def several() -> list[float]:
        return await asyncio.gather(*(one() for _ in range(6)))

    with asyncio.Runner(loop_factory=loop_factory()) as runner:  # it happens with uvloop
        assert max(runner.run(several())) < 5, "a pause is a second at the most"
