"""``no_aaaa``: AAAA is told not to exist wherever A says that the name does, and asked of nobody."""

from __future__ import annotations

from collections import Counter

import dns.rdatatype
import pytest

from kdns.records.objects import Namespace, Service
from kdns.wire.constants import ErrorCode
from tests.fakes.nameserver import NameServer
from tests.plugins.chains import Chain, refusal, told
from tests.plugins.forwarding import Block

CLUSTER = (
    Namespace("shop"),
    Service("shop", "web", cluster_ips=("10.96.0.7", "fd00::7")),
    Service("shop", "six", cluster_ips=("fd00::8",)),
    Service("shop", "alias", external_name="web.shop.svc.cluster.local"),
)
SOA = "cluster.local. 5 SOA"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("web.shop.svc.cluster.local. AAAA", f"NOERROR; ns {SOA}"),
        ("web.shop.svc.cluster.local. A", "NOERROR; web.shop.svc.cluster.local. 5 A 10.96.0.7"),
        ("six.shop.svc.cluster.local. AAAA", f"NOERROR; ns {SOA}"),
        ("none.shop.svc.cluster.local. AAAA", f"NXDOMAIN; ns {SOA}"),
        (
            "alias.shop.svc.cluster.local. AAAA",
            f"NOERROR; alias.shop.svc.cluster.local. 5 CNAME web.shop.svc.cluster.local.; ns {SOA}",
        ),
    ],
)
def test_names_of_the_cluster(question: str, expected: str) -> None:
    chain = Chain(".:53 {\nno_aaaa\nkubernetes cluster.local\n}", CLUSTER)
    answer = chain.ask(question)
    assert told(answer).partition(" SOA")[0] == expected.partition(" SOA")[0]
    assert answer.authoritative
    reasons = [error.code for error in answer.errors]
    filtered = question.startswith(("web", "alias")) and question.endswith("AAAA")
    assert (ErrorCode.FILTERED in reasons) == filtered
    if filtered:
        assert ("svc", "shop", "web") in answer.keys


def test_only_the_zones_that_are_named() -> None:
    chain = Chain(".:53 {\nno_aaaa example.org\nkubernetes cluster.local\n}", CLUSTER)
    answer = chain.ask("web.shop.svc.cluster.local. AAAA")
    assert told(answer) == "NOERROR; web.shop.svc.cluster.local. 5 AAAA fd00::7"


RECORDS = (
    "both.test. 60 IN A 192.0.2.1",
    "both.test. 60 IN AAAA 2001:db8::1",
    "www.test. 30 IN CNAME both.test.",
)


async def test_an_upstream_sees_no_question_for_aaaa() -> None:
    with NameServer(*RECORDS) as upstream:
        async with Block(f"no_aaaa\ncache\nforward . 127.0.0.1:{upstream.port}") as block:
            for _ in range(2):
                await block.answer("both.test. A")
                answer = await block.answer("both.test. AAAA")
            assert told(answer).startswith("NOERROR; ns . 60 SOA")
            answer = await block.answer("www.test. AAAA")
            assert told(answer).startswith("NOERROR; www.test. 30 CNAME both.test.; ns . 30 SOA")
            answer = await block.answer("none.test. AAAA")
            assert told(answer).startswith("NXDOMAIN")
        asked = Counter(message.question[0].rdtype for message in upstream.asked)
        assert asked == {dns.rdatatype.A: 3}


def test_options() -> None:
    assert (
        refusal("no_aaaa {\nexcept a.test\n}")
        == "3: except: no_aaaa has no options; expected no_aaaa [ZONES…]"
    )
