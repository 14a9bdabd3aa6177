"""A server in network and mount namespaces of its own, with its Corefile as a cluster has it.

There it may have port 53 and the addresses that the Corefile binds, ``/etc/coredns``, ``/etc/resolv.conf``
and the credentials of a Pod. Nothing leads out but a Unix socket to the API server; the upstreams are in one
more network.

``run`` is for tests. The module as a program is what runs inside: it prints what the server said, as JSON.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.fakes.gate import pass_on
from tests.fakes.nameserver import NameServer
from tests.plugins.peers import SILENCE, reply

HERE: Final = "10.0.0.1"
UPSTREAM: Final = "10.0.0.53"
API_PORT: Final = 6443
_PROGRAM: Final = "tests.cluster.own_node"
_ACCOUNT: Final = Path("/run/secrets/kubernetes.io/serviceaccount")
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 100.0
_SYNCED: Final = ("no-such-service.default.svc.cluster.local A", "2.77.244.10.in-addr.arpa PTR")


class Node(msgspec.Struct, frozen=True):
    """What one server is given, and asked."""

    command: list[str]
    folder: str
    corefile: str
    api_socket: str
    token: str
    authority: str
    """Path of the certificate authority, of the API server and of upstreams over TLS."""
    upstream: list[str]
    """Records of the name server in ``/etc/resolv.conf``, as lines of a zone file."""
    questions: list[str]
    """``NAME TYPE [+edns …]``, asked of ``address``; after ``@HOST:PORT`` of that one."""
    address: tuple[str, int] = ("127.0.0.1", 53)
    files: dict[str, str] = {}
    """Beside the Corefile, by their names there."""
    addresses: list[str] = []
    """More addresses of this node."""
    upstream_addresses: list[str] = []
    """More addresses of the upstream."""
    upstream_tls: tuple[str, str] | None = None
    """Certificate and key: the upstream answers on port 853 too."""
    pages: list[str] = []
    """URLs to read at the end."""


class Said(msgspec.Struct, frozen=True):
    """What the server said."""

    replies: dict[str, str]
    pages: dict[str, str]
    seconds: float
    """From the first question to the last."""


def possible() -> bool:
    """Whether this user can make namespaces."""
    tools = all(shutil.which(tool) for tool in ("unshare", "ip", "mount"))
    return (
        tools
        and subprocess.run([*_unshare(), "true"], capture_output=True, check=False).returncode == 0
    )


def run(node: Node) -> Said:
    """Raises ``RuntimeError`` with what was printed when the server did not start."""
    done = subprocess.run(
        [*_unshare(), sys.executable, "-m", _PROGRAM],
        input=msgspec.json.encode(node),
        capture_output=True,
        timeout=_END_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return msgspec.json.decode(done.stdout, type=Said)


def _unshare() -> list[str]:
    namespaces = ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    return namespaces if os.geteuid() == 0 else [*namespaces, "--user", "--map-root-user"]


# ---- inside


def main() -> None:
    node = msgspec.json.decode(sys.stdin.buffer.read(), type=Node)
    folder = Path(node.folder)
    folder.mkdir()
    _settle(node, folder)
    with ExitStack() as stack:
        _start_upstream(node, stack)
        _spawn(stack, [sys.executable, "-m", _PROGRAM, "relay", node.api_socket])
        log = stack.enter_context((folder / "log").open("wb"))
        server = _spawn(
            stack,
            [*node.command, "-conf", "/etc/coredns/Corefile"],
            stdout=log,
            stderr=log,
            cwd="/etc/coredns",
            env={
                **os.environ,
                "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                "KUBERNETES_SERVICE_PORT": str(API_PORT),
                "SSL_CERT_FILE": node.authority,
            },
        )
        began = time.monotonic()
        try:
            _wait_synced(node, server)
        except TimeoutError as error:
            sys.exit(f"{error}\n{(folder / 'log').read_text()}")
        replies = {question: _ask(node, question) for question in node.questions}
        said = Said(replies, _read(node.pages), time.monotonic() - began)
        sys.stdout.buffer.write(msgspec.json.encode(said))


def _settle(node: Node, folder: Path) -> None:
    """Addresses, and the files of a Pod: ``/etc`` is a copy, ``/run`` is empty."""
    _run("ip", "link", "set", "lo", "up")
    for address in node.addresses:
        _run("ip", "address", "add", f"{address}/32", "dev", "lo")
    etc = folder / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "resolv.conf").write_text(f"nameserver {UPSTREAM}\noptions ndots:0\n")
    (etc / "coredns").mkdir(exist_ok=True)
    for name, text in {**node.files, "Corefile": node.corefile}.items():
        (etc / "coredns" / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / "coredns" / name).write_text(text)
    _run("mount", "--bind", str(etc), "/etc")
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    _ACCOUNT.mkdir(parents=True)
    (_ACCOUNT / "token").write_text(node.token)
    (_ACCOUNT / "namespace").write_text("kube-system")
    shutil.copy(node.authority, _ACCOUNT / "ca.crt")


def _start_upstream(node: Node, stack: ExitStack) -> None:
    child = _spawn(
        stack,
        ["unshare", "--net", sys.executable, "-m", _PROGRAM, "upstream"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()  # it is in its network
    _run(
        "ip",
        "link",
        "add",
        "here",
        "type",
        "veth",
        "peer",
        "name",
        "there",
        "netns",
        str(child.pid),
    )
    _run("ip", "address", "add", f"{HERE}/24", "dev", "here")
    _run("ip", "link", "set", "here", "up")
    child.stdin.write(msgspec.json.encode(node) + b"\n")
    child.stdin.flush()
    child.stdout.readline()  # it listens
    for address in node.upstream_addresses:
        _run("ip", "route", "add", address, "via", UPSTREAM)


def serve_upstream() -> None:
    """The program in the upstream's network, until it is killed."""
    print(flush=True)
    node = msgspec.json.decode(sys.stdin.buffer.readline(), type=Node)
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "set", "there", "up")
    for address in (f"{UPSTREAM}/24", *(f"{each}/32" for each in node.upstream_addresses)):
        _run("ip", "address", "add", address, "dev", "there")
    with ExitStack() as stack:
        for host in (UPSTREAM, *node.upstream_addresses):
            stack.enter_context(NameServer(*node.upstream, address=(host, 53)))
            if node.upstream_tls:
                context = _tls(node.upstream_tls)
                for port in (853, 5353):
                    stack.enter_context(
                        NameServer(*node.upstream, tls=context, address=(host, port))
                    )
        print(flush=True)
        sys.stdin.buffer.read()


