"""`python -m draftstore_identity` serves; `python -m draftstore_identity migrate` brings the schema up to date."""

import argparse

from draftstore_common.kit import logging
from draftstore_common.kit.serve import run_or_exit, serve
from draftstore_common.kit.settings import load
from draftstore_identity.app import create_app, prepared_store
from draftstore_identity.bootstrap import print_once
from draftstore_identity.schema import migrate
from draftstore_identity.settings import IdentitySettings, MigrationSettings


def main() -> None:
    """Serve, or migrate."""
    parser = argparse.ArgumentParser(prog="draftstore_identity", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    match parser.parse_args().command:
        case "migrate":
            _migrate(load(MigrationSettings))
        case _:
            _serve(load(IdentitySettings))


def _migrate(settings: MigrationSettings) -> None:
    logging.configure("identity", settings.log_level)
    run_or_exit(migrate(settings.database_url.get_secret_value()))


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
