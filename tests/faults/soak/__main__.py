"""The long run: clients race against time while everything is killed, cut and slowed; then the damage is counted.

Exit status: 0 when nothing was lost, doubled, leaked, stuck or half done; 1 otherwise.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from faults.soak.plan import Plan
from faults.soak.run import soak


def main() -> None:
    """Read the command line, run, print the table."""
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="draftstore-soak-"))
    folder.chmod(0o755)  # as root, the servers run as another account
    plan = Plan(races=arguments.races, seconds=arguments.seconds, seed=arguments.seed, workers=arguments.workers)
    report = asyncio.run(soak(plan, folder / "data", lambda text: print(text, flush=True)))
    print(report.markdown())
    if arguments.report is not None:
        arguments.report.write_text(report.markdown())
    if report.failed:
        sys.exit(f"{report.problems()}\n{report.races} races of {plan.races}. Logs and data: {folder}")
    shutil.rmtree(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--races", type=int, default=20_000, help="races of confirm and expiry (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3600, help="stop after so long (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="chooses what is done and what goes wrong (%(default)s)")
    parser.add_argument("--workers", type=int, default=48, help="clients at once (%(default)s)")
    parser.add_argument("--report", type=Path, help="write the table to this file, as markdown")
    return parser.parse_args()


if __name__ == "__main__":
    main()
