#!/usr/bin/env python3
"""Checks confirm.pml: the protocol as it is holds, and each rule taken away is missed. Needs spin and a C compiler.

Every search is exhaustive for its configuration, or ends at the violation that was expected. Exits 0 if everything
came out as expected, 1 if anything did not, 2 if a tool is missing. `check.py NAME …` checks only those.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("confirm.pml")

MEMORY_MB = 1500
"""What one process may take: far more than any of them needs, and little enough to harm nobody."""

SECONDS = 300
"""The longest one process may run."""

HOLDS = "holds"


@dataclass(frozen=True)
class Case:
    """One configuration. `expected` is HOLDS, or the invariants (any one) that must be found broken."""

    name: str
    about: str
    defines: str
    expected: tuple[str, ...] = (HOLDS,)
    cycles: bool = False

    @property
    def is_mutation(self) -> bool:
        """Whether a violation is expected."""
        return self.expected != (HOLDS,)


@dataclass(frozen=True)
class Result:
    """What a search found."""

    case: Case
    verdict: str
    states: int
    seconds: float
    trail: str = ""

    @property
    def good(self) -> bool:
        """Whether it is what was expected."""
        return self.verdict in self.case.expected


ONE = "TRIES=2 PUTS=3 CRASHES"
HOLD = "TRIES=2 PUTS=2 CRASHES PREPARE"
NAMES = "DRAFTS=2 CALM SWIFT CRASHES REPLACE PREPARE DELETES=1"
RACE = "DRAFTS=2 TRIES=2 THREE CALM SWIFT"
CLEANING = "PUTS=2 CLEANERS=2 STALLS=2 DISCARD RESTORE RESIGN DELETES=1"
LATE = "PUTS=1 CRASHES LATE_PUT"
SLOW = "TRIES=2 PUTS=2 CRASHES SLOW_COPY"

CASES = (
    Case("race", "two drafts of a name, three attempts, fail and replace", f"{RACE} REPLACE"),
    Case("race-hold", "the same with prepare and commit, fail", f"{RACE} PREPARE"),
    Case("attempts", "one draft, two attempts, three PUTs, crashes", ONE),
    Case("hold", "the same with prepare, commit, rollback, deadline", HOLD),
    Case("names", "two drafts of a name, fail and replace, holds, DELETE", NAMES),
    Case("cleaning", "two cleaners that stall, discard, restore, new URLs", CLEANING),
    Case("late-put", "a PUT after the horizon, with reconcile", f"{LATE} RECONCILE"),
    Case("slow-copy", "a copy that outlasts COPY_HORIZON, with reconcile", f"{SLOW} RECONCILE"),
    Case("ends", "no run goes on for ever (non-progress cycles)", "TRIES=2 PUTS=1 CRASHES PREPARE", cycles=True),
    Case("no-state-check", "compare-and-set without the state", f"{ONE} NO_STATE_CHECK", ("both_ends",)),
    Case("no-lease-check", "recovery of attempts that are alive", f"{ONE} NO_LEASE_CHECK", ("live_attempt_refused",)),
    Case("no-fence", "any attempt speaks for the draft", f"{ONE} NO_FENCE", ("live_attempt_refused",)),
    Case(
        "no-fence-hold", "the same, of a prepared draft", f"{HOLD} NO_FENCE", ("live_attempt_refused", "commit_refused")
    ),
    Case("no-pin", "the copy takes what it finds", f"{ONE} NO_PIN", ("object_has_other_bytes",)),
    Case("one-key", "the key is the name", f"{NAMES} ONE_KEY", ("object_has_other_bytes",)),
    Case("no-horizon-delete", "draft bytes are deleted once", f"{ONE} NO_HORIZON_DELETE", ("draft_bytes_left",)),
    Case("no-second-delete", "garbage keys are deleted once", f"{ONE} NO_SECOND_DELETE", ("main_bytes_left",)),
    Case("no-name-hold", "publish ignores holds", f"{NAMES} NO_NAME_HOLD", ("commit_refused",)),
    Case("no-name-lock", "publish and prepare do not exclude each other", f"{NAMES} NO_NAME_LOCK", ("commit_refused",)),
    Case("no-unique-name", "no unique row per name", f"{NAMES} NO_UNIQUE_NAME", ("two_objects_of_a_name",)),
    Case("late-put-alone", "a PUT after the horizon, without reconcile", LATE, ("draft_bytes_left",)),
    Case("slow-copy-alone", "a copy after COPY_HORIZON, without reconcile", SLOW, ("main_bytes_left",)),
)


class ToolFailedError(Exception):
    """spin, the compiler or the search ended otherwise than they should."""


def main(names: list[str]) -> int:
    """Check, print the table, and say whether all came out as expected."""
    missing = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]
    if missing:
        print(f"Not found: {', '.join(missing)}. Install with: apt-get install -y spin gcc libc6-dev", file=sys.stderr)
        return 2
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        print(f"No such case: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 1
    bound_memory()
    wanted = [case for case in CASES if not names or case.name in names]
    began = time.monotonic()
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        results = list(pool.map(checked, wanted))
    print(table(results))
    bad = [result for result in results if not result.good]
    for result in bad:
        print(f"\n{result.case.name}: {result.verdict}\n{result.trail}")
    print(f"\n{len(results)} cases, {len(bad)} not as expected, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def checked(case: Case) -> Result:
    """The result of one case; a tool that fails is a verdict like any other, never the expected one."""
    with tempfile.TemporaryDirectory(prefix="draftstore-model-") as folder:
        try:
            return search(case, Path(folder))
        except (ToolFailedError, subprocess.TimeoutExpired) as error:
            return Result(case, "did not finish", 0, 0.0, str(error))


def search(case: Case, folder: Path) -> Result:
    """Generate, compile and run the search of one case."""
    shutil.copy(MODEL, folder)
    defines = [f"-D{define}" for define in case.defines.split()]
    run(["spin", *defines, "-a", MODEL.name], folder)
    mode = "-DNP" if case.cycles else "-DSAFETY"
    speed = "-O1" if case.is_mutation else "-O2"
    compiler = ["cc", speed, "-w", mode, "-DVECTORSZ=2048", f"-DMEMLIM={MEMORY_MB - 200}"]
    run([*compiler, "-o", "pan", "pan.c"], folder)
    began = time.monotonic()
    output = run(["./pan", "-m100000", "-w23", "-n", *(["-l"] if case.cycles else [])], folder)
    seconds = time.monotonic() - began
    found = verdict(output)
    trail = "" if found in case.expected or not (folder / f"{MODEL.name}.trail").exists() else replayed(defines, folder)
    return Result(case, found, states(output), seconds, trail or output[-2000:])


def verdict(output: str) -> str:
    """HOLDS after a complete search without errors, the name of a broken invariant, or what else went wrong."""
    if broken := re.search(r"assertion violated\s+!\(*(\w+)\)*", output):
        return broken[1]
    if other := re.search(r"pan:\d+: (.*?) \(at depth", output):
        return other[1]
    complete = "errors: 0" in output and "Search not completed" not in output and "max search depth" not in output
    return HOLDS if complete else "did not finish"


def states(output: str) -> int:
    """How many states the search stored."""
    found = re.search(r"(\d+) states, stored", output)
    return int(found[1]) if found else 0


def replayed(defines: list[str], folder: Path) -> str:
    """The end of the run that led to an error nobody expected."""
    return run(["spin", *defines, "-t", "-p", "-g", MODEL.name], folder)[-6000:]


def run(command: list[str], folder: Path) -> str:
    """Output of a command, bounded in time and memory. pan ends with 0 whatever it found."""
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        raise ToolFailedError(f"{command[0]} ended with {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout


def bound_memory() -> None:
    """Bounds every process started from here on: a mistake in a model may make spin itself grow without end."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB * 1024**2, most))


def table(results: list[Result]) -> str:
    """The results as a table in Markdown."""
    lines = ["| case | what | states | s | verdict | expected |", "|---|---|---:|---:|---|---|"]
    for result in results:
        case, mark = result.case, "" if result.good else " **NOT AS EXPECTED**"
        expected = " or ".join(case.expected)
        figures = f"{result.states:,} | {result.seconds:.1f}"
        lines.append(f"| {case.name} | {case.about} | {figures} | {result.verdict}{mark} | {expected} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
