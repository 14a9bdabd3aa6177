"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager.

No kubelet and no scheduler: Pods are created on a made-up node and tests write their status, the
real controllers make EndpointSlices of them. Everything lives in one folder and ends with the test run.

Traps that shaped it:
* The slice controller leaves out Pods without a Node that exists, so there is one.
* A Pod on a node waits for its kubelet before it goes, unless its grace period is 0.
* Slices of a deleted Service are removed by the garbage collector, so that controller must run.
* Without the ServiceAccount admission plugin, Pods can be made in a namespace that is a moment old.
* RBAC's default roles are made after the API server listens, so ``/readyz`` is what to wait for.
"""

from __future__ import annotations

import json
import shutil
import ssl
import time
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.cluster import programs
from tests.cluster.certificates import Authority
from tests.cluster.processes import Process, free_port, wait_until
from tests.cluster.rest import NODE, Api, Json

SERVICE_RANGES: Final = ("10.96.0.0/12", "fd00:10:96::/112")
# Documentation address (RFC 5737): the endpoint of the Service "kubernetes" may not be loopback.
ADVERTISED: Final = "192.0.2.1"
_CONTROLLERS: Final = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
)
_START_SECONDS: Final = 60
_MOST_OPERATIONS: Final = 128
"""In one transaction: etcd's default limit."""


class Kubeconfigs(NamedTuple):
    """Paths of kubeconfig files, by what their user may do."""

    admin: Path
    """Everything."""
    reader: Path
    """List and watch Services, EndpointSlices, Pods, Namespaces, ServiceImports: what a DNS server needs."""
    restricted: Path
    """The same without EndpointSlices."""


