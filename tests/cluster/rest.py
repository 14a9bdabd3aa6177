"""A small synchronous client of the Kubernetes API, for tests that change a real cluster."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlencode

Json: TypeAlias = dict[str, Any]


class _Resource(NamedTuple):
    prefix: str
    plural: str
    namespaced: bool


_CRDS: Final = "/apis/apiextensions.k8s.io/v1"
_MCS: Final = "/apis/multicluster.x-k8s.io/v1alpha1"
_CORE: Final = "/api/v1"
_DISCOVERY: Final = "/apis/discovery.k8s.io/v1"
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_APPS: Final = "/apis/apps/v1"
_AUTOSCALING: Final = "/apis/autoscaling/v2"
_POLICY: Final = "/apis/policy/v1"
_RESOURCES: Final = {
    "ConfigMap": _Resource(_CORE, "configmaps", True),
    "Endpoints": _Resource(_CORE, "endpoints", True),
    "Namespace": _Resource(_CORE, "namespaces", False),
    "Node": _Resource(_CORE, "nodes", False),
    "Pod": _Resource(_CORE, "pods", True),
    "Service": _Resource(_CORE, "services", True),
    "ServiceAccount": _Resource(_CORE, "serviceaccounts", True),
    "CustomResourceDefinition": _Resource(_CRDS, "customresourcedefinitions", False),
    "ServiceImport": _Resource(_MCS, "serviceimports", True),
    "EndpointSlice": _Resource(_DISCOVERY, "endpointslices", True),
    "ClusterRole": _Resource(_RBAC, "clusterroles", False),
    "ClusterRoleBinding": _Resource(_RBAC, "clusterrolebindings", False),
    "Deployment": _Resource(_APPS, "deployments", True),
    "HorizontalPodAutoscaler": _Resource(_AUTOSCALING, "horizontalpodautoscalers", True),
    "PodDisruptionBudget": _Resource(_POLICY, "poddisruptionbudgets", True),
}
_WITH_STATUS: Final = {"Pod", "Service", "Node"}
NODE: Final = "node"
"""The only Node; the slice controller leaves out Pods of unknown nodes."""
_MERGE: Final = "application/merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_NOT_FOUND: Final = 404
CONFLICT: Final = 409


class ApiError(Exception):
    """The API refused; ``status`` is the HTTP status code."""

    def __init__(self, status: int, method: str, path: str, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class Api:
    """Requests to one API server, authenticated by a client certificate. Usable from any thread."""

    def __init__(self, port: int, context: ssl.SSLContext, seconds: float = 60) -> None:
        self._port = port
        self._context = context
        self._seconds = seconds
        self._local = threading.local()

    def request(
        self, method: str, path: str, body: object = None, content: str = "application/json"
    ) -> Json:
        """The decoded reply; raises ``ApiError`` for a status of 400 and up, ``OSError`` when down."""
        status, text = self.raw(method, path, body, content)
        if status >= 400:
            raise ApiError(status, method, path, _message(text))
        decoded: Json = json.loads(text) if text else {}
        return decoded

    def raw(
        self, method: str, path: str, body: object = None, content: str = "application/json"
    ) -> tuple[int, str]:
        """Status and text of the reply; a kept connection that the server closed is replaced once."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": content}
        for fresh in (False, True):
            connection = self._connection(fresh)
            try:
                connection.request(method, path, sent, headers)
                response = connection.getresponse()
                return response.status, response.read().decode()
            except TimeoutError:
                self.close()
                raise
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if fresh:
                    raise ConnectionError(f"{method} {path}: {error}") from error
        raise AssertionError("unreachable")

    def _connection(self, fresh: bool) -> http.client.HTTPSConnection:
        kept: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if kept is None or fresh:
            kept = http.client.HTTPSConnection(
                "127.0.0.1", self._port, timeout=self._seconds, context=self._context
            )
            self._local.connection = kept
        return kept

    def close(self) -> None:
        """Close this thread's connection."""
        kept: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            kept.close()
            self._local.connection = None

    def ready(self) -> bool:
        try:
            return self.raw("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        try:
            return self.request("GET", _path(kind, namespace, name))
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def list(self, kind: str, namespace: str = "", selector: str = "") -> list[Json]:
        """All objects, or those of a namespace, or those with the labels that ``selector`` asks for."""
        query = "?" + urlencode({"labelSelector": selector}) if selector else ""
        items: list[Json] = self.request("GET", _path(kind, namespace) + query)["items"] or []
        return items

    def create(self, manifest: Mapping[str, Any]) -> Json:
        """Create the object, with its ``status`` where it has one, in its namespace or ``default``.

        A Pod gets what the API insists on where the manifest leaves it out.
        """
        kind, namespace, name = _identity(manifest)
        body = _complete_pod(manifest) if kind == "Pod" else manifest
        made = self.request("POST", _path(kind, namespace), body)
        if kind in _WITH_STATUS and manifest.get("status"):
            return self.patch_status(kind, namespace, name, manifest["status"])
        return made

    def apply(self, manifests: Iterable[Mapping[str, Any]]) -> None:
        """Create each object, after its Namespace where that is missing."""
        for manifest in manifests:
            kind, namespace, _ = _identity(manifest)
            if _RESOURCES[kind].namespaced:
                self.ensure_namespace(namespace)
            if kind == "Namespace":
                self.ensure_namespace(manifest["metadata"]["name"], manifest["metadata"])
            else:
                self.create(manifest)

    def ensure_namespace(self, name: str, metadata: Mapping[str, Any] | None = None) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata or {"name": name}}
        try:
            self.request("POST", _path("Namespace", ""), body)
        except ApiError as error:
            if error.status != CONFLICT:
                raise

    def patch(self, kind: str, namespace: str, name: str, change: Mapping[str, Any]) -> Json:
        """Merge ``change`` into the object (RFC 7386: null removes, lists are replaced)."""
        return self.request("PATCH", _path(kind, namespace, name), change, _MERGE)

    def apply_strictly(self, manifest: Mapping[str, Any]) -> Json:
        """``kubectl apply --server-side``; a field that the API does not know is an ``ApiError``."""
        options = "?fieldManager=tests&force=true&fieldValidation=Strict"
        return self.request("PATCH", _path(*_identity(manifest)) + options, manifest, _APPLY)

    def patch_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> Json:
        path = _path(kind, namespace, name) + "/status"
        return self.request("PATCH", path, {"status": status}, _MERGE)

    def delete(self, kind: str, namespace: str, name: str, grace: int = 0) -> None:
        """Delete the object, at once for a Pod; one that is not there is fine."""
        body: Json = {"propagationPolicy": "Background"}
        if kind == "Pod":
            body["gracePeriodSeconds"] = grace
        try:
            self.request("DELETE", _path(kind, namespace, name), body)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """A bound token of a ServiceAccount, as kubelet would project it (at least 600 s valid)."""
        path = _path("ServiceAccount", namespace, service_account) + "/token"
        token: str = self.request(
            "POST",
            path,
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds},
            },
        )["status"]["token"]
        return token


def _identity(manifest: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", "default"), metadata["name"]


def _complete_pod(manifest: Mapping[str, Any]) -> Json:
    # Grace 0: there is no kubelet that would confirm the end of a Pod.
    wanted = {
        "containers": [{"name": "main", "image": "none"}],
        "nodeName": NODE,
        "terminationGracePeriodSeconds": 0,
    }
    return {**manifest, "spec": {**wanted, **manifest.get("spec", {})}}


def _path(kind: str, namespace: str, name: str = "") -> str:
    prefix, plural, namespaced = _RESOURCES[kind]
    place = f"{prefix}/namespaces/{namespace}" if namespaced and namespace else prefix
    return f"{place}/{plural}" + (f"/{name}" if name else "")


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", text))
    except ValueError:
        return text.strip()
