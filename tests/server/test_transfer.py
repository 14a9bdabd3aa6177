"""``transfer`` and ``secondary``: zones out and in, with dnspython, Knot and CoreDNS at the other end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import dns.asyncquery
import dns.edns
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest

from kdns.config.addresses import Address
from kdns.upstream import transfer
from kdns.upstream.errors import UpstreamError
from kdns.wire.names import to_wire
from tests.cluster import programs
from tests.cluster.processes import Process, free_dns_port
from tests.server.running import InProcess
from tests.waiting import until

ORIGIN: Final = "example.test"
MANIFESTS: Final = Path("examples/cluster").absolute()
HEAD: Final = """\
$ORIGIN example.test.
@ 60 IN SOA ns1 hostmaster {serial} {refresh} 1 {expire} 60
@ 60 IN NS ns1
ns1 60 IN A 192.0.2.1
*.wild 60 IN TXT "a \\" b" "c"
mail 60 IN MX 10 ns1
_sip._tcp 60 IN SRV 0 5 5060 ns1
"""
BIG: Final = "".join(f"host-{n} 60 IN A 10.0.{n // 256}.{n % 256}\n" for n in range(6000))


class Running(InProcess):
    """kdns in this process with one Corefile, on one free port for all of its blocks."""

    def __init__(self, text: str, port: int = 0) -> None:
        self.port = port or free_dns_port()
        super().__init__(text.replace("PORT", str(self.port)))

    async def __aenter__(self) -> Running:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert await self.stop() == 0

    async def ask(self, name: str, rdtype: str = "A") -> dns.message.Message:
        query = dns.message.make_query(name, rdtype, use_edns=0)
        return await dns.asyncquery.udp(query, "127.0.0.1", 30, self.port)

    async def address(self, name: str) -> str:
        """The first record's data, or the rcode."""
        reply = await self.ask(name)
        rrsets = reply.answer
        return str(rrsets[0][0]) if rrsets else dns.rcode.to_text(reply.rcode())

    async def zone(self, origin: str) -> dns.zone.Zone:
        return await fetched(origin, self.port)


async def fetched(origin: str, port: int) -> dns.zone.Zone:
    """The zone as dnspython reads it from a transfer."""
    zone = dns.zone.Zone(origin, relativize=False)
    await dns.asyncquery.inbound_xfr("127.0.0.1", zone, port=port, timeout=30, lifetime=50)
    return zone


def write(
    folder: Path,
    serial: int = 1,
    more: str = "",
    refresh: int = 60,
    expire: int = 600,
    origin: str = ORIGIN,
) -> None:
    text = HEAD.format(serial=serial, refresh=refresh, expire=expire) + more
    (folder / "db.new").write_text(text.replace(ORIGIN, origin))
    (folder / "db.new").rename(folder / "db")


def primary(folder: Path, to: str = "to *", more: str = "") -> str:
    return f"""\
.:PORT {{
    bind 127.0.0.1
    file {folder}/db {ORIGIN} {{
        reload 1s
    }}
    kubernetes cluster.local 10.in-addr.arpa {{
        manifests {MANIFESTS}
    }}
    transfer {{
        {to}
    }}
    {more}
}}
"""


def secondary(ports: str, zone: str = ORIGIN, more: str = "") -> str:
    return f"""\
.:PORT {{
    bind 127.0.0.1
    secondary {zone} {{
        transfer from {ports}
    }}
    {more}
}}
"""


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    write(tmp_path, more=BIG)
    async with Running(primary(tmp_path)) as running:
        yield running


# ---- out


async def test_a_zone_file_is_handed_over_whole(serving: Running, tmp_path: Path) -> None:
    expected = dns.zone.from_file(str(tmp_path / "db"), ORIGIN, relativize=False)
    assert await serving.zone(ORIGIN) == expected


async def test_a_cluster_is_handed_over(serving: Running) -> None:
    zone = await serving.zone("cluster.local")
    for name in ("kubernetes.default.svc", "_https._tcp.kubernetes.default.svc"):
        node = zone[f"{name}.cluster.local."]
        for rdataset in node:
            reply = await serving.ask(
                f"{name}.cluster.local", dns.rdatatype.to_text(rdataset.rdtype)
            )
            assert set(reply.answer[0]) == set(rdataset)
    pointers = await serving.zone("10.in-addr.arpa")
    assert "1.0.96.10.in-addr.arpa." in map(str, pointers)


