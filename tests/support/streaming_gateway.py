"""`python -m support.streaming_gateway`: the gateway with routes of any length beside its own.

`PATIENCE` in its environment is how many seconds it waits for slow clients, instead of all its own bounds.
"""

import os

from draftstore_common.clients.transport import HttpTransport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit import logging, protocol
from draftstore_common.kit.serve import serve
from draftstore_common.kit.settings import load
from draftstore_gateway import pipeline
from draftstore_gateway.app import create_app
from draftstore_gateway.routes import ROUTES
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import HttpUpstream
from support.streams import STREAMED


def main() -> None:
    """Serve until SIGTERM."""
    if "PATIENCE" in os.environ:
        _be_impatient(float(os.environ["PATIENCE"]))
    settings = load(GatewaySettings)
    logging.configure("gateway", settings.log_level)
    app = create_app(
        settings,
        identity=HttpTransport(settings.identity_url),
        upstreams={Audience.DRAFTS: HttpUpstream(settings.drafts_url)},
        routes=(*ROUTES, *STREAMED),
    )
    serve(app, settings, port=settings.http_port)


def _be_impatient(seconds: float) -> None:
    protocol.HEAD_TIMEOUT = protocol.TAKE_TIMEOUT = seconds
    pipeline.IDLE_TIMEOUT = seconds
    vars(pipeline)["DEFAULT_TIMEOUT"] = seconds  # it is the kit's, and other processes keep it


if __name__ == "__main__":
    main()
