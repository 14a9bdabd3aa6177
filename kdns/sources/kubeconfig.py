"""Says what is wrong with a kubeconfig before it is used, naming file and field.

The ``kubernetes`` package does the real loading; many broken files make it fail with an error that
names neither. Fields that are not checked here are its business.
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml
from msgspec import Struct, field

from kdns.sources.transport import AccessError

_FILES = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}
_DATA = {"certificate-authority-data", "client-certificate-data", "client-key-data"}


class _Context(Struct):
    cluster: str = ""
    user: str = ""
    namespace: str | None = None


class _Exec(Struct):
    command: str
    apiVersion: str  # noqa: N815 - a key of the file


class _Cluster(Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None
    proxy_url: str | None = None


class _User(Struct, rename="kebab"):
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = field(default=None, name="tokenFile")
    exec: _Exec | None = None


Body = TypeVar("Body", _Context, _Cluster, _User)


class _NamedContext(Struct):
    name: str
    context: _Context


class _NamedCluster(Struct):
    name: str
    cluster: _Cluster


class _NamedUser(Struct):
    name: str
    user: _User | None = None


class _File(Struct, rename="kebab"):
    current_context: str | None = None
    contexts: list[_NamedContext] | None = None
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None


class _Found(Struct):
    """Everything in all files; of two with one name the first counts."""

    current_context: str = ""
    contexts: dict[str, tuple[Path, _Context]] = {}
    clusters: dict[str, tuple[Path, _Cluster]] = {}
    users: dict[str, tuple[Path, _User]] = {}


def paths(kubeconfig: str) -> list[Path]:
    """Return the files named, as in ``$KUBECONFIG``."""
    return [Path(part).expanduser() for part in kubeconfig.split(os.pathsep) if part]


class Selected(Struct, frozen=True):
    """A context, as kubectl would use it."""

    name: str
    namespace: str
    """Of its entry; ``default`` where that names none."""


def select(kubeconfig: str, context: str = "") -> Selected:
    """The context of this name, or the current one. Raises ``AccessError`` when there is none."""
    name, selected = _select(kubeconfig, _found(kubeconfig), context)
    return Selected(name, selected.namespace or "default")


def check(kubeconfig: str, context: str) -> str:
    """Raise ``AccessError`` for what is wrong; return the context's exec plugin, "" without one.

    ``context`` "" is the current context of the first file that has one.
    """
    found = _found(kubeconfig)
    _, selected = _select(kubeconfig, found, context)
    path, cluster = _lookup(kubeconfig, "clusters", found.clusters, selected.cluster)
    _check_server(path, selected.cluster, cluster)
    _check_material(path, f"clusters[{selected.cluster}].cluster", cluster)
    if not selected.user and cluster.server.startswith("http://"):
        return ""  # such as kubectl proxy
    path, user = _lookup(kubeconfig, "users", found.users, selected.user)
    _check_material(path, f"users[{selected.user}].user", user)
    return user.exec.command if user.exec else ""


def _select(kubeconfig: str, found: _Found, context: str) -> tuple[str, _Context]:
    chosen = context or found.current_context
    if not chosen:
        known = ", ".join(found.contexts) or "none"
        raise AccessError(
            f"{kubeconfig}: current-context: missing; name a context (there are: {known})"
        )
    return chosen, _lookup(kubeconfig, "contexts", found.contexts, chosen)[1]


def _found(kubeconfig: str) -> _Found:
    contents = [(path, content) for path in paths(kubeconfig) if (content := _load(path))]
    if not contents:
        raise AccessError(f"{kubeconfig}: no such file")
    found = _Found()
    for path, content in contents:
        found.current_context = found.current_context or content.current_context or ""
        for context in content.contexts or ():
            found.contexts.setdefault(context.name, (path, context.context))
        for cluster in content.clusters or ():
            found.clusters.setdefault(cluster.name, (path, cluster.cluster))
        for user in content.users or ():
            found.users.setdefault(user.name, (path, user.user or _User()))
    return found


def _load(path: Path) -> _File | None:
    """None where there is no such file."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), _File)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise AccessError(f"{path}:{line}: {error.problem}") from error
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AccessError(f"{path}: not a kubeconfig: expected UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AccessError(f"{path}: not a kubeconfig: {str(error).splitlines()[0]}") from error


def _lookup(
    kubeconfig: str, section: str, named: dict[str, tuple[Path, Body]], name: str
) -> tuple[Path, Body]:
    if name not in named:
        known = ", ".join(named) or "none"
        raise AccessError(f"{kubeconfig}: {section}: no entry named {name!r} (there are: {known})")
    return named[name]


def _check_server(path: Path, name: str, cluster: _Cluster) -> None:
    where = f"{path}: clusters[{name}].cluster"
    if not cluster.server.startswith(("http://", "https://")):
        raise AccessError(f"{where}.server: expected an http or https URL, got {cluster.server!r}")
    proxy = cluster.proxy_url
    if proxy and not proxy.startswith(("http://", "https://")):
        raise AccessError(f"{where}.proxy-url: only http and https proxies work, got {proxy!r}")


def _check_material(path: Path, where: str, owner: _Cluster | _User) -> None:
    """Check that files exist and that data are PEM, in base64."""
    values = {each.encode_name: getattr(owner, each.name) for each in msgspec.structs.fields(owner)}
    for name in _FILES & values.keys():
        # Paths are relative to the kubeconfig; inline data win over a file.
        if (
            values[name]
            and not values.get(f"{name}-data")
            and not (name == "tokenFile" and values["token"])
        ):
            _check_file(path, f"{where}.{name}", values[name])
    for name in _DATA & values.keys():
        _check_data(f"{path}: {where}.{name}", values[name] or "")


def _check_file(path: Path, where: str, value: str) -> None:
    target = path.parent / value
    try:
        target.open("rb").close()
    except OSError as error:
        raise AccessError(f"{path}: {where}: {target}: {error.strerror}") from error


def _check_data(where: str, value: str) -> None:
    try:
        decoded = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AccessError(f"{where}: not base64: {error}") from error
    if decoded and b"-----BEGIN " not in decoded:
        raise AccessError(f"{where}: expected a certificate or key in PEM (-----BEGIN …)")
