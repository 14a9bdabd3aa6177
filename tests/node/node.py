"""A Kubernetes node, the only one of its cluster, in namespaces of its own on this machine.

Its network namespace has no interface that leads out of it, so nothing that runs there reaches anything
else. ``start`` takes ten seconds; ``stop`` ends one process, and all else goes with it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.cluster.certificates import Authority
from tests.cluster.processes import Process, wait_until
from tests.node import places, settings
from tests.node.places import NAMESPACE, NODE_ADDRESSES, POD_RANGES, PROGRAMS, SERVICE_RANGES
from tests.node.shell import CommandError, run, try_run

START_SECONDS: Final = 120

USERS: Final = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NAMESPACE}", "system:nodes"),
}
"""Kubeconfigs by file name, with the user and group of each."""


class Node:
    """One node at a time on a machine; ``folder`` has its logs while it runs."""

    def __init__(self, *, proxy_mode: str = "iptables") -> None:
        self.folder = places.NODE / "run"
        self._proxy_mode = proxy_mode
        self._unshare: Process | None = None
        self._init = ""

    def start(self, *archives: Path) -> None:
        """Start everything and import the images; returns when the Node is ready."""
        self._clean_up()
        self._write_files()
        run("ip", "netns", "add", NAMESPACE)
        self._unshare = Process(
            [
                *("nsenter", f"--net=/run/netns/{NAMESPACE}", f"--wdns={self.folder}"),
                *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"),
                *("--mount-proc", "bash", places.HERE / "init.sh"),
            ],
            self.folder / "log/init.log",
            self._environment(),
        )
        self._wait(self._find_init, "the first process")
        self._wait(self._works("ctr", "version"), "containerd")
        with ThreadPoolExecutor() as importing:
            imports = [importing.submit(self.import_image, archive) for archive in archives]
            self._wait(self._works(*self._kubectl("get", "node", NAMESPACE)), "the Node")
            self.kubectl("wait", "--for=condition=Ready", f"node/{NAMESPACE}", "--timeout=120s")
            self._wait(self._works(*self._kubectl("get", "serviceaccount", "default")), "accounts")
            _raise_first(imports)

    def stop(self) -> None:
        if self._unshare is not None:
            self._unshare.kill()
            wait_until(lambda: not Path(f"/proc/{self._init}").exists(), 20, "the node's end")
        self._clean_up()

    # ---- inside

    def run(self, *command: str | Path, seconds: float = 120) -> str:
        """A program in the node's namespaces. Raises ``CommandError``."""
        return run(*self._inside(*command), seconds=seconds)

    def try_run(self, *command: str | Path, seconds: float = 120) -> tuple[int, str]:
        return try_run(*self._inside(*command), seconds=seconds)

    def kubectl(self, *arguments: str | Path, seconds: float = 180) -> str:
        """Raises ``CommandError``."""
        return self.run(*self._kubectl(*arguments), seconds=seconds)

    def apply(self, *documents: str) -> str:
        """Objects as text, in YAML or JSON."""
        command = self._inside(*self._kubectl("apply", "--server-side", "-f", "-"))
        return run(*command, input_text="\n---\n".join(documents))

    def in_pod(self, pod: str, *command: str, seconds: float = 20) -> tuple[int, str]:
        """A program in a Pod of the namespace default: status, and what it printed."""
        return self.try_run(*self._kubectl("exec", pod, "--", *command), seconds=seconds)

    def import_image(self, archive: Path) -> str:
        return self.run("ctr", "-n", "k8s.io", "images", "import", archive, seconds=300)

    def _kubectl(self, *arguments: str | Path) -> tuple[str | Path, ...]:
        return (PROGRAMS / "kubectl", f"--kubeconfig={self.folder}/admin.kubeconfig", *arguments)

    def _inside(self, *command: str | Path) -> tuple[str | Path, ...]:
        return ("nsenter", "-t", self._init, "-n", "-m", "-p", "-u", "-i", *command)

    # ---- starting and ending

    def _environment(self) -> dict[str, str]:
        return {
            "RUN": str(self.folder),
            "NAME": NAMESPACE,
            "PROGRAMS": str(PROGRAMS),
            **dict(zip(("NODE4", "NODE6"), NODE_ADDRESSES, strict=True)),
            **dict(zip(("PODS4", "PODS6"), POD_RANGES, strict=True)),
            **dict(zip(("SERVICES4", "SERVICES6"), SERVICE_RANGES, strict=True)),
        }

    def _write_files(self) -> None:
        folder = self.folder
        for name in ("log", "cni", "plugins"):
            (folder / name).mkdir(parents=True)
        authority = Authority(folder / "pki")
        authority.server("apiserver")
        authority.key("accounts")
        for name, (user, group) in USERS.items():
            authority.client(name, user, group)
            (folder / f"{name}.kubeconfig").write_text(settings.kubeconfig(folder, name))
        texts = {
            "kubelet.yaml": settings.kubelet(folder),
            "proxy.yaml": settings.proxy(folder, self._proxy_mode),
            "containerd.toml": settings.containerd(folder),
            "cni/10-pods.conflist": settings.pod_network(),
            "upstream.Corefile": settings.upstream(),
            "resolv.conf": f"nameserver {NODE_ADDRESSES[0]}\n",
            "hosts": f"127.0.0.1 localhost\n::1 localhost\n{NODE_ADDRESSES[0]} {NAMESPACE}\n",
        }
        for name, text in texts.items():
            (folder / name).write_text(text)
        shutil.copy2(places.HERE / "upstream.zone", folder)

    def _find_init(self) -> bool:
        assert self._unshare is not None
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        self._init = children.read_text().strip()
        return bool(self._init)

    def _works(self, *command: str | Path) -> Callable[[], bool]:
        return lambda: not self.try_run(*command)[0]

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Raises ``DiedError``, with the last lines of the log."""
        assert self._unshare is not None
        try:
            self._unshare.wait_ready(condition, START_SECONDS)
        except Exception as error:
            raise RuntimeError(f"{what} did not come up; logs: {self.folder}/log") from error

    def _clean_up(self) -> None:
        """What a network namespace and cgroups leave when their processes are gone; the logs stay."""
        code, pids = try_run("ip", "netns", "pids", NAMESPACE)
        if not code and pids.strip():
            raise RuntimeError(f"a node runs in {NAMESPACE} already: processes {pids.split()}")
        try_run("ip", "netns", "delete", NAMESPACE)
        _remove_cgroups()
        if self.folder.exists():
            shutil.rmtree(places.NODE / "last-log", ignore_errors=True)
            if (self.folder / "log").exists():
                (self.folder / "log").rename(places.NODE / "last-log")
            shutil.rmtree(self.folder)


def _remove_cgroups() -> None:
    for top in Path("/sys/fs/cgroup").glob(f"**/{NAMESPACE}"):
        for folder, _, _ in os.walk(top, topdown=False):
            for _ in range(50):
                try:
                    Path(folder).rmdir()
                    break
                except OSError:  # its last process is still being reaped
                    time.sleep(0.02)


def _raise_first(futures: list[Future[str]]) -> None:
    for future in futures:
        future.result()


__all__ = ["CommandError", "Node"]
