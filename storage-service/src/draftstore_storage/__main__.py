"""`python -m draftstore_storage` serves."""

from draftstore_common.clients.transport import HttpTransport
from draftstore_common.kit.logging import configure
from draftstore_common.kit.serve import serve
from draftstore_common.kit.settings import load
from draftstore_storage.app import create_app
from draftstore_storage.settings import StorageSettings


def main() -> None:
    """Read the environment and serve."""
    settings = load(StorageSettings)
    configure("storage-service", settings.log_level)
    app = create_app(settings, identity=HttpTransport(settings.identity_url))
    serve(app, settings, port=settings.http_port)


if __name__ == "__main__":
    main()
