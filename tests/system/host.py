"""A laptop in namespaces: its files, its network, and the real resolvers of Debian on it.

What cannot be had inside is stood in for, in as few lines as possible: ``systemctl``, since there is no
init, and an ``ip`` that makes an interface of another type where this kernel has no dummies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.cluster.processes import Process

START: Final = Path(__file__).with_name("host.sh")
RESOLVERS: Final = (
    Path(os.environ.get("KDNS_CACHE") or Path.home() / ".cache" / "kdns") / "resolvers"
)
KDNS: Final = Path(shutil.which("kdns") or Path(__file__).parents[2] / ".venv" / "bin" / "kdns")

_PROGRAMS: Final = (RESOLVERS / "usr/bin", RESOLVERS / "usr/sbin", "/usr/sbin", "/sbin")
_LIBRARIES: Final = RESOLVERS / "usr" / "lib" / "x86_64-linux-gnu"

SYSTEMCTL: Final = """\
#!/bin/bash
# Of a unit of type oneshot what it runs, at once; of services the restart.
commands() { sed -n "s/^$2=-\\?//p" "/etc/systemd/system/$1"; }
case "$*" in
  daemon-reload) ;;
  "enable --now "*) commands "$3" ExecStartPre | sh 2>/dev/null; commands "$3" ExecStart | sh -e ;;
  "disable --now "*) [ -e "/etc/systemd/system/$3" ] && commands "$3" ExecStop | sh ;;
  "restart dnsmasq")
    [ -e /run/dnsmasq.pid ] && kill "$(cat /run/dnsmasq.pid)"
    while [ -e /run/dnsmasq.pid ]; do sleep 0.02; done
    dnsmasq --conf-dir=/etc/dnsmasq.d --pid-file=/run/dnsmasq.pid --bind-interfaces \\
      --listen-address=127.0.0.1 --no-resolv --server=192.0.2.1 --user=root ;;
  *) echo "systemctl: $* is not stood in for" >&2; exit 1 ;;
esac
"""

IP: Final = """\
#!/bin/bash
args=("$@")
if [[ "$*" == *"type dummy"* ]] && ! {ip} link add "$3" type dummy 2>/dev/null; then
  args[-1]=ifb
elif [[ "$*" == *"type dummy"* ]]; then
  exit 0
fi
exec {ip} "${{args[@]}}"
"""


def missing() -> str:
    """Why there can be no such laptop here; "" when there can."""
    tools = [name for name in ("unshare", "nsenter", "ip", "getent") if not shutil.which(name)]
    if tools:
        return f"{', '.join(tools)} not there"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "no namespaces without root"


_UNSHARE: Final = ("unshare", "-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc")


def wait_listening(kdns: Process) -> None:
    """To be awaited before programs ask: a resolver that gets no reply waits for seconds."""
    kdns.wait_ready(lambda: "listening on" in kdns.log.read_text(), 60)


class Host:
    """``Host(folder)`` until ``close``. Commands run as root unless ``user`` is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "disk").mkdir()
        (folder / "bin").mkdir()
        self.provide("systemctl", SYSTEMCTL)
        self.provide("ip", IP.format(ip=shutil.which("ip")))
        self.environment = {
            **os.environ,
            "FOLDER": str(folder),
            "RESOLVERS": str(RESOLVERS),
            "HOME": str(folder),
            "PATH": os.pathsep.join(map(str, (folder / "bin", *_PROGRAMS, os.environ["PATH"]))),
            "LD_LIBRARY_PATH": str(_LIBRARIES),
        }
        self._unshare = Process([*_UNSHARE, "bash", START], folder / "host.log", self.environment)
        self._unshare.wait_ready((folder / "ready").exists, 60)
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        self._enter = ("nsenter", "-t", children.read_text().split()[0], "-n", "-m", "-p")
        self._started: list[Process] = []

    def close(self) -> None:
        for process in self._started:
            process.kill()
        self._unshare.kill()

    def provide(self, name: str, text: str) -> None:
        """A program that comes first in ``PATH``."""
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *command: str | Path) -> Process:
        log = self.folder / f"{len(self._started)}.log"
        process = Process([*self._enter, *command], log, self.environment)
        self._started.append(process)
        return process

    def start_in_network(self, *command: str | Path) -> Process:
        """At the other end of the laptop's cable."""
        return self.start(
            "nsenter", "-t", (self.folder / "lan").read_text().strip(), "-n", *command
        )

    def run(self, *command: str | Path, user: str = "root") -> subprocess.CompletedProcess[str]:
        become = () if user == "root" else ("setpriv", f"--reuid={user}", "--clear-groups")
        return subprocess.run(
            [*self._enter, *become, *map(str, command)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def shell(self, script: str) -> str:
        """The output of a script, which has to succeed."""
        done = self.run("bash", "-ec", script)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self) -> list[str]:
        """Every file of /etc and /var/lib, as lines: type, mode, owner and target; checksums.

        But for the times that NetworkManager notes.
        """
        every = "find /etc /var/lib -path /var/lib/NetworkManager -prune -o"
        listed = f"{every} -printf '%p %y %m %U %G %l\\n'"
        sums = f"{every} -type f -exec sha256sum {{}} +"
        return sorted(self.shell(f"{listed}; {sums}").splitlines())

    def addresses(self, name: str) -> str:
        """What programs get, one line, "" when there is nothing."""
        found = self.run("getent", "ahostsv4", name).stdout.split("\n")[0].split()
        return found[0] if found else ""
