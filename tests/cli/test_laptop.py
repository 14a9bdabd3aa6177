"""What ``kdns laptop`` makes of its options, a kubeconfig, and the resolvers that the system has."""

# ruff: noqa: E501  (a table row per case reads best on one line)
from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kdns.cli import laptop, listener, main
from kdns.config.addresses import Address
from kdns.config.laptop import LaptopFlags
from kdns.config.printer import to_text
from kdns.config.tree import ConfigError
from kdns.sources.files import Reading
from kdns.system.machine import Machine
from kdns.system.resolvers import Resolvers, before_us
from tests.cluster.processes import free_dns_port

HERE = (Address("127.0.0.1", 1053),)


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three contexts in two files, as $KUBECONFIG names them."""
    first, second = tmp_path / "first", tmp_path / "second"
    named = {"dev": "shop", "prod": "", "arn:aws:eks/x=y": ""}
    contexts = [
        {"name": name, "context": {"cluster": "c", **({"namespace": ns} if ns else {})}}
        for name, ns in named.items()
    ]
    first.write_text(yaml.safe_dump({"current-context": "dev"}))
    second.write_text(yaml.safe_dump({"contexts": contexts, "current-context": "prod"}))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
    return first


def read(*words: str) -> LaptopFlags:
    parser = argparse.ArgumentParser()
    laptop.add_arguments(parser)
    return laptop.read(parser.parse_args(words), ("127.0.0.1:1053",))


def clusters(flags: LaptopFlags) -> list[tuple[str, str]]:
    """The contexts and their zones."""
    return [(cluster.access[0].args[1], cluster.zone) for cluster in flags.clusters]


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize(
    ("words", "expected", "namespace"),
    [
        ((), [("dev", "cluster.internal")], "shop"),
        (("--namespace", "own"), [("dev", "cluster.internal")], "own"),
        (("--context", "prod"), [("prod", "cluster.internal")], "default"),
        (("--context", "prod=p.test"), [("prod", "p.test")], "default"),
        (
            ("--context", "prod", "--context", "dev"),
            [("prod", "cluster.internal"), ("dev", "dev.cluster.internal")],
            "default",
        ),
        (
            ("--context", "dev=d.test", "--context", "arn:aws:eks/x=y=a.test"),
            [("dev", "d.test"), ("arn:aws:eks/x=y", "a.test")],
            "shop",
        ),
        (("--context", "arn:aws:eks/x=y"), [("arn:aws:eks/x=y", "cluster.internal")], "default"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_contexts(words: tuple[str, ...], expected: list[tuple[str, str]], namespace: str) -> None:
    flags = read(*words)
    assert (clusters(flags), flags.namespace) == (expected, namespace)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--context", "no"), "contexts: no entry named 'no' (there are: dev, prod, arn:aws:eks/x=y)"),
        (("--context", "dev", "--context", "arn:aws:eks/x=y"), "--context: 'arn:aws:eks/x=y' cannot be part of a name; expected arn:aws:eks/x=y=ZONE"),
        (("--manifests", "a", "--context", "dev"), "--manifests: cannot be used with --context or --kubeconfig"),
        (("--kubeconfig", "/nowhere"), "/nowhere: no such file"),
    ],
    ids=["unknown", "no label", "both", "no file"],
)  # fmt: skip
def test_refused(kubeconfig: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(*words)
    assert str(error.value).endswith(message)


def test_a_cluster_domain_that_is_no_zone(capsys: pytest.CaptureFixture[str]) -> None:
    words = "laptop --print-corefile --manifests x --cluster-domain a..b"
    assert main.main(words.split()) == 1
    expected = "kdns: --cluster-domain: not a zone: 'a..b' has an empty label\n"
    assert capsys.readouterr().err == expected


def test_doctor_installs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["laptop", "doctor", "--install"]) == 1
    assert "kdns: doctor changes nothing; leave out --install" in capsys.readouterr().err


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SUDO_USER", "alice")
    with pytest.raises(ConfigError, match="as root that is not the one of alice: --kubeconfig ~al"):
        read()


def test_manifests() -> None:
    flags = read("--manifests", "examples/cluster")
    assert flags.clusters[0].access[0].args == ("examples/cluster",)


# ---- who is asked for other names


@pytest.fixture
def resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a machine without other files."""
    path = tmp_path / "etc" / "resolv.conf"
    path.parent.mkdir()
    machine = Machine(str(tmp_path), "linux")
    monkeypatch.setattr(laptop, "before_us", lambda ours: before_us(ours, machine))
    return path


