"""Child processes of a test run: logged to a file, and gone with the run, however it ends."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

# Below Linux's range for outgoing connections (32768 and up), so that nothing takes the port of a
# server which is down for a while on purpose. In an order of its own for each run on this machine.
_PORTS: Final = iter(random.sample(range(20000, 32000), 12000))

# PR_SET_PDEATHSIG fires when the *thread* that forked ends, so one thread, which lasts as long as the
# interpreter, starts all children.
_starter: Final = ThreadPoolExecutor(1, thread_name_prefix="process-starter")


class DiedError(Exception):
    """A process ended, or did not become ready; the message has the end of its log."""


def free_port(kinds: Sequence[socket.SocketKind] = (socket.SOCK_STREAM,)) -> int:
    """A port of 127.0.0.1 that nobody holds for any of ``kinds``, and that was not given before.

    Who asks for several opens them later, and two of a number would be one too many.
    """
    for port in _PORTS:
        if all(_is_free(port, kind) for kind in kinds):
            return port
    raise OSError("no free port found")


def free_dns_port() -> int:
    return free_port((socket.SOCK_STREAM, socket.SOCK_DGRAM))


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Poll until ``condition`` holds; seconds it took. Raises ``TimeoutError`` naming ``what``."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - start


class Process:
    """A program that runs until ``stop`` or ``kill``, or until the test run ends."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        self._command = [*_death_wish(), *map(str, command)]
        self._environment = {**os.environ, **(environment or {})}
        self._child = _starter.submit(self._start).result()
        atexit.register(self.kill)

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is the test run's, which then stops us in order
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._end(signal.SIGKILL, 60)

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM, after ``seconds`` SIGKILL; its exit status."""
        return self._end(signal.SIGTERM, seconds)

    def wait(self, seconds: float = 60) -> int:
        """Its exit status, once it ends by itself; after ``seconds`` SIGKILL."""
        return self._end(None, seconds)

    def _end(self, how: signal.Signals | None, seconds: float) -> int:
        atexit.unregister(self.kill)
        if how is not None and self.running:
            self._child.send_signal(how)
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait(10)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> float:
        """Poll until ``ready()``; seconds it took. Raises ``DiedError`` when it ends or takes longer."""

        def ready_or_dead() -> bool:
            if not self.running:
                raise DiedError(f"{self.name} ended with {self._child.returncode}:\n{self.tail()}")
            return ready()

        try:
            return wait_until(ready_or_dead, seconds, f"{self.name} ready")
        except TimeoutError as error:
            raise DiedError(f"{error}:\n{self.tail()}") from error

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _death_wish() -> list[str]:
    setpriv = shutil.which("setpriv")  # util-linux; elsewhere atexit must do
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
