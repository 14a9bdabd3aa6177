"""What the kernel counts for a process: CPU time, memory, instructions, and a limit of CPU time."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench import usage
from bench.cpu_limit import limited
from bench.rounds import NotRunError

SPIN = "import time\nwhile time.process_time() < {seconds}: pass\n"


def test_cpu_time_counts_children() -> None:
    spin = SPIN.format(seconds=0.1) + "input()"
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE) as parent:
        deadline = time.monotonic() + 60
        while len(usage.family(parent.pid)) < 2 or usage.cpu_seconds(parent.pid) < 0.1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert usage.cpu_nanoseconds(parent.pid) > 0.09e9
        assert usage.resident_bytes(parent.pid) > 4 * 1024 * 1024
        assert usage.pss_bytes(parent.pid) > 1024 * 1024
        parent.communicate(b"\n")
    assert os.getpid() in usage.family(os.getpid())


def test_memory_that_is_written_is_counted() -> None:
    before = usage.pss_bytes(os.getpid())
    held = b"x" * (32 * 1024 * 1024)
    assert usage.pss_bytes(os.getpid()) - before > 0.9 * len(held)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1234567,,instructions:u,800000,100.00,,\n", 1234567),
        ("# started\n99,,instructions,1,100.00,,\n", 99),
        ("<not supported>,,instructions,0,100.00,,\n", None),
        ("<not counted>,,instructions,0,0.00,,\n", None),
        ("Error: no permission\n", None),
        ("", None),
    ],
)
def test_instructions_in_the_output_of_perf(text: str, count: int | None) -> None:
    assert usage.read_instructions(text) == count


def test_instructions_are_counted_or_it_is_known_why_not() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", SPIN.format(seconds=60)]) as process,
        usage.Instructions(process.pid) as counted,
    ):
        process.terminate()
        process.wait(60)
    assert bool(counted.count) is not bool(usage.instructions_problem())


def test_a_limit_holds() -> None:
    try:
        with limited(200) as wrapper:
            command = [*wrapper, sys.executable, "-c", SPIN.format(seconds=0.3)]
            start = time.monotonic()
            subprocess.run(command, check=True)
            took = time.monotonic() - start
    except NotRunError as error:
        pytest.skip(f"{error}")
    assert took > 1, "0.3 s of CPU time at a fifth of a core"
