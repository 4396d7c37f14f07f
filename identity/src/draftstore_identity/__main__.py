"""Identity as a process, and the commands of whoever runs it.

`serve` (without a command, too) serves. `migrate` brings the schema up to date, as a user who may alter it.
`rotate-signing-key` publishes the next key for internal tokens, which signs in ten minutes; identity does so by itself
every SIGNING_KEY_LIFETIME seconds. With `--now` the new key signs at once and all others are withdrawn: for one that
may have leaked.
`prune-audit --older-than DAYS` removes old entries of the audit log, as the owner of the schema, and says so there.
"""

import argparse
import json
import sys
from collections.abc import Mapping

from draftstore_common.kit import logging
from draftstore_common.kit.context import new_request_id, request_id
from draftstore_common.kit.database import engine
from draftstore_common.kit.serve import run_or_exit, serve
from draftstore_common.kit.settings import load
from draftstore_identity.app import create_app, prepared_store
from draftstore_identity.author import OPERATOR
from draftstore_identity.bootstrap import print_once
from draftstore_identity.schema import check_migrated, migrate
from draftstore_identity.service.signing_keys import SigningKeyService
from draftstore_identity.settings import IdentitySettings, MigrationSettings, SigningSettings
from draftstore_identity.store import IdentityStore
from draftstore_identity.store.pruning import prune
from draftstore_identity.tables import SERVICE_ROLE

MAX_DAYS = 36_500


def main() -> None:
    """Serve, or run a command."""
    arguments = _arguments()
    match arguments.command:
        case "migrate":
            _migrate(load(MigrationSettings))
        case "rotate-signing-key":
            _rotate(load(SigningSettings), now=arguments.now)
        case "prune-audit":
            _prune(load(MigrationSettings), days=arguments.older_than)
        case _:
            _serve(load(IdentitySettings))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="draftstore_identity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="serve; the default")
    commands.add_parser("migrate", help="bring the schema up to date")
    rotate = commands.add_parser("rotate-signing-key", help="publish the next key for internal tokens")
    rotate.add_argument("--now", action="store_true", help="sign with it at once, and withdraw all others")
    prune_audit = commands.add_parser("prune-audit", help="remove old entries of the audit log")
    prune_audit.add_argument("--older-than", type=_days, required=True, metavar="DAYS", help="how old they must be")
    return parser.parse_args()


def _days(given: str) -> int:
    number = int(given)
    if not 1 <= number <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"give a number of days from 1 to {MAX_DAYS}")
    return number


def _migrate(settings: MigrationSettings) -> None:
    logging.configure("identity", settings.log_level)
    run_or_exit(migrate(settings.database_url.get_secret_value()))


def _rotate(settings: SigningSettings, *, now: bool) -> None:
    logging.configure("identity", settings.log_level)
    run_or_exit(_rotated(settings, now=now))


async def _rotated(settings: SigningSettings, *, now: bool) -> None:
    request_id.set(new_request_id())
    url = settings.database_url.get_secret_value()
    await check_migrated(url)
    database = engine(url, size=1, role=SERVICE_ROLE)
    try:
        keys = SigningKeyService(IdentityStore(database), settings.passphrase)
        key = await (keys.replace(OPERATOR) if now else keys.renew(OPERATOR))
    finally:
        await database.dispose()
    _say({"kid": key.kid, "signs_at": key.active_at.isoformat()})


def _prune(settings: MigrationSettings, *, days: int) -> None:
    logging.configure("identity", settings.log_level)
    run_or_exit(_pruned(settings.database_url.get_secret_value(), days))


async def _pruned(database_url: str, days: int) -> None:
    request_id.set(new_request_id())
    pruned = await prune(database_url, days=days)
    _say({"before": pruned.before.isoformat(), "deleted": pruned.deleted})


def _say(report: Mapping[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(report)}\n")


def _serve(settings: IdentitySettings) -> None:
    logging.configure("identity", settings.log_level)
    run_or_exit(_prepare(settings))
    serve(create_app(settings), settings, port=settings.http_port)


async def _prepare(settings: IdentitySettings) -> None:
    """Do before serving what a start does, so that what is wrong stops it with one line instead of a traceback."""
    async with prepared_store(settings, print_once):
        pass


if __name__ == "__main__":
    main()
