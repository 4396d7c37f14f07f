"""How long do revoked keys go on working? Three gateway processes under load, a real identity, PostgreSQL.

For each key that is revoked: the seconds between the acknowledgement of the revocation and the last request with this
key that was sent after it and admitted by any gateway. `answered` is when the last answer to such a request came: later
by as long as an answer takes on this machine. Exit status: 0 when nothing was admitted beyond its bound, 1 otherwise.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from support.revocation_measure import Measured, Plan, measure
from support.revocation_site import GATEWAYS, revocation_site
from support.servers import make_postgres

BOUND_WITH_FEED = 1.0
BOUND_WITHOUT_FEED = 5.0


def main() -> None:
    """Read the command line, measure, print."""
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="draftstore-revocation-"))
    for part in (folder, folder / "with", folder / "without"):
        part.mkdir(exist_ok=True)
        part.chmod(0o755)  # as root, the servers run as another account
    print(f"{GATEWAYS} gateways; seconds a key went on working after its revocation was acknowledged")
    print(f"{'feed':8} {'revoked':>8} {'p50':>7} {'p99':>7} {'p100':>7} {'bound':>6} {'answered':>9}   other requests")
    with_feed = Plan(arguments.revocations, at_once=20, watch=BOUND_WITH_FEED + 0.3)
    without = Plan(arguments.without_feed, at_once=40, watch=BOUND_WITHOUT_FEED + 0.3, pace=0.15)
    kept = [
        asyncio.run(_run(folder / "with", with_feed, feed=True, bound=BOUND_WITH_FEED)),
        asyncio.run(_run(folder / "without", without, feed=False, bound=BOUND_WITHOUT_FEED)),
    ]
    if not all(kept):
        sys.exit(f"The bound is not kept. Logs: {folder}")
    shutil.rmtree(folder)


async def _run(folder: Path, plan: Plan, *, feed: bool, bound: float) -> bool:
    """Whether the bound was kept, and nothing else was refused."""
    async with make_postgres(folder / "data") as postgres, revocation_site(postgres, folder, feed=feed) as site:
        measured = await measure(site, plan)
    print(_row(measured, "up" if feed else "cut", bound), flush=True)
    return measured.percentile(100) <= bound and set(measured.others) == {200}


def _row(measured: Measured, feed: str, bound: float) -> str:
    figures = " ".join(f"{measured.percentile(percent):7.3f}" for percent in (50, 99, 100))
    others = ", ".join(f"{count} x {status}" for status, count in sorted(measured.others.items()))
    return f"{feed:8} {len(measured.seconds):8} {figures} {bound:6.1f} {max(measured.answered):9.3f}   {others}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-revocation", description=__doc__)
    parser.add_argument("--revocations", type=int, default=1000, help="keys to revoke with the feed (%(default)s)")
    parser.add_argument("--without-feed", type=int, default=200, help="keys to revoke with the feed cut (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
