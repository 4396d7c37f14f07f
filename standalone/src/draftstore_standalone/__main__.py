"""DraftStore on one machine: PostgreSQL, a SeaweedFS store and every service, started, proven and kept up.

Everything lies under DRAFTSTORE_DATA_DIR (.draftstore). With DATABASE_URL, REDIS_URL, S3_ENDPOINT_URL or MINIO_ENDPOINT
set, those are used instead of servers of its own. Ctrl-C stops everything; the next start finds it again.
"""

import argparse
import logging
import sys

import uvloop

from draftstore_common.kit.errors import CannotStart, Problem
from draftstore_common.kit.logging import LogFile, configure
from draftstore_common.kit.settings import load
from draftstore_standalone.installation import Installation
from draftstore_standalone.run import up
from draftstore_standalone.servers import ServerError
from draftstore_standalone.settings import StandaloneSettings
from draftstore_standalone.tour import TourFailedError

LOG_BYTES = 10_000_000
LOGS_KEPT = 3


def main() -> None:
    """Start, stay up until a signal, stop."""
    parser = argparse.ArgumentParser(prog="draftstore_standalone", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["up"], default="up")
    parser.parse_args()
    settings = load(StandaloneSettings)
    log = settings.data_dir / "draftstore.log"
    settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    configure("standalone", settings.log_level, file=LogFile(log, most=LOG_BYTES, kept=LOGS_KEPT))
    try:
        uvloop.run(up(Installation(settings, _say)))
    except (ServerError, CannotStart, Problem, TourFailedError) as error:
        logging.getLogger(__name__).exception("standalone ended")
        sys.stderr.write(f"DraftStore stopped: {error}\nThe log is {log}\n")
        raise SystemExit(1) from None


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
