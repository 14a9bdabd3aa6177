# ruff: noqa: E501  (a table row per case reads best on one line)
"""Every directive that counts queries counts each one, also those answered from the reply cache."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import dns.message
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kdns.answers.responder import Responder
from kdns.plugins.blocks import Served
from tests.fakes.replies import Address
from tests.plugins.chains import Chain

TIMES: Final = 5

HOSTS: Final = "hosts {\n192.0.2.1 a.test b.c.test\n}\n"

CASES: Final = {
    "acl, block": ("acl {\nblock\n}\nwhoami", "a.test A", "acl_blocked_requests"),
    "acl, filter": ("acl {\nfilter type A\n}\nwhoami", "a.test A", "acl_filtered_requests"),
    "acl, drop": ("acl {\ndrop\n}\nwhoami", "a.test A", "acl_dropped_requests"),
    "acl, allow": (f"acl {{\nallow type A\n}}\n{HOSTS}", "a.test A", "acl_allowed_requests"),
    "acl, no rule": (f"acl {{\nblock type TXT\n}}\n{HOSTS}", "a.test A", "acl_allowed_requests"),
    "acl, net": ("acl {\nblock net 10.0.0.0/8\n}\nwhoami", "a.test A", "acl_blocked_requests"),
    "local": ("local\nwhoami", "localhost.a.test A", "local_localhost_requests"),
    "template": ('template IN A {\nanswer "{{ .Name }} 60 IN A 192.0.2.1"\n}', "a.test A", "template_matches"),
    "template, empty": ("template IN A {\nrcode NXDOMAIN\n}", "a.test A", "template_matches"),
    "template, SERVFAIL": ("template IN A {\nrcode SERVFAIL\n}", "a.test A", "template_matches"),
    "template, broken": ('template IN A {\nanswer "{{ .Nme }}"\n}', "a.test A", "template_template_failures"),
    "template, no record": ('template IN A {\nanswer "{{ .Name }}"\n}', "a.test A", "template_rr_failures"),
    "template, broken, matches": ('template IN A {\nanswer "{{ .Nme }}"\n}', "a.test A", "template_matches"),
    "autopath": (f"autopath SEARCH\n{HOSTS}", "b.ns.test A", "autopath_success"),
    "dns64": (f"dns64 {{\nallow_ipv4\n}}\n{HOSTS}", "a.test AAAA", "dns64_requests_translated"),
    "cache, requests": (f"cache\n{HOSTS}", "a.test A", "cache_requests"),
    "cache, denial": (f"cache\n{HOSTS}", "a.test AAAA", "cache_requests"),
    "cache, failure": ("cache\ntemplate IN A {\nrcode SERVFAIL\n}", "a.test A", "cache_requests"),
    "two at once": (f"acl {{\nallow type A\n}}\nlocal\ncache\n{HOSTS}", "localhost.a.test A", "local_localhost_requests"),
}  # fmt: skip


class Counting:
    """A block with its reply cache, and how often something was counted."""

    def __init__(self, text: str) -> None:
        self.chain = Chain(f". {{\n{text}\n}}\n")
        metrics = self.chain.metrics
        served = Served((), self.chain.handler, metrics.meter("dns://:53", "."))
        self.address = Address(Responder("dns://:53", metrics, [served]))

    def ask(self, text: str) -> None:
        """Ask over UDP as a listener does; the reply need not be there."""
        name, qtype = text.split()
        data = dns.message.make_query(name, qtype, id=7, use_edns=True).to_wire()
        if self.address.hit(data) is None:
            self.address.responder.respond(data, "10.0.0.9", 5353, "udp", "127.0.0.1")

    def counted(self, series: str) -> float:
        self.address.cache.report()
        metrics = text_string_to_metric_families(self.chain.metrics.expose().decode())
        samples = (sample for metric in metrics for sample in metric.samples)
        return sum(each.value for each in samples if each.name == f"coredns_{series}_total")


@pytest.fixture
def search(tmp_path: Path) -> str:
    file = tmp_path / "resolv.conf"
    file.write_text("search ns.test c.test\n")
    return str(file)


@pytest.mark.parametrize(("text", "asked", "series"), CASES.values(), ids=CASES)
def test_each_query_is_counted(text: str, asked: str, series: str, search: str) -> None:
    server = Counting(text.replace("SEARCH", search))
    for _ in range(TIMES):
        server.ask(asked)
    assert server.counted(series) == TIMES


def test_two_directives_count_the_same_answer() -> None:
    text = f"acl {{\nallow type A\n}}\nlocal\ncache\n{HOSTS}"
    server = Counting(text)
    for _ in range(TIMES):
        server.ask("a.test A")
    assert server.address.cache.hits == TIMES - 1
    assert server.counted("acl_allowed_requests") == TIMES
    assert server.counted("cache_requests") == TIMES
    # The first came from the next directive, the others from memory.
    assert server.counted("cache_misses") == 1
    assert server.counted("cache_hits") == TIMES - 1
