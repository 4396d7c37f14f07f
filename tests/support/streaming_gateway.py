"""`python -m support.streaming_gateway`: the gateway with routes of any length beside its own."""

from draftstore_common.clients.transport import HttpTransport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit import logging
from draftstore_common.kit.serve import serve
from draftstore_common.kit.settings import load
from draftstore_gateway.app import create_app
from draftstore_gateway.routes import ROUTES
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import HttpUpstream
from support.streams import STREAMED


def main() -> None:
    """Serve until SIGTERM."""
    settings = load(GatewaySettings)
    logging.configure("gateway", settings.log_level)
    app = create_app(
        settings,
        identity=HttpTransport(settings.identity_url),
        upstreams={Audience.DRAFTS: HttpUpstream(settings.drafts_url)},
        routes=(*ROUTES, *STREAMED),
    )
    serve(app, settings, port=settings.http_port)


if __name__ == "__main__":
    main()
