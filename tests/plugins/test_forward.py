"""``forward``: its options, what it makes of replies, and what it says when there are none."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import dns.flags
import pytest
from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.config.tree import ConfigError
from kdns.plugins import errors
from kdns.plugins.forward import Settings, covers_root
from kdns.plugins.forward.targets import read_targets
from kdns.upstream.client import Target
from kdns.upstream.probes import Check
from kdns.upstream.resolv import ResolvError, nameservers
from kdns.upstream.streams import Limits
from kdns.upstream.upstream import Options
from kdns.wire.constants import ErrorCode, Rcode
from kdns.wire.message import Edns
from tests.cluster.certificates import Authority
from tests.fakes.nameserver import NameServer
from tests.plugins.chains import question, refusal, settings, told
from tests.plugins.forwarding import Block

RECORD = "a.test. 300 IN A 192.0.2.1"


def forward(server: NameServer, *options: str, zone: str = ".") -> str:
    lines = "\n".join(options)
    return f"forward {zone} 127.0.0.1:{server.port} {{\n{lines}\n}}"


class TestOptions:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("except a.test b.test", {"excepted": (("a", "test"), ("b", "test"))}),
            ("except 10.0.0.0/8", {"excepted": (("10", "in-addr", "arpa"),)}),
            ("tls", {"tls": ()}),
            ("tls cert key ca", {"tls": ("cert", "key", "ca")}),
            ("tls_servername dns.test", {"servername": "dns.test"}),
            ("next NXDOMAIN refused", {"next_rcodes": frozenset({3, 5})}),
            ("next_on_nodata", {"next_on_nodata": True}),
            (
                "resolver 10.0.0.1 [::1]:54",
                {"resolvers": (Address("10.0.0.1", 53), Address("::1", 54))},
            ),
            ("doh_method POST", {}),
        ],
    )
    def test_of_the_stage(self, line: str, expected: dict[str, object]) -> None:
        found = settings(f"forward . 192.0.2.1 {{\n{line}\n}}")
        assert isinstance(found, Settings)
        assert found == Settings(((),), ("192.0.2.1",), location=found.location, **expected)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("force_tcp", Options(force_tcp=True)),
            ("prefer_udp", Options(prefer_udp=True)),
            ("failfast_all_unhealthy_upstreams", Options(failfast=True)),
            ("max_concurrent 1000", Options(max_concurrent=1000)),
            ("max_connect_attempts 0", Options(max_connect_attempts=0)),
            ("max_fails 0", Options(max_fails=0)),
            ("expire 20s", Options(limits=Limits(expire=20))),
            ("max_age 1m", Options(limits=Limits(max_age=60))),
            ("max_idle_conns 3", Options(limits=Limits(max_idle=3))),
            ("read_timeout 500ms", Options(read_timeout=0.5)),
            ("policy round_robin", Options(policy="round_robin")),
            ("policy sequential", Options(policy="sequential")),
            ("failover SERVFAIL REFUSED", Options(failover=frozenset({2, 5}))),
            ("source_address ::1", Options(source="::1")),
            ("health_check 5s", Options(check=Check(5))),
            (
                "health_check 5s no_rec domain A.test",
                Options(check=Check(5, recursion_desired=False, domain=b"\1A\4test\0")),
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_of_the_pool(self, line: str, expected: Options) -> None:
        found = settings(f"forward . 192.0.2.1 {{\n{line}\n}}")
        assert isinstance(found, Settings)
        assert found.options == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("forward", "2: forward: expected FROM and at least one TO"),
            ("forward .", "2: forward: expected FROM and at least one TO"),
            ("forward a..b 192.0.2.1", "2: not a zone: 'a..b' has an empty label"),
            ("forward . https://192.0.2.1", "https:// upstreams are not supported"),
            ("forward . quic://192.0.2.1", "quic:// upstreams are not supported"),
            ("forward . udp://192.0.2.1", "expected dns:// or tls://, found udp://"),
            ("forward . tls://", "'tls://' is no address"),
            ("forward . a..b", "'a..b' is no address, no file and no host name"),
            (
                "forward . " + " ".join(f"192.0.2.{n}" for n in range(16)),
                "16 upstreams; 15 is the most",
            ),
            ("forward . 192.0.2.1 {\nfoo\n}", "3: foo: unknown option of forward; known are doh"),
            ("forward . 192.0.2.1 {\npolicy best\n}", "3: policy: unknown policy 'best'"),
            (
                "forward . 192.0.2.1 {\nmax_fails -1\n}",
                "3: max_fails: expected a number from 0 to 4294967295",
            ),
            ("forward . 192.0.2.1 {\nmax_fails\n}", "3: max_fails: takes exactly one argument"),
            ("forward . 192.0.2.1 {\nmax_concurrent x\n}", "3: max_concurrent: expected a number"),
            (
                f"forward . 192.0.2.1 {{\nmax_fails {'9' * 5000}\n}}",
                "3: max_fails: expected a number",
            ),
            ("forward . 192.0.2.1 {\nforce_tcp yes\n}", "3: force_tcp: takes no argument"),
            ("forward . 192.0.2.1 {\nexpire 5\n}", "3: expire: '5' is not a duration"),
            ("forward . 192.0.2.1 {\nexpire -5s\n}", "3: expire: cannot be negative"),
            ("forward . 192.0.2.1 {\nread_timeout 0\n}", "3: read_timeout: must be more than 0"),
            (
                "forward . 192.0.2.1 {\nmax_age 5s\n}",
                "2: forward: max_age (5s) is less than expire",
            ),
            ("forward . 192.0.2.1 {\nhealth_check\n}", "3: health_check: expected DURATION"),
            (
                "forward . 192.0.2.1 {\nhealth_check 1s often\n}",
                "expected no_rec or domain NAME, got",
            ),
            (
                "forward . 192.0.2.1 {\nhealth_check 1s domain\n}",
                "3: health_check: nothing stands after domain",
            ),
            (
                "forward . 192.0.2.1 {\nhealth_check 1s domain a..b\n}",
                "3: health_check: domain: 'a..b",
            ),
            ("forward . 192.0.2.1 {\nnext\n}", "3: next: expected at least one rcode"),
            ("forward . 192.0.2.1 {\nnext OFTEN\n}", "3: next: 'OFTEN' is no rcode"),
            ("forward . 192.0.2.1 {\nfailover NOERROR\n}", "3: failover: NOERROR is no failure"),
            ("forward . 192.0.2.1 {\nsource_address here\n}", "3: source_address: expected an IP"),
            ("forward . 192.0.2.1 {\nresolver here\n}", "3: resolver: expected IP or IP:PORT"),
            ("forward . 192.0.2.1 {\ntls 1 2 3 4\n}", "3: tls: expected at most CERT KEY CA"),
            ("forward . 192.0.2.1 {\ndoh_method PUT\n}", "3: doh_method: expected GET or POST"),
            ("forward . 192.0.2.1 {\nexcept\n}", "3: except: expected at least one zone"),
            (
                "forward . tls://192.0.2.1%a.test {\ntls_servername b.test\n}",
                "2: forward: tls_servername together with a name after %",
            ),
        ],
    )
    def test_refused(self, text: str, expected: str) -> None:
        assert expected in refusal(text)

    def test_covers_root(self) -> None:
        assert covers_root([settings("forward . 192.0.2.1")])
        assert not covers_root([settings("forward test 192.0.2.1")])


class TestTargets:
    @pytest.mark.parametrize(
        ("to", "expected"),
        [
            ("192.0.2.1", ["192.0.2.1:53"]),
            ("dns://192.0.2.1", ["192.0.2.1:53"]),
            ("192.0.2.1:54 192.0.2.1:54", ["192.0.2.1:54"]),
            ("2001:db8::1", ["[2001:db8::1]:53"]),
            ("[2001:db8::1]:54", ["[2001:db8::1]:54"]),
            ("[2001:db8::1]", ["[2001:db8::1]:53"]),
            ("fe80::1%eth0", ["[fe80::1%eth0]:53"]),
            ("tls://192.0.2.1", ["192.0.2.1:853"]),
            ("tls://192.0.2.1:54", ["192.0.2.1:54"]),
            ("localhost:54", ["127.0.0.1:54"]),
        ],
    )
    def test_addresses(self, to: str, expected: list[str]) -> None:
        found = settings(f"forward . {to}")
        assert isinstance(found, Settings)
        targets = [str(target) for target in read_targets(found)]
        assert [each for each in targets if each != "[::1]:54"] == expected

    def test_names_in_certificates(self) -> None:
        found = settings(
            "forward . tls://192.0.2.1%a.test tls://192.0.2.2%b.test:54 192.0.2.3"
            " tls://192.0.2.4:55%c.test tls://[::1]:56%d.test tls://[::2%e.test]:57 tls://::3%f.test"
        )
        assert isinstance(found, Settings)
        assert read_targets(found) == [
            Target(Address("192.0.2.1", 853), True, "a.test"),
            Target(Address("192.0.2.2", 54), True, "b.test"),
            Target(Address("192.0.2.3", 53)),
            Target(Address("192.0.2.4", 55), True, "c.test"),
            Target(Address("::1", 56), True, "d.test"),
            Target(Address("::2", 57), True, "e.test"),
            Target(Address("::3", 853), True, "f.test"),
        ]

    def test_resolv_conf(self, tmp_path: Path) -> None:
        path = tmp_path / "resolv.conf"
        path.write_text(
            "# nameserver 192.0.2.9\nsearch a.test\nnameserver 192.0.2.1 # first\nnameserver\t::1\n"
            "nameserver example.org\nnameserver\noptions ndots:5\nnameserver fe80::1%eth0\n"
        )
        assert nameservers(str(path)) == ["192.0.2.1", "::1", "fe80::1%eth0"]
        found = settings(f"forward . {path} 192.0.2.1")
        assert isinstance(found, Settings)
        assert [target.address.host for target in read_targets(found)][:2] == ["192.0.2.1", "::1"]

    @pytest.mark.parametrize("text", ["", "search a\n", "nameserver x\n", "\0\xff"])
    def test_without_a_nameserver(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "resolv.conf"
        path.write_text(text)
        found = settings(f"forward . {path}")
        assert isinstance(found, Settings)
        with pytest.raises(ConfigError, match="Corefile:2: forward: no upstream is named"):
            read_targets(found)

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(ResolvError, match="cannot be read as a file: No such file"):
            nameservers("/nowhere/resolv.conf")
        found = settings("forward . /nowhere/resolv.conf")
        assert isinstance(found, Settings)
        with pytest.raises(ConfigError, match=r"Corefile:2: forward: '/nowhere/resolv.conf' is no"):
            read_targets(found)

    @pytest.mark.parametrize("host", ["1.2.3", "10.0.0.0.1", "127.1:53", "7"])
    def test_an_address_that_is_none(self, host: str) -> None:
        found = settings(f"forward . {host}")
        assert isinstance(found, Settings)
        with pytest.raises(ConfigError, match=r"is neither an IP address nor the name of a host"):
            read_targets(found)

    def test_a_host_by_resolver(self) -> None:
        with NameServer("dns.test. 5 IN A 192.0.2.7", "dns.test. 5 IN AAAA 2001:db8::7") as server:
            found = settings(
                f"forward . dns.test:54 nope.test {{\nresolver 127.0.0.1:{server.port}\n}}"
            )
            assert isinstance(found, Settings)
            known = replace(found, to=found.to[:1])
            expected = ["192.0.2.7:54", "[2001:db8::7]:54"]
            assert [str(target) for target in read_targets(known)] == expected
            with pytest.raises(ConfigError, match=r"host 'nope.test' cannot be resolved"):
                read_targets(found)


class TestAnswers:
    async def test_what_the_upstream_said(self) -> None:
        with NameServer(RECORD, "b.test. 30 IN CNAME a.test.") as server:
            server.flags = dns.flags.AA | dns.flags.AD
            async with Block(forward(server)) as block:
                answer = await block.answer("b.test. A")
        assert told(answer) == "NOERROR; b.test. 30 CNAME a.test.; a.test. 300 A 192.0.2.1"
        flags = (answer.authoritative, answer.recursion_available, answer.authenticated)
        assert flags == (True, True, True)
        assert (answer.keep_until, answer.fetched, answer.plugin) == (0.0, True, "forward")

    async def test_denials_keep_their_soa(self) -> None:
        with NameServer(RECORD) as server:
            async with Block(forward(server)) as block:
                missing, no_data = await block.answer("x.test. A"), await block.answer("a.test. MX")
        assert told(missing).startswith("NXDOMAIN; ns test. 300 SOA")
        assert told(no_data).startswith("NOERROR; ns test. 300 SOA")

    async def test_one_exchange_for_every_letter_case(self) -> None:
        """Each client's own is in the question section alone, which the reply takes from its request."""
        with NameServer(RECORD) as server:
            server.delay = 0.1
            async with Block(forward(server)) as block:
                names = ("a.test.", "A.test.", "a.TEST.")
                answers = await asyncio.gather(*(block.answer(f"{name} A") for name in names))
        assert [told(a) for a in answers] == ["NOERROR; a.test. 300 A 192.0.2.1"] * 3
        assert len(server.udp) == 1

    async def test_recursion_is_offered_for_the_root_only(self) -> None:
        with NameServer(RECORD) as server:
            server.flags = dns.flags.QR
            async with Block(forward(server, zone="test")) as block:
                assert not (await block.answer("a.test. A")).recursion_available
            server.flags = dns.flags.RA
            async with Block(forward(server, zone="test")) as block:
                assert (await block.answer("a.test. A")).recursion_available

    async def test_from_and_except(self) -> None:
        with NameServer(RECORD) as server:
            async with Block(
                forward(server, "except b.test a.b.test", zone="test") + "\nwhoami"
            ) as block:
                asked = {
                    name: (await block.answer(f"{name} A")).plugin
                    for name in ("test.", "a.test.", "B.test.", "c.b.test.", "example.")
                }
        assert asked == {
            "test.": "forward",
            "a.test.": "forward",
            "B.test.": "whoami",
            "c.b.test.": "whoami",
            "example.": "whoami",
        }

    async def test_from_cannot_be_excepted(self) -> None:
        with NameServer(RECORD) as server:
            async with Block(forward(server, "except a.test", zone="a.test") + "\nwhoami") as block:
                assert (await block.answer("a.test. A")).plugin == "forward"
                assert (await block.answer("x.a.test. A")).plugin == "whoami"

    @pytest.mark.parametrize(
        ("option", "name", "expected"),
        [
            ("next NXDOMAIN", "second.test.", "192.0.2.2"),
            ("next SERVFAIL", "second.test.", "NXDOMAIN"),
            ("next_on_nodata", "both.test.", "192.0.2.2"),
            ("next NXDOMAIN", "both.test.", "NOERROR"),
        ],
    )
    async def test_next(self, option: str, name: str, expected: str) -> None:
        first = NameServer("both.test. 5 IN MX 1 mail.test.")
        second = NameServer("second.test. 5 IN A 192.0.2.2", "both.test. 5 IN A 192.0.2.2")
        with first, second:
            async with Block(forward(first, option) + "\n" + forward(second)) as block:
                assert expected in told(await block.answer(f"{name} A"))

    async def test_next_without_another_forward_is_no_option(self) -> None:
        with NameServer() as server:
            async with Block(forward(server, "next NXDOMAIN") + "\nwhoami") as block:
                assert (await block.answer("a.test. A")).rcode == Rcode.NXDOMAIN


