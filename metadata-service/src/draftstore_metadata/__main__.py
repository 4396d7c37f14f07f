"""`python -m draftstore_metadata` serves; `python -m draftstore_metadata migrate` brings the schema up to date."""

import argparse
import asyncio

from draftstore_common.clients.transport import HttpTransport
from draftstore_common.kit.logging import configure
from draftstore_common.kit.serve import serve
from draftstore_common.kit.settings import load
from draftstore_metadata.app import create_app, migrate_schema
from draftstore_metadata.settings import MetadataSettings


def main() -> None:
    """Read the command line and the environment, then serve or migrate."""
    parser = argparse.ArgumentParser(prog="draftstore_metadata", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    command = parser.parse_args().command
    settings = load(MetadataSettings)
    configure("metadata-service", settings.log_level)
    if command == "migrate":
        asyncio.run(migrate_schema(settings.database_url.get_secret_value()))
        return
    app = create_app(settings, identity=HttpTransport(settings.identity_url))
    serve(app, host=settings.http_host, port=settings.http_port, grace=settings.shutdown_grace)


if __name__ == "__main__":
    main()
