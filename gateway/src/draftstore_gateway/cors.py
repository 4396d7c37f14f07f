"""Browsers of other origins: who may read the API's answers (https://fetch.spec.whatwg.org/#http-cors-protocol).

Keys travel in a header that scripts set themselves, never in cookies: credentials are not allowed to any origin.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from draftstore_common.kit.app import ProblemResponse
from draftstore_common.kit.context import REQUEST_ID_HEADER, request_id
from draftstore_gateway.errors import CorsRefused
from draftstore_gateway.headers import FORWARDED

MAX_AGE = 600
"""Seconds a browser need not ask again."""

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

_ALLOWED = {"authorization", "traceparent", "tracestate", *(name.decode() for name in FORWARDED)}

_EXPOSED = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "Deprecation",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Sunset",
    "X-Request-Id",
)


class Cors(CORSMiddleware):
    """Answers preflights without a key and without asking anybody, and marks what these origins may read."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=_ALLOWED,
            expose_headers=_EXPOSED,
            max_age=MAX_AGE,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Permission, or a problem that says what is not allowed."""
        response = super().preflight_response(request_headers)
        if response.status_code >= 400:
            refusal = ProblemResponse(CorsRefused(bytes(response.body).decode()))
            refusal.headers["Vary"] = response.headers["Vary"]
            response = refusal
        response.headers[REQUEST_ID_HEADER] = request_id.get()
        return response
