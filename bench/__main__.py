"""Measures every line of docs/performance.md beside its reference, in one run.

`make bench` takes up to ten minutes, writes bench/results.json and the table in docs/performance.md. `make bench-quick`
takes up to a minute and a half, with few short rounds and small sizes: it shows that all is well, and writes nothing.
With --only the other lines stay as they were.
Needs a C compiler, for the client that makes the load. Exit status: 0 when every line was measured, 1 when one could
not be; with --check also 1 when a target is not met.
"""

import argparse
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.harness import FULL, QUICK, Bench, run
from bench.lines import NAMES
from bench.load import LoadError
from bench.neighbours import TOO_MUCH, watched
from bench.plan import PLAN, Group, Step
from bench.results import Figures, merged, read, write
from bench.table import inserted, text
from support.child import ChildFailedError

RESULTS = Path(__file__).with_name("results.json")
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"


def main() -> None:
    """Measure, print, write."""
    arguments = _arguments()
    scale = QUICK if arguments.quick else FULL
    began = time.monotonic()
    figures = run(scale, lambda bench: _run(bench, arguments.only or NAMES))
    results = merged(read(arguments.output) if arguments.only else None, figures, full=scale.full)
    measured = {each.name for each in figures}
    lines = [line for line in results["lines"] if line["name"] in measured]
    print(f"\n{text(lines)}\n{time.monotonic() - began:.0f} s{', quick: sizes are small' if arguments.quick else ''}")
    disturbed = [line["name"] for line in lines if line["others"] > TOO_MUCH]
    if disturbed:
        print(f"Others used much of the machine meanwhile, do not rely on: {', '.join(disturbed)}.")
    if not arguments.dry_run:
        _keep(arguments.output, results)
    sys.exit(_status(lines, check=arguments.check))


def _keep(output: Path, results: dict[str, Any]) -> None:
    write(output, results)
    if output == RESULTS:
        DOCUMENT.write_text(inserted(DOCUMENT.read_text(), results))


def _status(lines: list[dict[str, Any]], *, check: bool) -> int:
    return int(any("failed" in line or (check and not line["met"]) for line in lines))


async def _run(bench: Bench, wanted: Collection[str]) -> list[Figures]:
    """Everything that is wanted; a line that cannot be measured does not keep the others from it."""
    found: list[Figures] = []
    for group in PLAN:
        steps = [step for step in group.steps if set(step.lines) & set(wanted)]
        if steps:
            others = watched()
            figures = await _measured(bench, group, steps)
            found += [replace(each, others=others()) for each in figures]
    return [figures for figures in found if figures.name in wanted]


async def _measured(bench: Bench, group: Group, steps: list[Step]) -> list[Figures]:
    found: list[Figures] = []
    try:
        async with group.place(bench) as place:
            for step in steps:
                found += await _step(bench, step, place)
    except ChildFailedError as error:
        missing = [name for step in steps for name in step.lines if name not in {each.name for each in found}]
        found += _failed(bench, missing, error)
    return found


async def _step(bench: Bench, step: Step, place: Any) -> list[Figures]:
    try:
        return await step.measure(place)
    except LoadError as error:
        bench.say(error.refusal)
        return _failed(bench, step.lines, error)
    except RuntimeError as error:
        return _failed(bench, step.lines, error)


def _failed(bench: Bench, names: Collection[str], error: Exception) -> list[Figures]:
    bench.say(f"{', '.join(names)}: {error}")
    return [Figures(name, failed=str(error).splitlines()[0]) for name in names]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few short rounds, small sizes")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="LINE", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is not met")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where results go (bench/results.json)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