class ControlPlane:
    """One control plane in ``folder``. Blocking; ``start`` takes some five seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._etcd_port, self._peer_port = free_port(), free_port()
        self._etcd: Process | None = None
        self._apiserver: Process | None = None
        self._controllers: Process | None = None
        self._authority = Authority(folder / "pki")
        self._server = self._authority.server("apiserver")
        self._account_key = self._authority.key("sa")
        admin = self._authority.client("admin", "admin", "system:masters")
        self.kubeconfig = Kubeconfigs(
            self._kubeconfig("admin", admin),
            self._kubeconfig("reader", self._authority.client("reader", "reader")),
            self._kubeconfig("restricted", self._authority.client("restricted", "restricted")),
        )
        context = ssl.create_default_context(cafile=str(self._authority.certificate))
        context.load_cert_chain(*admin)
        self.api = Api(self.port, context)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start everything; returns when the API answers and both test users have their rights."""
        self._start_etcd()
        self.start_apiserver()
        self._start_controllers()
        self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        everything = ("endpointslices", "services", "pods", "namespaces", "serviceimports")
        self._grant("reader", everything)
        self._grant("restricted", ("services", "pods", "namespaces"))
        for user in ("reader", "restricted"):
            self.wait_right(user, "list", "services")

    def stop(self) -> None:
        self.api.close()
        for process in (self._controllers, self._apiserver, self._etcd):
            if process is not None:
                process.kill()
        self._controllers = self._apiserver = self._etcd = None

    # -- breaking it on purpose -------------------------------------------------------------------

    def kill_apiserver(self) -> None:
        """SIGKILL: all watches break at once, the port refuses connections.

        The controllers stand still until it is back, else they would try ever less often.
        """
        _running(self._controllers, "kube-controller-manager").pause()
        _running(self._apiserver, "kube-apiserver").kill()

    def start_apiserver(self) -> None:
        """Start it (again), on the same port; returns when it is ready."""
        command: list[str | Path] = [
            *(programs.require("kube-apiserver"), f"--etcd-servers={self._etcd_url}"),
            *(f"--secure-port={self.port}", "--bind-address=127.0.0.1"),
            *(f"--advertise-address={ADVERTISED}", "--profiling=false"),
            f"--service-cluster-ip-range={','.join(SERVICE_RANGES)}",
            *(f"--tls-cert-file={self._server[0]}", f"--tls-private-key-file={self._server[1]}"),
            f"--client-ca-file={self._authority.certificate}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-signing-key-file={self._account_key}",
            f"--service-account-key-file={self._account_key}",
            *("--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"),
            *("--allow-privileged=true", "--shutdown-delay-duration=0s", "--event-ttl=5m"),
            "--delete-collection-workers=4",
        ]
        self._apiserver = Process(command, self.folder / "kube-apiserver.log")
        self.wait_ready()
        if self._controllers is not None:
            self._controllers.resume()

    def wait_ready(self) -> float:
        """Wait for the API server's ``/readyz``; seconds it took."""
        process = _running(self._apiserver, "kube-apiserver")
        return process.wait_ready(self.api.ready, _START_SECONDS)

    def wait_controllers(self, namespace: str) -> float:
        """Wait until a Pod comes into an EndpointSlice: after the API server was away, that takes a while."""
        name = "controllers-are-there"
        metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
        spec = {"ports": [{"port": 1}], "selector": {"app": name}, "clusterIP": "None"}
        status = {
            "phase": "Running",
            "podIP": "10.244.255.1",
            "podIPs": [{"ip": "10.244.255.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        made = {"apiVersion": "v1", "metadata": metadata}
        self.api.create({**made, "kind": "Service", "spec": spec})
        self.api.create({**made, "kind": "Pod", "spec": {}, "status": status})
        label = f"kubernetes.io/service-name={name}"
        try:
            return wait_until(
                lambda: any(
                    s.get("endpoints") for s in self.api.list("EndpointSlice", namespace, label)
                ),
                _START_SECONDS,
                "an endpoint in a slice",
            )
        finally:
            self.api.delete("Service", namespace, name)
            self.api.delete("Pod", namespace, name)

    def pause_apiserver(self) -> None:
        """SIGSTOP: connections stay open, nothing comes."""
        _running(self._apiserver, "kube-apiserver").pause()

    def resume_apiserver(self) -> None:
        _running(self._apiserver, "kube-apiserver").resume()

    def revive(self) -> None:
        """Undo what a test that failed half-way has left paused or killed."""
        if self._apiserver is not None and self._apiserver.running:
            self._apiserver.resume()
            self.wait_ready()
        else:
            self.start_apiserver()

    def compact_etcd(self) -> int:
        """Forget the history: what is older than the revision returned can no longer be watched."""
        revision = self.revision()
        self._etcd_request("kv/compaction", {"revision": revision, "physical": True})
        return revision

    def revision(self) -> int:
        """Etcd's revision, which resourceVersions are taken from."""
        return int(self._etcd_request("kv/range", {"key": "AA=="})["header"]["revision"])

    def store(self, objects: Mapping[str, Json]) -> None:
        """Put objects into etcd, by their keys below ``/registry/``, past the API server.

        For clusters that are too large to be made by requests; they must be complete and valid.
        """
        puts = [
            {"requestPut": {"key": _base64(f"/registry/{key}"), "value": _base64(json.dumps(made))}}
            for key, made in objects.items()
        ]
        for at in range(0, len(puts), _MOST_OPERATIONS):
            self._etcd_request("kv/txn", {"success": puts[at : at + _MOST_OPERATIONS]})

    def snapshot(self, name: str = "snapshot") -> Path:
        """A copy of etcd's data as they are now (as safe as a power cut: etcd stands still meanwhile)."""
        copy = self.folder / name
        shutil.rmtree(copy, ignore_errors=True)
        etcd = _running(self._etcd, "etcd")
        etcd.pause()
        try:
            shutil.copytree(self.folder / "etcd", copy)
        finally:
            etcd.resume()
        return copy

    def restore(self, snapshot: Path) -> float:
        """Put a snapshot back as it is, so that revisions go backwards; seconds of the API's absence."""
        start = time.monotonic()
        self.stop()
        shutil.rmtree(self.folder / "etcd")
        shutil.copytree(snapshot, self.folder / "etcd")
        self._start_etcd()
        self.start_apiserver()
        away = time.monotonic() - start
        self._start_controllers()
        return away

    # -- how it is put together -------------------------------------------------------------------

    @property
    def _etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._etcd_port}"

    def _start_etcd(self) -> None:
        peer = f"http://127.0.0.1:{self._peer_port}"
        command: list[str | Path] = [
            *(programs.require("etcd"), "--data-dir", self.folder / "etcd", "--unsafe-no-fsync"),
            *("--listen-client-urls", self._etcd_url, "--advertise-client-urls", self._etcd_url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}", "--log-level", "error"),
        ]
        self._etcd = Process(command, self.folder / "etcd.log")
        self._etcd.wait_ready(self._etcd_answers, _START_SECONDS)

    def _start_controllers(self) -> None:
        admin = self.kubeconfig.admin
        command: list[str | Path] = [
            *(programs.require("kube-controller-manager"), f"--kubeconfig={admin}"),
            *("--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0"),
            f"--controllers={','.join(_CONTROLLERS)}",
            *("--endpoint-updates-batch-period=0", "--endpointslice-updates-batch-period=0"),
            "--mirroring-endpointslice-updates-batch-period=0",
            *("--kube-api-qps=500", "--kube-api-burst=1000", "--profiling=false"),
        ]
        self._controllers = Process(command, self.folder / "kube-controller-manager.log")

    def _etcd_answers(self) -> bool:
        try:
            return self.revision() > 0
        except OSError:
            return False

    def _etcd_request(self, method: str, body: Json) -> Json:
        """etcd's JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/."""
        request = urllib.request.Request(
            f"{self._etcd_url}/v3/{method}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer: Json = json.load(reply)
        return answer

    def grant_account(self, name: str, namespace: str) -> None:
        """Give a ServiceAccount the rights of a DNS server."""
        resources = ("endpointslices", "services", "pods", "namespaces")
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        self._bind(f"{namespace}:{name}", resources, subject)

    def wait_right(self, user: str, verb: str, resource: str, allowed: bool = True) -> None:
        """Wait until the API server, which watches its own rules, goes by what was granted."""
        group = {"endpointslices": "discovery.k8s.io"}.get(resource, "")
        attributes = {"verb": verb, "resource": resource, "group": group}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        wait_until(
            lambda: self.api.request("POST", path, review)["status"]["allowed"] is allowed,
            _START_SECONDS,
            f"{user} may{'' if allowed else ' not'} {verb} {resource}",
        )

    def _grant(self, user: str, resources: tuple[str, ...]) -> None:
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        self._bind(user, resources, subject)

    def _bind(self, name: str, resources: tuple[str, ...], subject: Json) -> None:
        rbac = "rbac.authorization.k8s.io"
        groups = ["", "discovery.k8s.io", "multicluster.x-k8s.io"]
        rule = {"apiGroups": groups, "resources": resources, "verbs": ["list", "watch"]}
        version = {"apiVersion": f"{rbac}/v1", "metadata": {"name": f"test:{name}"}}
        reference = {"apiGroup": rbac, "kind": "ClusterRole", "name": f"test:{name}"}
        self.api.create({**version, "kind": "ClusterRole", "rules": [rule]})
        self.api.create(
            {**version, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]}
        )

    def _kubeconfig(self, name: str, credentials: tuple[Path, Path]) -> Path:
        certificate, key = map(str, credentials)
        authority = str(self._authority.certificate)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.url, "certificate-authority": authority},
                }
            ],
            "users": [
                {"name": name, "user": {"client-certificate": certificate, "client-key": key}}
            ],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        }
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return path


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _running(process: Process | None, name: str) -> Process:
    if process is None:
        raise RuntimeError(f"{name} was not started")
    return process
