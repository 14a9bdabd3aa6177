"""The Kubernetes API server as a source: connections by the ``kubernetes`` package, one watcher each.

The only importer of ``kubernetes``, and that only when a connection is made, and no more of it than
what it does well: kubeconfig, exec plugins, tokens, TLS, proxies. Not its ``ApiClient``, which comes with
pydantic; bodies are read as raw bytes.
"""

from __future__ import annotations

import ast
import asyncio
import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdns.config.access import ApiAccess
from kdns.records.objects import Change
from kdns.records.schema import status_message
from kdns.sources import kubeconfig
from kdns.sources.connection import Connection, ObserveRequest
from kdns.sources.exchange import Connector
from kdns.sources.liveness import Liveness
from kdns.sources.resources import watched
from kdns.sources.transport import AccessError, TransportError
from kdns.sources.watch import Limits
from kdns.sources.watcher import Context, Timing, Watcher
from kdns.status import ResourceStatus, SourceStatus
from kdns.supervisor import supervise
from kdns.wire.presentation import CONTROL_ESCAPES

if TYPE_CHECKING:
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.client.rest import RESTClientObject

CREDENTIAL_SECONDS: Final = 60.0
"""How long an exec plugin or an identity provider may take; browser logins take longer and fail."""


MAX_ANSWER: Final = 4 * 1024 * 1024
"""Octets that ``fetch`` reads; etcd takes objects of 1.5 MiB."""

_PLUGIN_FAILED: Final = re.compile(r"exec: process returned (-?\d+)(?:\. (b(['\"]).*\3))?")

_SILENT: Final = logging.NullHandler()

OPENING_SECONDS: Final = 1.0
"""How long a start waits for credentials: questions about other names are to be answered meanwhile."""


