"""`python -m draftstore_gateway`: the gateway as a process of its own."""

from draftstore_common.clients.transport import HttpTransport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit import logging
from draftstore_common.kit.serve import serve
from draftstore_common.kit.settings import load
from draftstore_gateway.app import create_app
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import HttpUpstream


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = load(GatewaySettings)
    logging.configure("gateway", settings.log_level)
    app = create_app(
        settings,
        identity=HttpTransport(settings.identity_url),
        upstreams={
            Audience.IDENTITY: HttpUpstream(settings.identity_url),
            Audience.DRAFTS: HttpUpstream(settings.drafts_url),
        },
    )
    serve(app, settings, port=settings.http_port)


if __name__ == "__main__":
    main()
