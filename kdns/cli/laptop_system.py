"""``kdns laptop --install``, ``--uninstall``, ``--print``, ``doctor``: the system's resolver, in words."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from msgspec.structs import replace

from kdns.system import installed as changes
from kdns.system import methods
from kdns.system.doctor import examine, port_hint
from kdns.system.machine import Machine
from kdns.system.steps import Plan, PlanError, RunCommand, Wanted, shell_lines


def install(wanted: Wanted, *, only_print: bool) -> int:
    """Have the system ask kdns for these names; the exit status."""
    machine = Machine()
    try:
        state = changes.read_state(machine)
        plan = methods.plan(machine, wanted)
        if only_print:
            _print(machine, plan)
            return 0
        if not machine.privileged:
            return _needs_root(machine)
        # What was installed before goes first: it may be another method, or half of this one.
        for problem in changes.uninstall(machine):
            print(f"kdns: {problem}", file=sys.stderr)
        if wanted.address is None and state is not None and state.method == plan.method:
            wanted = replace(wanted, address=state.wanted.address)  # kdns may be there already
        plan = methods.plan(machine, wanted)
        changes.install(machine, plan)
    except PlanError as error:
        print(f"kdns: {error}", file=sys.stderr)
        return 1
    zones = ", ".join(plan.wanted.zones)
    print(f"{plan.method}: names in {zones} are asked of {plan.wanted.address} from now on.")
    for note in _notes(machine, plan):
        print(note)
    print("Start 'kdns laptop' now. To undo this: kdns laptop --uninstall")
    return 0


def uninstall(*, only_print: bool) -> int:
    """Put back what an installation changed; the exit status."""
    machine = Machine()
    try:
        state = changes.read_state(machine)
        if state is None and (only_print or not machine.privileged):
            print("Nothing is installed.")
            return 0
        if only_print and state:
            print(f"# {state.method}, undone in this order:")
            print(*changes.describe_undo(machine, state), sep="\n")
            return 0
        if not machine.privileged:
            return _needs_root(machine)
        problems = changes.uninstall(machine)
    except PlanError as error:
        print(f"kdns: {error}", file=sys.stderr)
        return 1
    for problem in problems:
        print(f"kdns: {problem}", file=sys.stderr)
    print(f"{state.method}: names are asked as before." if state else "Nothing is installed.")
    return 1 if problems else 0


def _print(machine: Machine, plan: Plan) -> None:
    """A script that does the same, though by hand nothing is kept for the way back."""
    print(f"# {plan.method}: what 'kdns laptop --install' does. It keeps what it replaces")
    print(f"# in {changes.state_name(machine)}, and 'kdns laptop --uninstall' puts that back.")
    if machine.platform == "win32":
        commands = [each for each in plan.steps if isinstance(each, RunCommand)]
        print(*(each.do[-1] for each in commands if each.do), sep="\n")
    else:
        print(*shell_lines(plan.steps), sep="\n")
    for note in _notes(machine, plan):
        print(f"# {note}")


def _notes(machine: Machine, plan: Plan) -> list[str]:
    assert plan.wanted.address, "chosen"
    hint = port_hint(machine, plan.wanted.address)
    return [*plan.notes, *([hint] if hint else [])]


def _needs_root(machine: Machine) -> int:
    """Say exactly what to type: root has another home, and mostly another ``PATH``."""
    if machine.platform == "win32":
        print(
            "kdns: run this again in a PowerShell opened by 'Run as administrator'", file=sys.stderr
        )
        return 1
    program = shutil.which(sys.argv[0])
    own = [os.path.abspath(program)] if program else [sys.executable, "-m", "kdns"]
    kubeconfig = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    known = (
        ["env", f"KUBECONFIG={kubeconfig}"]
        if any(map(os.path.exists, kubeconfig.split(os.pathsep)))
        else []
    )
    command = ["sudo", *known, *own, *sys.argv[1:]]
    print("kdns: this needs root; nothing was changed. Run:", file=sys.stderr)
    print(f"  {shlex.join(command)}", file=sys.stderr)
    return 1


_MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def doctor(wanted: Wanted) -> int:
    """Tell what is found; 1 when something is wrong."""
    try:
        findings = examine(Machine(), wanted)
    except PlanError as error:
        print(f"kdns: {error}", file=sys.stderr)
        return 1
    for finding in findings:
        print(f"{_MARKS[finding.level]}  {finding.text}")
        if finding.help:
            print(f"       -> {finding.help}")
    return int(any(finding.level == "wrong" for finding in findings))
