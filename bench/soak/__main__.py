"""A steady mixed load for a long time: drafts are made, sent, confirmed or left to expire, and cleaned.

Finds the saturation of the mix and runs at a share of it. Every minute it notes the memory of every process, p50 and
p99 of each kind of request (open model), and errors. At the end time passes for every row until nothing is due, and
rows, objects, bytes and both buckets must agree. Writes bench/soak.json and the table of docs/performance.md.
Exit status: 0 when there was no error and all counts agree, 1 otherwise.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.harness import FULL, Bench
from bench.load import CompilerMissingError, Replay
from bench.results import write
from bench.site import site
from bench.soak.run import Plan, soak
from bench.soak.table import inserted, table

RESULTS = Path(__file__).parents[1] / "soak.json"
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
CLEANER_INTERVAL = "60"
"""As in `make up`; so is the tending."""
TEND_INTERVAL = "5"


def main() -> None:
    """Run, print, write."""
    arguments = _arguments()
    plan = Plan(arguments.minutes * 60, arguments.share, arguments.slice_seconds, arguments.tried)
    with tempfile.TemporaryDirectory(prefix="draftstore-soak-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        found = asyncio.run(_run(Path(folder), plan))
    print(f"\n{table(found)}")
    if not arguments.dry_run:
        write(arguments.output, found)
        if arguments.output == RESULTS:
            DOCUMENT.write_text(inserted(DOCUMENT.read_text(), found))
    sys.exit(int(bool(found["errors"] or found["end"]["disagreements"])))


async def _run(folder: Path, plan: Plan) -> dict[str, Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  this is one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.monotonic()
    try:
        replay = Replay(folder)
    except CompilerMissingError as error:
        sys.exit(str(error))
    bench = Bench(FULL, folder, replay, lambda told: print(f"{time.monotonic() - began:5.0f} s  {told}", flush=True))
    async with site(bench, CLEANER_INTERVAL=CLEANER_INTERVAL, TEND_INTERVAL=TEND_INTERVAL) as place:
        return await soak(place, plan)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long (%(default)s)")
    parser.add_argument("--share", type=float, default=0.6, help="of saturation (%(default)s)")
    parser.add_argument("--slice-seconds", type=float, default=60, help="a figure for so many (%(default)s)")
    parser.add_argument("--tried", type=int, default=3000, help="drafts that find the saturation (%(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where results go (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