def _tls(files: tuple[str, str]) -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


def _wait_synced(node: Node, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise TimeoutError(f"ended with {server.returncode}")
        try:
            said = [reply(node.address[1], f"{each} +tcp", node.address[0]) for each in _SYNCED]
        except (OSError, EOFError):
            said = ["SERVFAIL"]
        if not any(each.startswith(("SERVFAIL", SILENCE)) for each in said):
            return
        time.sleep(0.02)
    raise TimeoutError(f"not ready within {_START_SECONDS:g} s")


def _ask(node: Node, question: str) -> str:
    words, _, server = question.partition(" @")
    host, port = node.address
    if server:
        host, _, digits = server.rpartition(":")
        port = int(digits)
    return reply(port, words, host)


def _read(urls: Sequence[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for url in urls:
        with urllib.request.urlopen(url, timeout=30) as page:
            texts[url] = page.read().decode()
    return texts


def _spawn(stack: ExitStack, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(command, **options)
    stack.callback(child.wait)
    stack.callback(child.kill)
    return child


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")


# ---- the way to the API server


async def relay(listen: str, connect: str) -> None:
    """Hand on connections between a TCP port of loopback and a Unix socket, either way, for ever.

    An address with a slash is a Unix socket.
    """

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = asyncio.open_unix_connection(connect) if "/" in connect else _open(connect)
        try:
            far_reader, far_writer = await there
            await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))
        except OSError:
            writer.close()

    if "/" in listen:
        server: asyncio.Server = await asyncio.start_unix_server(accept, listen)
    else:
        server = await asyncio.start_server(accept, "127.0.0.1", int(listen))
    await server.serve_forever()


def _open(port: str) -> Any:
    return asyncio.open_connection("127.0.0.1", int(port))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["upstream"]:
            serve_upstream()
        case ["relay", path]:
            asyncio.run(relay(str(API_PORT), path))
        case ["relay", listen, connect]:
            asyncio.run(relay(listen, connect))
        case _:
            main()
