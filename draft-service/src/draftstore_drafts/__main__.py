"""`python -m draftstore_drafts` serves draft-service."""

import argparse

from draftstore_common.clients.transport import HttpTransport
from draftstore_common.kit.logging import configure
from draftstore_common.kit.serve import serve
from draftstore_common.kit.settings import load
from draftstore_drafts.app import create_app
from draftstore_drafts.settings import DraftSettings


def main() -> None:
    """Read the environment, then serve."""
    argparse.ArgumentParser(prog="draftstore_drafts", description=__doc__).parse_args()
    settings = load(DraftSettings)
    configure("draft-service", settings.log_level)
    app = create_app(
        settings,
        identity=HttpTransport(settings.identity_url),
        metadata=HttpTransport(settings.metadata_url),
        storage=HttpTransport(settings.storage_url),
    )
    serve(app, settings, port=settings.http_port)


if __name__ == "__main__":
    main()