def forwarded(source: laptop.Source) -> str:
    lines = to_text(source.read(Reading())).splitlines()
    return "".join(line.strip() for line in lines if "forward " in line)


def test_the_systems_resolvers_are_followed(
    resolv_conf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resolv_conf.write_text("nameserver 192.0.2.1\n")
    source = laptop.Source(read("--manifests", "m"), HERE, ())
    assert forwarded(source) == "forward . 192.0.2.1 {"
    resolv_conf.write_text("nameserver 192.0.2.7\nnameserver 192.0.2.8\n")
    with caplog.at_level("INFO"):
        assert forwarded(source) == "forward . 192.0.2.7 192.0.2.8 {"
    assert "names outside the cluster now go to 192.0.2.7, 192.0.2.8" in caplog.text
    resolv_conf.write_text("")
    assert forwarded(source) == "forward . 192.0.2.7 192.0.2.8 {", "nobody else is known"


def test_changes_of_the_systems_resolvers_are_noticed(resolv_conf: Path) -> None:
    reading = Reading()
    laptop.Source(read("--manifests", "m"), HERE, ()).read(reading)
    assert not reading.changed()
    resolv_conf.write_text("nameserver 192.0.2.1\n")
    assert reading.changed()


def test_upstreams_that_are_given(resolv_conf: Path) -> None:
    resolv_conf.write_text("nameserver 192.0.2.1\n")
    source = laptop.Source(read("--manifests", "m"), HERE, ("192.0.2.9",))
    assert forwarded(source) == "forward . 192.0.2.9 {"


def test_never_ourselves(resolv_conf: Path) -> None:
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    ours = (Address("127.0.0.1", 53),)
    assert laptop.Source(read("--manifests", "m"), ours, ()).resolvers.servers == ()
    source = laptop.Source(read("--manifests", "m"), HERE, ())
    assert source.resolvers.servers == ("127.0.0.1",), "another program's, at port 53"


def test_introduction() -> None:
    flags = read("--manifests", "m", "--answer", "both")
    found = Resolvers(("192.0.2.1",), source="/etc/resolv.conf")
    assert list(laptop.introduction(flags, found, HERE[0])) == [
        "cluster.internal and cluster.local: manifests m",
        "external.cluster.internal: the same as reached from outside",
        "short names: as in a Pod of namespace default",
        "everything else: 192.0.2.1 (/etc/resolv.conf)",
        "try: dig @127.0.0.1 -p 1053 kubernetes.default.svc.cluster.internal",
    ]


def test_corefile(resolv_conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["laptop", "--manifests", "m", "--listen", "127.0.0.1:1053", "--print-corefile"]
    assert main.main(words) == 0
    assert capsys.readouterr().out.startswith(".:1053 {\n    bind 127.0.0.1\n    errors\n")


# ---- where to listen


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[socket.socket, int]]:
    """A port that is in use for UDP, and one that is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as used:
        used.bind(("127.0.0.1", 0))
        number = free_dns_port()
        candidates = tuple(Address("127.0.0.1", n) for n in (used.getsockname()[1], number))
        monkeypatch.setattr(listener, "CANDIDATES", candidates)
        yield used, number


def test_the_first_that_is_free(ports: tuple[socket.socket, int]) -> None:
    assert listener.choose() == Address("127.0.0.1", ports[1])


def test_port_53_that_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_try", lambda address: "Permission denied")
    last = listener.CANDIDATES[-1]
    assert listener.hint(last).startswith("port 53 is not allowed to you; where it is needed: sudo")
    assert listener.hint(Address("127.0.0.1", 5353)) == "", "as wanted"
    monkeypatch.setattr(listener, "_try", lambda address: "in use")
    assert listener.hint(last) == "", "by another resolver"
    monkeypatch.setattr(listener, "_try", lambda address: "")
    assert listener.hint(last) == "", "root chose another port"


def test_none_is_free(ports: tuple[socket.socket, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "CANDIDATES", listener.CANDIDATES[:1])
    with pytest.raises(ConfigError, match=r"cannot listen on 127.0.0.1:\d+: in use. Name another"):
        listener.choose()
