"""Where glibc, musl and Go differ: which names they try, after what they go on, what they say at the end.

glibc 2.36 (resolv/res_query.c), musl 1.2 (src/network/lookup_name.c), Go 1.26 (net/dnsclient_unix.go).
Pure; how servers are asked is told in ``exchange``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from kdns.stub.resolver_config import ResolverConfig
from kdns.stub.steps import Step, Verdict, verdict
from kdns.wire.constants import Rcode
from kdns.wire.names import MAX_NAME


class Flavour(Protocol):
    """One library's way."""

    @property
    def name(self) -> str:
        """As on the command line."""

    def candidates(self, name: str, conf: ResolverConfig) -> list[str]:
        """The absolute names to try, in order."""

    def judge(self, steps: Sequence[Step]) -> Verdict:
        """What the replies for one name, one for each type, come to."""

    def after(self, tried: str, found: Verdict, rest: list[str], name: str) -> list[str]:
        """Which of the candidates that are left are tried, ``tried`` having come to nothing."""

    def failure(self, verdicts: Sequence[tuple[str, Verdict]], name: str) -> str:
        """What the application is told, given each name that was tried."""


def _completed(name: str, conf: ResolverConfig) -> list[str]:
    found = [f"{name}.{domain}." for domain in conf.search]
    return [each for each in found if len(each) < MAX_NAME]


def _both_ends(name: str, conf: ResolverConfig) -> list[str]:
    """With enough dots first as it is, else at last."""
    if name.endswith("."):
        return [name]
    as_is = f"{name}."
    if name.count(".") >= conf.ndots:
        return [as_is, *_completed(name, conf)]
    return [*_completed(name, conf), as_is]


class Glibc(Struct, frozen=True):
    """The GNU C library: Debian, Ubuntu, Red Hat, and Python or Java there."""

    name: str = "glibc"

    def candidates(self, name: str, conf: ResolverConfig) -> list[str]:
        return _both_ends(name, conf)

    def judge(self, steps: Sequence[Step]) -> Verdict:
        if any(step.found for step in steps):
            return Verdict.FOUND
        # res_query.c: of two replies the one that is no NOERROR counts
        return next(
            (v for s in steps if (v := verdict(s.rcode)) is not Verdict.NODATA), Verdict.NODATA
        )

    def after(self, tried: str, found: Verdict, rest: list[str], name: str) -> list[str]:
        """Silence ends the search, but not before the name was tried as it is."""
        if tried == f"{name}." or found in {Verdict.NODATA, Verdict.NXDOMAIN, Verdict.SERVFAIL}:
            return rest
        return [each for each in rest if each == f"{name}."]

    def failure(self, verdicts: Sequence[tuple[str, Verdict]], name: str) -> str:
        first_name, first = verdicts[0]
        found = [each for _, each in verdicts]
        if first_name.rstrip(".") == name.rstrip(".") and len(found) > 1:
            last = first  # res_nsearch: what the name as it is came to is told
        elif Verdict.NODATA in found:
            last = Verdict.NODATA
        elif Verdict.SERVFAIL in found:
            last = Verdict.SERVFAIL
        else:
            last = found[-1]
        return _GETADDRINFO[last]


_GETADDRINFO: Final = {
    Verdict.NODATA: "EAI_NODATA: No address associated with hostname",
    Verdict.NXDOMAIN: "EAI_NONAME: Name or service not known",
    Verdict.SERVFAIL: "EAI_AGAIN: Temporary failure in name resolution",
    Verdict.FAILED: "EAI_AGAIN: Temporary failure in name resolution",
    Verdict.SILENT: "EAI_AGAIN: Temporary failure in name resolution",
}


def _of_first(steps: Sequence[Step]) -> Verdict:
    """The reply to the first question, the one for A, decides, where none found anything."""
    if any(step.found for step in steps):
        return Verdict.FOUND
    return verdict(steps[0].rcode)


class Musl(Struct, frozen=True):
    """The C library of Alpine."""

    name: str = "musl"

    def candidates(self, name: str, conf: ResolverConfig) -> list[str]:
        """With enough dots nothing is ever appended."""
        if name.endswith(".") or name.count(".") >= conf.ndots:
            return [name.rstrip(".") + "."]
        return [*_completed(name, conf), f"{name}."]

    def judge(self, steps: Sequence[Step]) -> Verdict:
        return _of_first(steps)

    def after(self, tried: str, found: Verdict, rest: list[str], name: str) -> list[str]:
        return rest if found is Verdict.NXDOMAIN else []

    def failure(self, verdicts: Sequence[tuple[str, Verdict]], name: str) -> str:
        return _MUSL[verdicts[-1][1]]


_MUSL: Final = {
    Verdict.NODATA: "EAI_NODATA: Name has no usable address (before musl 1.2.4: Name does not resolve)",
    Verdict.NXDOMAIN: "EAI_NONAME: Name does not resolve",
    Verdict.SERVFAIL: "EAI_AGAIN: Try again",
    Verdict.FAILED: "EAI_AGAIN: Try again",
    Verdict.SILENT: "EAI_AGAIN: Try again",
}


class Go(Struct, frozen=True):
    """Go's own resolver, which static binaries have."""

    name: str = "go"

    def candidates(self, name: str, conf: ResolverConfig) -> list[str]:
        return _both_ends(name, conf)

    def judge(self, steps: Sequence[Step]) -> Verdict:
        return _of_first(steps)

    def after(self, tried: str, found: Verdict, rest: list[str], name: str) -> list[str]:
        return rest

    def failure(self, verdicts: Sequence[tuple[str, Verdict]], name: str) -> str:
        """The error of the name as it is goes before that of the first one."""
        errors = dict(verdicts)
        found = errors.get(f"{name.rstrip('.')}.", verdicts[0][1])
        return f"lookup {name}: {_GO[found]}"


_GO: Final = {
    Verdict.NODATA: "no such host",
    Verdict.NXDOMAIN: "no such host",
    Verdict.SERVFAIL: "server misbehaving",
    Verdict.FAILED: "server misbehaving",
    Verdict.SILENT: "i/o timeout",
}

FLAVOURS: Final[dict[str, Flavour]] = {each.name: each for each in (Glibc(), Musl(), Go())}

NEXT_SERVER: Final = frozenset({Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})
"""glibc, res_send.c: replies after which the next server is asked."""


def usable(steps: Iterable[Step]) -> bool:
    """Whether a server of glibc's has answered any of the questions."""
    return any(step.response is not None and step.rcode not in NEXT_SERVER for step in steps)
