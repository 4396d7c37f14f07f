"""Removes the bytes of drafts that have expired or were discarded, and of objects that were replaced or deleted.

`once` runs until nothing is due and prints the counts as JSON; `loop` does so every CLEANER_INTERVAL seconds;
`recover` gives back what dead confirm attempts hold, and touches no bytes.
`reconcile` compares both buckets with the rows, and the rows with both buckets. It deletes what landed after its draft
or object was at an end, and reports everything else it finds, as JSON lines, the last one a summary. It stops when its
budget is spent; the next run goes on from there. `--dry-run` only says what a run would do. Exit status: 0 done,
1 failed (nothing is lost: run again), 2 bad settings, 3 reconcile found bytes that are missing or not those confirmed.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping

from draftstore_cleaner.app import create_cleaner, create_reconciler
from draftstore_cleaner.clocks import ClockSkewError
from draftstore_cleaner.commands import FAILED, dry_run, loop, once, reconcile, recover, say
from draftstore_cleaner.reconcile.run import Options
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.transport import HttpTransport
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.logging import configure
from draftstore_common.kit.settings import load


def main() -> None:
    """Read the command line and the environment, then clean or reconcile."""
    arguments = _arguments()
    settings = load(CleanerSettings)
    configure("cleaner", settings.log_level)
    try:
        status = asyncio.run(_run(settings, arguments))
    except KeyboardInterrupt:
        return
    except (Problem, ClockSkewError) as error:
        sys.stderr.write(f"{'Reconciling' if arguments.command == 'reconcile' else 'Cleaning'} failed: {error}\n")
        raise SystemExit(FAILED) from None
    raise SystemExit(status)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="draftstore_cleaner", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["once", "loop", "recover", "reconcile"], default="once")
    parser.add_argument("--dry-run", action="store_true", help="say what a run would do, delete nothing")
    ours = parser.add_argument_group("reconcile")
    ours.add_argument("--max-keys", type=_positive, metavar="N", help="stop after N keys (RECONCILE_MAX_KEYS)")
    ours.add_argument("--max-seconds", type=_positive, metavar="S", help="stop after S seconds (RECONCILE_MAX_SECONDS)")
    ours.add_argument("--restart", action="store_true", help="begin anew, not where the last run stopped")
    ours.add_argument(
        "--delete-unattributed-drafts",
        action="store_true",
        help="delete keys of the draft bucket that no row knows, if they have the shape of ours and are older than"
        " 8 days. Only where no other installation uses the bucket, and never after restoring the database",
    )
    arguments = parser.parse_args()
    given = (arguments.max_keys, arguments.max_seconds, arguments.restart, arguments.delete_unattributed_drafts)
    if arguments.command != "reconcile" and any(given):
        parser.error("--max-keys, --max-seconds, --restart and --delete-unattributed-drafts belong to reconcile")
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


async def _run(settings: CleanerSettings, arguments: argparse.Namespace) -> int:
    if arguments.command == "reconcile":
        async with create_reconciler(settings, _options(settings, arguments), **_ways(settings)) as reconciler:
            return await reconcile(reconciler)
    async with create_cleaner(settings, **_ways(settings)) as cleaner:
        if arguments.dry_run:
            say(await dry_run(cleaner))
        elif arguments.command == "once":
            say(await once(cleaner))
        elif arguments.command == "recover":
            say(await recover(cleaner))
        else:
            await loop(cleaner, settings.cleaner_interval)
    return 0


def _ways(settings: CleanerSettings) -> Mapping[str, HttpTransport]:
    return {
        "identity": HttpTransport(settings.identity_url),
        "metadata": HttpTransport(settings.metadata_url),
        "storage": HttpTransport(settings.storage_url),
    }


def _options(settings: CleanerSettings, arguments: argparse.Namespace) -> Options:
    return Options(
        max_keys=arguments.max_keys or settings.reconcile_max_keys,
        max_seconds=arguments.max_seconds or settings.reconcile_max_seconds,
        min_age=settings.reconcile_min_age,
        max_clock_skew=settings.cleaner_max_clock_skew,
        dry_run=arguments.dry_run,
        restart=arguments.restart,
        delete_unattributed_drafts=arguments.delete_unattributed_drafts,
    )


if __name__ == "__main__":
    main()
