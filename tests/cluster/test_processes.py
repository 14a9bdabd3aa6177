from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.processes import DiedError, Process, wait_until

_STARTER = """
import signal, sys, time
from pathlib import Path
from tests.cluster.processes import Process
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
print(Process(["sleep", "600"], Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_end_with_the_run_however_it_ends(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        comm = Path(f"/proc/{child}/comm")
        wait_until(lambda: comm.read_text() == "sleep\n", 30, "sleep")  # setpriv has done its part
        run.send_signal(how)
        try:
            run.wait(60)
        finally:
            run.kill()
    wait_until(lambda: not _alive(child), 60, "the child's end")


def _alive(pid: int) -> bool:
    try:
        # Its new parent may be slow to reap it, or be no reaper at all (a container's pid 1).
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_ends_says_why(tmp_path: Path) -> None:
    broken = Process(["sh", "-c", "echo no such flag >&2; exit 3"], tmp_path / "log")
    with pytest.raises(DiedError, match="sh ended with 3:\nno such flag"):
        broken.wait_ready(lambda: False, 60)


def test_a_program_that_hangs_is_named(tmp_path: Path) -> None:
    slow = Process(["sleep", "600"], tmp_path / "log")
    with pytest.raises(DiedError, match="sleep ready: not within"):
        slow.wait_ready(lambda: False, 0.1)
    assert slow.stop() == -signal.SIGTERM