@pytest.mark.parametrize(
    ("serial", "records"),
    [(1, 1), (2, 1), (0, 6007), (2**31 + 5, 6007)],
    ids=["has it", "has a newer one", "has an older one", "has one from before the turn"],
)
async def test_ixfr(serving: Running, serial: int, records: int) -> None:
    assert len(await dig(serving.port, ORIGIN, f"IXFR={serial}")) == records


async def dig(port: int, *words: str) -> list[str]:
    """The records that dig prints."""
    command = ("dig", "@127.0.0.1", "-p", str(port), "+noall", "+answer", "+onesoa", "+time=30")
    process = await asyncio.create_subprocess_exec(*command, *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return [line for line in out.decode().splitlines() if line and line[0] != ";"]


async def test_by_udp(serving: Running) -> None:
    refused = await serving.ask(ORIGIN, "AXFR")
    assert refused.rcode() == dns.rcode.REFUSED
    assert "by TCP" in reason(refused)
    soa = await serving.ask(ORIGIN, "IXFR")  # RFC 1995 section 2: ask again by TCP
    assert [rrset.rdtype for rrset in soa.answer] == [dns.rdatatype.SOA]


def reason(reply: dns.message.Message) -> str:
    return "; ".join(o.text or "" for o in reply.options if isinstance(o, dns.edns.EDEOption))


async def test_who_may_ask(tmp_path: Path) -> None:
    write(tmp_path)
    async with Running(primary(tmp_path, to="to 192.0.2.7 192.0.2.8:5300")) as running:
        for origin in (ORIGIN, "cluster.local"):
            query = dns.message.make_query(origin, "AXFR", use_edns=0)
            reply = await dns.asyncquery.tcp(query, "127.0.0.1", 30, running.port)
            assert (reply.rcode(), reply.answer) == (dns.rcode.REFUSED, [])
            assert reason(reply) == "transfer has no line 'to 127.0.0.1'"
        assert await running.address("ns1.example.test") == "192.0.2.1"


async def test_names_that_are_no_zones(serving: Running) -> None:
    for name in ("ns1.example.test", "svc.cluster.local"):
        query = dns.message.make_query(name, "AXFR")
        reply = await dns.asyncquery.tcp(query, "127.0.0.1", 30, serving.port)
        assert (reply.rcode(), reply.answer) == (dns.rcode.REFUSED, [])


async def test_many_at_once_from_one_that_does_not_read(serving: Running) -> None:
    """What they hold is shared, and others go on."""
    query = dns.message.make_query(ORIGIN, "AXFR").to_wire()
    frame = len(query).to_bytes(2, "big") + query
    opened = [
        await asyncio.open_connection("127.0.0.1", serving.port, limit=1024) for _ in range(50)
    ]
    for _, writer in opened:
        writer.write(frame * 100)
    assert await serving.address("ns1.example.test") == "192.0.2.1"
    assert len((await serving.zone(ORIGIN)).nodes) > 6000
    for _, writer in opened:
        writer.transport.abort()


# ---- in


async def test_a_secondary_follows_its_primary(tmp_path: Path) -> None:
    write(tmp_path)
    port = free_dns_port()
    first = primary(tmp_path, to=f"to 127.0.0.1:{port}")
    async with Running(first) as ours, Running(secondary(f"127.0.0.1:{ours.port}"), port) as theirs:
        await until(lambda: has(theirs, "ns1.example.test", "192.0.2.1"))
        assert await theirs.address("new.example.test") == "NXDOMAIN"  # and is kept
        write(tmp_path, serial=2, more="new 60 IN A 192.0.2.2\n")
        await until(
            lambda: has(theirs, "new.example.test", "192.0.2.2")
        )  # by NOTIFY: refresh is 60 s


async def has(running: Running, name: str, address: str) -> bool:
    return await running.address(name) == address


async def test_a_secondary_hands_on(tmp_path: Path) -> None:
    write(tmp_path, more=BIG)
    expected = dns.zone.from_file(str(tmp_path / "db"), ORIGIN, relativize=False)
    async with (
        Running(primary(tmp_path)) as ours,
        Running(secondary(f"127.0.0.1:{ours.port}", more="transfer {\nto *\n}")) as theirs,
    ):
        await until(lambda: has(theirs, "ns1.example.test", "192.0.2.1"))
        assert await theirs.zone(ORIGIN) == expected


async def test_a_zone_expires(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, refresh=1, expire=2)
    async with Running(primary(tmp_path)) as ours:
        theirs = Running(secondary(f"127.0.0.1:{ours.port}"))
        await theirs.__aenter__()
        await until(lambda: has(theirs, "ns1.example.test", "192.0.2.1"))
    try:
        await until(lambda: has(theirs, "ns1.example.test", "SERVFAIL"), 60)
        assert "zone example.test. has expired: 127.0.0.1:" in caplog.text
    finally:
        await theirs.__aexit__()


async def test_the_next_primary_is_asked(tmp_path: Path) -> None:
    write(tmp_path)
    closed = free_dns_port()
    async with (
        Running(primary(tmp_path)) as ours,
        Running(secondary(f"127.0.0.1:{closed} 127.0.0.1:{ours.port}")) as theirs,
    ):
        await until(lambda: has(theirs, "ns1.example.test", "192.0.2.1"))


async def test_several_secondaries_in_a_block(tmp_path: Path) -> None:
    """Each zone from its own primary and with its own options; the longest answers; notices reach both."""
    write(tmp_path)
    port = free_dns_port()
    to = f"to 127.0.0.1:{port}"
    sub = f"sub.{ORIGIN}"
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", origin=sub)
    below = primary(tmp_path / "below", to=to).replace(ORIGIN, sub)
    async with Running(primary(tmp_path, to=to)) as ours, Running(below) as deeper:
        lines = (
            f"secondary {sub} {{\ntransfer from 127.0.0.1:{deeper.port}\nfallthrough\n}}\nwhoami"
        )
        async with Running(secondary(f"127.0.0.1:{ours.port}", more=lines), port) as theirs:
            await until(lambda: has(theirs, "ns1.example.test", "192.0.2.1"))
            await until(lambda: has(theirs, "ns1.sub.example.test", "192.0.2.1"))
            assert await theirs.address("gone.example.test") == "NXDOMAIN"
            assert await theirs.address("gone.sub.example.test") == "NOERROR"  # whoami's
            write(tmp_path, serial=2, more="new 60 IN A 192.0.2.2\n")
            write(tmp_path / "below", 2, "new 60 IN A 192.0.2.3\n", origin=sub)
            await until(lambda: has(theirs, "new.example.test", "192.0.2.2"))
            await until(lambda: has(theirs, "new.sub.example.test", "192.0.2.3"))


async def test_before_the_first_transfer(caplog: pytest.LogCaptureFixture) -> None:
    closed = free_dns_port()
    async with Running(secondary(f"127.0.0.1:{closed}")) as running:
        reply = await running.ask("ns1.example.test")
        assert reply.rcode() == dns.rcode.SERVFAIL
        await until(lambda: f"not fetched: 127.0.0.1:{closed}: connection refused" in caplog.text)


async def test_a_notice_from_somebody_else(tmp_path: Path) -> None:
    async with Running(secondary("192.0.2.1")) as running:
        notice = dns.message.make_query(ORIGIN, "SOA")
        notice.set_opcode(dns.opcode.NOTIFY)
        reply = await dns.asyncquery.udp(notice, "127.0.0.1", 30, running.port)
        assert (reply.rcode(), reply.opcode()) == (dns.rcode.REFUSED, dns.opcode.NOTIFY)


async def test_a_notice_where_nothing_is_fetched(serving: Running) -> None:
    notice = dns.message.make_query(ORIGIN, "SOA")
    notice.set_opcode(dns.opcode.NOTIFY)
    reply = await dns.asyncquery.udp(notice, "127.0.0.1", 30, serving.port)
    assert reply.rcode() == dns.rcode.NOTIMP


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        (["ns1.example.test. 60 IN A 192.0.2.1"], "the transfer does not begin with the SOA"),
        ([], "the transfer has no records"),
        (["SOA", None], "the connection was closed in the middle"),
        (["SOA", "x.other.test. 60 IN A 192.0.2.1", "SOA"], "x.other.test."),
    ],
    ids=["no SOA", "nothing", "cut", "foreign name"],
)
async def test_a_primary_that_lies(
    messages: list[str | None], problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    soa = "example.test. 60 IN SOA ns1.example.test. h.example.test. 1 60 60 60 60"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = dns.message.from_wire((await reader.readexactly(2)) and await reader.read(512))
        for text in messages or [""]:
            if text is None:
                break
            reply = dns.message.make_response(query)
            if text:
                name, ttl, _, rdtype, data = (soa if text == "SOA" else text).split(" ", 4)
                reply.answer.append(dns.rrset.from_text(name, int(ttl), "IN", rdtype, data))
            wire = reply.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
        await writer.drain()
        writer.close()

    liar = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = liar.sockets[0].getsockname()[1]
    async with liar, Running(secondary(f"127.0.0.1:{port}")) as running:
        await until(lambda: problem in caplog.text)
        assert await running.address("ns1.example.test") == "SERVFAIL"


# ---- with others


KNOT: Final = """server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
database:
    storage: "{folder}"
template:
  - id: default
    storage: "{folder}"
remote:
  - id: kdns
    address: 127.0.0.1@{kdns}
acl:
  - id: kdns
    address: 127.0.0.1
    action: [transfer, notify]
zone:
  - domain: example.test
    {role}
    acl: kdns
"""


def knot(folder: Path, port: int, kdns: int, role: str) -> Process:
    program = shutil.which("knotd", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        pytest.skip("knotd is not installed")
    (folder / "knot.conf").write_text(KNOT.format(folder=folder, port=port, kdns=kdns, role=role))
    return Process([program, "-c", folder / "knot.conf"], folder / "knot.log")


async def test_knot_as_secondary(tmp_path: Path) -> None:
    write(tmp_path)
    port = free_dns_port()
    async with Running(primary(tmp_path, to=f"to 127.0.0.1:{port}")) as running:
        process = knot(tmp_path, port, running.port, "master: kdns")
        try:
            await until(lambda: dig_soa(port, 1), 60)
            write(tmp_path, serial=2)
            await until(lambda: dig_soa(port, 2), 60)
        finally:
            process.kill()


async def dig_soa(port: int, serial: int) -> bool:
    found = await dig(port, ORIGIN, "SOA", "+tries=1")
    return bool(found) and found[0].split()[6] == str(serial)


async def test_knot_as_primary(tmp_path: Path) -> None:
    write(tmp_path)
    port, kdns = free_dns_port(), free_dns_port()
    role = f'file: "{tmp_path}/db"\n    notify: kdns'
    process = knot(tmp_path, port, kdns, role)
    try:
        await until(lambda: dig_soa(port, 1), 60)
        async with Running(secondary(f"127.0.0.1:{port}"), kdns) as running:
            await until(lambda: has(running, "ns1.example.test", "192.0.2.1"))
            write(tmp_path, serial=2, more="new 60 IN A 192.0.2.2\n")
            os.kill(process.pid, 1)  # reads its files again
            await until(lambda: has(running, "new.example.test", "192.0.2.2"))
    finally:
        process.kill()


async def test_coredns_as_secondary(tmp_path: Path) -> None:
    """The zone of the cluster: what CoreDNS fetched is what kdns says."""
    program = programs.find(programs.COREDNS)
    if program is None:
        pytest.skip(programs.reason(programs.COREDNS))
    write(tmp_path)
    port = free_dns_port()
    async with Running(primary(tmp_path)) as running:
        text = secondary(f"127.0.0.1:{running.port}", "cluster.local", "transfer {\nto *\n}")
        (tmp_path / "Corefile").write_text(text.replace("PORT", str(port)))
        process = Process([program, "-conf", tmp_path / "Corefile"], tmp_path / "coredns.log")
        try:
            await until(lambda: transferred(port), 60)
            assert await fetched("cluster.local", port) == await running.zone("cluster.local")
        finally:
            process.kill()


async def transferred(port: int) -> bool:
    return bool(await dig(port, "cluster.local", "AXFR", "+tries=1"))


async def test_a_transfer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_OCTETS", 100_000)
    soa = dns.rrset.from_text(f"{ORIGIN}.", 60, "IN", "SOA", "ns1. hostmaster. 1 60 1 600 60")
    text = dns.rrset.from_text(f"a.{ORIGIN}.", 60, "IN", "TXT", *['"' + 250 * "x" + '"'] * 3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        query = dns.message.from_wire(await reader.readexactly(size))
        reply = dns.message.make_response(query)
        reply.answer = [soa, text]
        writer.write(reply.to_wire(prepend_length=True))
        reply.answer = [text]
        with suppress(OSError):
            while True:
                writer.write(reply.to_wire(prepend_length=True))
                await writer.drain()
        writer.transport.abort()
        given_up.set()

    given_up = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        records = transfer.transfer(address, to_wire(tuple(ORIGIN.split("."))))
        with pytest.raises(UpstreamError, match="too large"):
            async for _ in records:
                pass
        await given_up.wait()