class ApiServer:
    """Watches one API server and reports what changes there.

    ``open`` may be called before ``run`` so that a broken configuration is an error at start.
    """

    def __init__(
        self,
        access: ApiAccess,
        status: SourceStatus,
        emit: Callable[[Change], None],
        limits: Limits | None = None,
        timing: Timing | None = None,
        observe: ObserveRequest | None = None,
    ) -> None:
        self._status = status
        self._opening: asyncio.Task[None] | None = None
        files = kubeconfig.paths(access.kubeconfig)
        self._connection = Connection(partial(_client, access), files, observe)
        limits = limits or Limits()
        context = Context(
            transport=self._connection,
            liveness=Liveness(self._connection, limits),
            emit=emit,
            limits=limits,
            timing=timing or Timing(),
        )
        self._watchers = []
        for resource in watched(access):
            own = status.resources.setdefault(resource.name, ResourceStatus())
            self._watchers.append(Watcher(resource, context, own))

    @property
    def name(self) -> str:
        return self._status.name

    @property
    def address(self) -> str:
        """The API server's URL; "" while it is not known."""
        return self._connection.address

    async def open(self) -> None:
        """Load the configuration; ``AccessError`` names the file and field that is wrong.

        The API server need not be there, and an exec plugin may fail: ``run`` tries again. What takes
        long, such as a plugin that waits for its user, goes on in the background.
        """
        self._opening = asyncio.create_task(self._connection.load())
        done, _ = await asyncio.wait({self._opening}, timeout=OPENING_SECONDS)
        for task in done:
            task.result()
        self._status.name = self._connection.address or self._status.name

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            if self._opening is not None:
                opening, self._opening = self._opening, None
                with suppress(AccessError):  # the watchers meet it again, and say so
                    await opening
                self._status.name = self._connection.address or self._status.name
            async with asyncio.TaskGroup() as tasks:
                for watcher in self._watchers:
                    tasks.create_task(supervise(watcher))
        finally:
            await self.close()

    def failed(self, problem: str) -> None:
        """Record it for all resources."""
        for watcher in self._watchers:
            watcher.failed(problem)

    def settled(self) -> None:
        """Each watch says by itself when it stands."""

    async def close(self) -> None:
        """Give up the connection of a source that is not run (any more)."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._connection.close()


async def fetch(
    access: ApiAccess, path: str, parameters: Mapping[str, str], patience: float
) -> bytes:
    """An answer of the API as JSON. Raises ``AccessError``, or ``TransportError`` with its own words."""
    connection = Connection(partial(_client, access), kubeconfig.paths(access.kubeconfig))
    try:
        async with asyncio.timeout(patience), connection.get(path, parameters, patience) as reply:
            body = b""
            while (piece := await reply.read()) and len(body) < MAX_ANSWER:
                body += piece
            if reply.status != 200:
                raise TransportError(status_message(body) or f"{path}: HTTP {reply.status}")
            return body
    except TimeoutError:
        raise TransportError(f"{path}: nothing came within {patience:g} s") from None
    finally:
        await connection.close()


def _leave_out_unused() -> None:
    """Have modules of ``kubernetes`` imported without what the packages around them import besides.

    That is the blocking client, the dynamic one, and what reads a kubeconfig, with pydantic: time and
    memory of each start, unused. It has to come before any import of ``kubernetes``.
    """
    if "kubernetes" in sys.modules:
        return
    for name in ("kubernetes", "kubernetes.aio", "kubernetes.aio.config", "kubernetes.aio.utils"):
        spec = find_spec(name)
        if spec is not None:
            sys.modules[name] = module_from_spec(spec)
    sys.modules["kubernetes"].aio = sys.modules["kubernetes.aio"]  # type: ignore[attr-defined]


async def _configuration(access: ApiAccess) -> Configuration:
    """Load the settings. Raises ``AccessError``, or ``TransportError`` when a plugin fails."""
    # It logs what is raised here as well; without any handler that would go to standard error.
    logging.getLogger("kubernetes").addHandler(_SILENT)
    from kubernetes.aio.client.configuration import Configuration  # noqa: PLC0415 - see the docstring
    from kubernetes.aio.config.config_exception import ConfigException  # noqa: PLC0415
    from kubernetes.aio.config.incluster_config import load_incluster_config  # noqa: PLC0415

    configuration = Configuration(host="")
    try:
        async with asyncio.timeout(CREDENTIAL_SECONDS):
            if access.endpoint:
                _use_endpoint(configuration, access)
            elif access.kubeconfig:
                await _use_kubeconfig(configuration, access)
            else:
                load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (AccessError, TransportError):
        raise
    except TimeoutError as error:
        raise TransportError(f"no credentials within {CREDENTIAL_SECONDS:g} s") from error
    except ConfigException as error:
        hint = "" if access.kubeconfig else f"; {_OUTSIDE}"
        raise AccessError(f"{_place(access)}: {str(error).rstrip('.')}{hint}") from error
    except Exception as error:  # the package's loader trips over odd files in many ways
        raise AccessError(f"{_place(access)}: {type(error).__name__}: {error}") from error
    return configuration


_OUTSIDE: Final = "outside a Pod, name an API server by kubeconfig or endpoint"


def _place(access: ApiAccess) -> str:
    if access.endpoint:
        return f"endpoint {access.endpoint}"
    if not access.kubeconfig:
        return "in-cluster configuration"
    return f"kubeconfig {access.kubeconfig}" + (f" context {access.context}" * bool(access.context))


def _use_endpoint(configuration: Configuration, access: ApiAccess) -> None:
    """As CoreDNS: ``endpoint URL`` with ``tls CERT KEY CA`` or ``tls CA``."""
    scheme = "" if "://" in access.endpoint else "https://" if access.tls else "http://"
    configuration.host = scheme + access.endpoint.rstrip("/")
    for path in access.tls:
        if not Path(path).is_file():
            raise AccessError(f"tls: {path}: no such file")
    if len(access.tls) == 3:
        configuration.cert_file, configuration.key_file, configuration.ssl_ca_cert = access.tls
    elif access.tls:
        configuration.ssl_ca_cert = access.tls[0]


async def _use_kubeconfig(configuration: Configuration, access: ApiAccess) -> None:
    from kubernetes.aio.config.exec_provider import ExecProvider  # noqa: PLC0415
    from kubernetes.aio.config.kube_config import load_kube_config  # noqa: PLC0415

    plugin = kubeconfig.check(access.kubeconfig, access.context)
    loader = await load_kube_config(  # type: ignore[no-untyped-call]
        config_file=access.kubeconfig,
        context=access.context or None,
        client_configuration=configuration,
        persist_config=False,
    )
    if plugin and not (configuration.api_key or configuration.cert_file):
        # The loader only logs why a plugin failed; asked directly it says so.
        settings = loader._user["exec"]
        try:
            await ExecProvider(settings).run()  # type: ignore[no-untyped-call]
        except FileNotFoundError as error:
            hint = settings.safe_get("installHint")
            missing = f"exec plugin {plugin}: {error.strerror}" + (f"; {hint}" if hint else "")
            raise TransportError(missing) from error
        except Exception as error:
            raise TransportError(f"exec plugin {plugin}: {_plugin_words(error)}") from error
        raise TransportError(f"exec plugin {plugin}: no token and no certificate in its answer")


def _plugin_words(error: Exception) -> str:
    """What a plugin said, on one line: the package tells it as Python writes bytes."""
    found = _PLUGIN_FAILED.fullmatch(str(error))
    if found is None:
        return str(error)
    said = ast.literal_eval(found[2]).decode(errors="replace") if found[2] else "said nothing"
    words = " ".join(said.split()).translate(CONTROL_ESCAPES)
    return f"{words} (exit status {found[1]})"


async def _client(access: ApiAccess) -> RESTClientObject:
    """Make a client. Raises ``AccessError``, or ``TransportError`` when a plugin fails."""
    _leave_out_unused()
    from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415

    class RestClient(RESTClientObject):
        def _create_connector(self) -> Connector:
            return Connector(limit=self.maxsize, ssl=self.ssl_context)

    configuration = await _configuration(access)
    try:
        return RestClient(configuration)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = [configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file]
        named = ", ".join(file for file in files if file)
        raise AccessError(f"{_place(access)}: certificates or key ({named}): {error}") from error
