"""``tls``: a server block on DNS over TLS, asked by dig; certificates that change, clients that have one."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import dns.asyncquery
import dns.edns
import dns.message
import pytest

from kdns.config import corefile
from kdns.config.tree import ConfigError, ServerBlock
from kdns.sources import certificates
from tests.cluster.certificates import Authority
from tests.server.running import InProcess

COREFILE = """\
tls://.:0 {{
    bind 127.0.0.1
    tls {folder}/server.crt {folder}/server.key {options}
    hosts {{
        192.0.2.1 www.example.test
    }}
}}
"""


class Running(InProcess):
    """A server in this process, its certificate signed by an authority of its own."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.authority = folder, authority
        self.options = ""
        self.certify("first")
        super().__init__(COREFILE)

    def load(self) -> tuple[ServerBlock, ...]:
        text = self.text.format(folder=self.folder, options=self.options)
        return corefile.parse(text, "Corefile")

    def certify(self, name: str) -> None:
        certificate, key = self.authority.server(name)
        shutil.copy(certificate, self.folder / "server.crt")
        shutil.copy(key, self.folder / "server.key")

    @property
    def port(self) -> int:
        return self.endpoint.address.port

    async def dig(self, *extra: str) -> str:
        """The data of the answer, or what dig says instead."""
        tls = ("+tls", "+tls-hostname=localhost", f"+tls-ca={self.authority.certificate}")
        command = (
            "dig",
            "@127.0.0.1",
            "-p",
            str(self.port),
            *tls,
            "+short",
            "+time=30",
            "+tries=1",
        )
        process = await asyncio.create_subprocess_exec(
            *command, "www.example.test", "A", *extra, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out.decode().strip()

    async def shown(self) -> str:
        """The name in the certificate of a new connection."""
        trust = ssl.create_default_context(cafile=self.authority.certificate)
        _, writer = await asyncio.open_connection("localhost", self.port, ssl=trust)
        subject = dict(pair[0] for pair in writer.get_extra_info("peercert")["subject"])
        writer.close()
        await writer.wait_closed()
        return str(subject["commonName"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture
async def running(tmp_path: Path, authority: Authority) -> AsyncIterator[Running]:
    server = Running(tmp_path, authority)
    try:
        yield server
    finally:
        assert await server.stop() == 0


needs_dig = pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed")


@needs_dig
async def test_dig(running: Running) -> None:
    await running.start()
    assert await running.dig() == "192.0.2.1"
    (endpoint,) = running.server.core.sockets
    assert str(endpoint.address).startswith("tls://127.0.0.1:")
    assert endpoint.udp is None
    metrics = running.server.core.metrics.expose().decode()
    (line,) = [x for x in metrics.splitlines() if x.startswith("coredns_dns_requests_total{")]
    assert 'server="tls://127.0.0.1:0"' in line
    assert 'proto="tcp"' in line


async def test_replies_are_kept(running: Running) -> None:
    await running.start()
    trust = ssl.create_default_context(cafile=running.authority.certificate)
    query = dns.message.make_query("www.example.test.", "A", id=7)
    for _ in range(3):
        reply = await dns.asyncquery.tls(
            query, "127.0.0.1", 30, running.port, ssl_context=trust, server_hostname="localhost"
        )
        assert [item.to_text() for rrset in reply.answer for item in rrset] == ["192.0.2.1"]
    (endpoint,) = running.server.core.sockets
    assert endpoint.cache.hits == 2


async def test_replies_are_padded_where_the_query_is(running: Running) -> None:
    """RFC 8467 section 4.1; without the option, and over TCP alone, they are not."""
    await running.start()
    trust = ssl.create_default_context(cafile=running.authority.certificate)
    option = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(9))
    cookie = dns.edns.CookieOption(b"12345678", b"")
    wanted: tuple[list[dns.edns.Option], ...] = ([option], [], [cookie, option])
    sizes = []
    for options in wanted:
        query = dns.message.make_query("www.example.test.", "A", use_edns=0, options=options)
        reply = await dns.asyncquery.tls(
            query, "127.0.0.1", 30, running.port, ssl_context=trust, server_hostname="localhost"
        )
        assert reply.answer
        assert reply.wire is not None
        sizes.append(len(reply.wire))
    assert sizes[0] == sizes[2] == 468
    assert sizes[1] < 100


async def test_a_certificate_that_changes(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(certificates, "LOOK", 0.02)
    await running.start()
    assert await running.shown() == "first"
    running.certify("second")
    await _until(running, "second")
    certificate, key = running.authority.server("third")
    shutil.copy(certificate, running.folder / "server.crt")  # the key comes later
    for _ in range(1500):
        if "the key does not belong to the certificate" in caplog.text:
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail(f"nothing was said: {caplog.text!r}")
    assert await running.shown() == "second"
    shutil.copy(key, running.folder / "server.key")
    await _until(running, "third")


async def test_a_reload_takes_another_certificate(running: Running) -> None:
    await running.start()
    port = running.port
    running.options = f"{running.authority.certificate} {{\nclient_auth require_and_verify\n}}"
    assert await running.server.reload()
    assert running.port == port
    if shutil.which("dig"):
        assert await running.dig() != "192.0.2.1"
    running.options = "{\nclient_auth sometimes\n}"
    assert not await running.server.reload()
    assert running.port == port


CLIENTS = {
    "nocert": {"none": True, "ours": True, "stranger": True},
    "request": {"none": True, "ours": True, "stranger": True},
    "verify_if_given": {"none": True, "ours": True, "stranger": False},
    "require": {"none": False, "ours": True, "stranger": False},
    "require_and_verify": {"none": False, "ours": True, "stranger": False},
}


@pytest.mark.parametrize("mode", CLIENTS)
@needs_dig
async def test_clients_with_certificates(running: Running, mode: str, tmp_path: Path) -> None:
    running.options = f"{running.authority.certificate} {{\nclient_auth {mode}\n}}"
    await running.start()
    others = Authority(tmp_path / "others")
    pairs = {
        "none": (),
        "ours": running.authority.client("client", "somebody"),
        "stranger": others.client("client", "somebody"),
    }
    for who, pair in pairs.items():
        options = [f"+tls-certfile={pair[0]}", f"+tls-keyfile={pair[1]}"] if pair else []
        answered = await running.dig(*options) == "192.0.2.1"
        assert (who, answered) == (who, CLIENTS[mode][who])


async def test_session_keys_are_written_down(running: Running) -> None:
    running.options = f"{{\nkeylog {running.folder}/keys\n}}"
    await running.start()
    await running.shown()
    assert "TRAFFIC_SECRET" in (running.folder / "keys").read_text()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("rm server.crt", "3: tls: cannot use FOLDER/server.crt: No such file or directory"),
        ("rm server.key", "3: tls: cannot use FOLDER/server.key: No such file or directory"),
        (
            "echo hello > server.crt",
            "cannot use FOLDER/server.crt with FOLDER/server.key: it holds no PEM of that kind",
        ),
        (
            "openssl ecparam -genkey -name prime256v1 -noout -out server.key",
            "server.key: the key does not belong to the certificate",
        ),
        (
            "openssl ec -in server.key -aes128 -passout pass:x -out k && mv k server.key",
            "server.key: the key is encrypted; expected one without a password",
        ),
    ],
)
async def test_files_that_cannot_be_used(running: Running, spoil: str, reason: str) -> None:
    process = await asyncio.create_subprocess_shell(
        spoil, cwd=running.folder, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    with pytest.raises(ConfigError) as caught:
        await running.start()
    assert reason.replace("FOLDER", str(running.folder)) in str(caught.value)


async def test_an_authority_that_cannot_be_used(running: Running) -> None:
    running.options = "/dev/null {\nclient_auth require_and_verify\n}"
    with pytest.raises(ConfigError, match="tls: cannot use /dev/null: "):
        await running.start()


async def _until(running: Running, name: str) -> None:
    for _ in range(1500):
        if await running.shown() == name:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"the certificate of {name} is not shown")


async def test_who_shares_an_address_shares_the_certificate(running: Running) -> None:
    text = running.load()
    other = COREFILE.replace("tls://.", "tls://example.test").replace("server.crt", "other.crt")
    both = corefile.parse(other.format(folder=running.folder, options=""), "Corefile")
    running.server.reloader.load = lambda: (*text, *both)
    with pytest.raises(ConfigError, match="3: tls: differs from that at Corefile:3, also for tls"):
        await running.start()