class TestFailures:
    async def test_no_reply(self, caplog: pytest.LogCaptureFixture) -> None:
        with NameServer() as server:
            server.stop()
            async with Block("errors\n" + forward(server, "max_fails 0")) as block:
                answer = await block.answer("a.test. A")
        reason = f"read udp 127.0.0.1:{server.port}: connection refused"
        assert (answer.rcode, answer.fetched) == (Rcode.SERVFAIL, True)
        assert [(e.code, e.text) for e in answer.errors] == [
            (ErrorCode.NO_REACHABLE_AUTHORITY, reason)
        ]
        assert caplog.record_tuples == [
            (errors.logger.name, logging.ERROR, f"plugin/errors: 2 a.test. A: {reason}")
        ]

    @pytest.mark.parametrize(
        ("fault", "option", "pattern"),
        [
            ("drop", "", "^read udp .* i/o timeout$"),
            ("drop", "force_tcp", "^read tcp .* i/o timeout$"),
            ("stop", "", ".* connection refused$"),
            ("stop", "force_tcp", ".* connection refused$"),
            ("down", "failfast_all_unhealthy_upstreams", "no healthy proxies$"),
        ],
    )
    async def test_patterns_that_were_written_for_the_peer(
        self, caplog: pytest.LogCaptureFixture, fault: str, option: str, pattern: str
    ) -> None:
        """The ``consolidate`` of Corefiles, such as those of its README."""
        with NameServer() as server:
            server.fault = "drop"
            if fault == "stop":
                server.stop()
            options = f"read_timeout 50ms\nmax_connect_attempts 1\n{option}"
            consolidate = f'errors {{\nconsolidate 1h "{pattern}" warning\n}}\n'
            async with Block(consolidate + forward(server, options)) as block:
                block.pools[0].upstreams[0].health.failed_checks = 9 if fault == "down" else 0
                await block.answer("a.test. A")
                errors.flush()
        assert [m for m in caplog.messages if "errors" in m] == [
            f"plugin/errors: 1 errors like '{pattern}' occurred in last 1h0m0s"
        ]

    async def test_too_many(self) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.1
            async with Block(forward(server, "max_concurrent 1")) as block:
                answers = await asyncio.gather(block.answer("a.test. A"), block.answer("b.test. A"))
        assert [answer.rcode for answer in answers] == [Rcode.NOERROR, Rcode.REFUSED]
        assert answers[1].failure == "concurrent queries exceeded maximum 1"

    async def test_a_cluster_name_never_waits(self) -> None:
        """While an upstream is silent, what needs none is answered in the first step."""
        with NameServer() as server:
            server.fault = "drop"
            text = forward(server) + "\nhosts {\n192.0.2.5 here.test\nfallthrough\n}"
            async with Block(text) as block:
                waiting = [asyncio.ensure_future(block.answer(f"n{n}.test. A")) for n in range(50)]
                await asyncio.sleep(0)
                with pytest.raises(StopIteration) as done:
                    block.handler(question("here.test. A")).__await__().send(None)
                assert told(done.value.value) == "NOERROR; here.test. 3600 A 192.0.2.5"
                for task in waiting:
                    task.cancel()


