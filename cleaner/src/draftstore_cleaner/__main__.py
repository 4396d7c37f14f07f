"""Removes the bytes of drafts that have expired or were discarded, and of objects that were replaced or deleted.

`once` runs until nothing is due and prints the counts as JSON; `loop` does so every CLEANER_INTERVAL seconds;
`recover` gives back what dead confirm attempts hold, and touches no bytes; `--dry-run` only says what a run would do.
Exit status: 0 done, 1 failed (nothing is lost: run again), 2 bad settings.
"""

import argparse
import asyncio
import json
import sys

from draftstore_cleaner.app import create_cleaner
from draftstore_cleaner.commands import FAILED, dry_run, loop, once, recover
from draftstore_cleaner.service import ClockSkewError
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.transport import HttpTransport
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.logging import configure
from draftstore_common.kit.settings import load


def main() -> None:
    """Read the command line and the environment, then clean."""
    parser = argparse.ArgumentParser(prog="draftstore_cleaner", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["once", "loop", "recover"], default="once")
    parser.add_argument("--dry-run", action="store_true", help="say what a run would do, delete nothing")
    arguments = parser.parse_args()
    settings = load(CleanerSettings)
    configure("cleaner", settings.log_level)
    try:
        asyncio.run(_clean(settings, arguments.command, arguments.dry_run))
    except KeyboardInterrupt:
        return
    except (Problem, ClockSkewError) as error:
        sys.stderr.write(f"Cleaning failed: {error}\n")
        raise SystemExit(FAILED) from None


async def _clean(settings: CleanerSettings, command: str, only_look: bool) -> None:
    ways = {
        "identity": HttpTransport(settings.identity_url),
        "metadata": HttpTransport(settings.metadata_url),
        "storage": HttpTransport(settings.storage_url),
    }
    async with create_cleaner(settings, **ways) as cleaner:
        if only_look:
            print(json.dumps(await dry_run(cleaner)))
        elif command == "once":
            print(json.dumps(await once(cleaner)))
        elif command == "recover":
            print(json.dumps(await recover(cleaner)))
        else:
            await loop(cleaner, settings.cleaner_interval)


if __name__ == "__main__":
    main()
