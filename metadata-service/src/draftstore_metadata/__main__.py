"""`python -m draftstore_metadata` serves; `python -m draftstore_metadata migrate` brings the schema up to date."""

import argparse

from draftstore_common.clients.transport import HttpTransport
from draftstore_common.kit import logging
from draftstore_common.kit.serve import run_or_exit, serve
from draftstore_common.kit.settings import load
from draftstore_metadata.app import create_app
from draftstore_metadata.schema import check_migrated, migrate
from draftstore_metadata.settings import MetadataSettings, MigrationSettings


def main() -> None:
    """Serve, or migrate."""
    parser = argparse.ArgumentParser(prog="draftstore_metadata", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    match parser.parse_args().command:
        case "migrate":
            _migrate(load(MigrationSettings))
        case _:
            _serve(load(MetadataSettings))


def _migrate(settings: MigrationSettings) -> None:
    logging.configure("metadata-service", settings.log_level)
    run_or_exit(migrate(settings.database_url.get_secret_value()))


def _serve(settings: MetadataSettings) -> None:
    logging.configure("metadata-service", settings.log_level)
    run_or_exit(check_migrated(settings.database_url.get_secret_value()))
    app = create_app(settings, identity=HttpTransport(settings.identity_url))
    serve(app, settings, port=settings.http_port)


if __name__ == "__main__":
    main()