class TestTls:
    @pytest.fixture(scope="class")
    @staticmethod
    def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
        return Authority(tmp_path_factory.mktemp("tls") / "ca")

    @staticmethod
    def server(authority: Authority, *, wants_client: bool = False) -> NameServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.server("upstream"))
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority.certificate)
        return NameServer(RECORD, tls=context)

    @pytest.mark.parametrize(
        "option", ["", "tls_servername localhost"], ids=["by address", "by name"]
    )
    async def test_over_one_connection(self, authority: Authority, option: str) -> None:
        with self.server(authority) as server:
            text = f"forward . tls://127.0.0.1:{server.port} {{\ntls {authority.certificate}\n{option}\n}}"
            async with Block(text) as block:
                answers = [told(await block.answer(f"{name} A")) for name in ("a.test.", "A.test.")]
            assert answers == ["NOERROR; a.test. 300 A 192.0.2.1"] * 2
            assert (server.connections, len(server.udp)) == (1, 0)
            kept = block.series("coredns_proxy_conn_cache_hits_total")
            assert kept == {("forward", f"127.0.0.1:{server.port}", "tcp-tls"): 1}

    @pytest.mark.parametrize(
        ("tls", "name"),
        [("tls", ""), ("tls {ca}", "%other.test")],
        ids=["unknown CA", "other name"],
    )
    async def test_whom_it_does_not_know_it_does_not_ask(
        self, authority: Authority, tls: str, name: str
    ) -> None:
        with self.server(authority) as server:
            option = tls.format(ca=authority.certificate)
            text = f"forward . tls://127.0.0.1{name}:{server.port} {{\n{option}\nmax_fails 0\n}}"
            async with Block(text) as block:
                answer = await block.answer("a.test. A")
            assert answer.rcode == Rcode.SERVFAIL
            assert "certificate verify failed" in answer.failure
            assert not server.asked

    async def test_with_a_certificate_of_our_own(self, authority: Authority) -> None:
        certificate, key = authority.client("us", "kdns")
        with self.server(authority, wants_client=True) as server:
            line = f"tls {certificate} {key} {authority.certificate}"
            async with Block(f"forward . tls://127.0.0.1:{server.port} {{\n{line}\n}}") as block:
                assert told(await block.answer("a.test. A")) == "NOERROR; a.test. 300 A 192.0.2.1"

    def test_files_that_are_not_there(self) -> None:
        with pytest.raises(ConfigError, match="Corefile:2: forward: tls /no/ca: No such file"):
            Block("forward . tls://192.0.2.1 {\ntls /no/ca\n}")


async def test_edns_of_the_asker_decides_about_reasons() -> None:
    with NameServer() as server:
        server.stop()
        async with Block(forward(server, "max_fails 0")) as block:
            asked = question("a.test. A")
            assert (await block.handler(replace(asked, edns=None))).errors == ()
            assert (await block.handler(replace(asked, edns=Edns()))).errors
