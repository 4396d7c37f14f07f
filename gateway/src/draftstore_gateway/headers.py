"""Which headers pass the gateway.

To a service: an allow-list, then what the gateway itself says about the caller. To the client: everything but what
belongs to one connection (RFC 9110 §7.6.1) or to us.
"""

from collections.abc import Sequence

from draftstore_common.kit.context import REQUEST_ID_HEADER, TIMEOUT_HEADER
from draftstore_gateway.shape import Pairs

FORWARDED = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"user-agent",
    }
)
"""Request headers a service gets to see. All that could speak for the gateway is absent."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_OURS = frozenset(
    {b"date", b"server", b"ratelimit", b"ratelimit-policy", REQUEST_ID_HEADER.encode(), TIMEOUT_HEADER.encode()}
)


_KEPT_HERE = HOP_BY_HOP | _OURS
_REQUEST_ID = REQUEST_ID_HEADER.encode()


def _listed(headers: Pairs) -> frozenset[bytes]:
    """The names the Connection fields declare to be for this hop only."""
    values = [value for name, value in headers if name == b"connection"]
    return frozenset(part.strip().lower() for value in values for part in value.split(b",")) if values else frozenset()


def for_service(
    headers: Pairs, *, token: str, request_id: str, client: str, trace: Sequence[tuple[str, str]]
) -> list[tuple[bytes, bytes]]:
    """The request's headers as a service gets them: what may pass, and who is calling, by the gateway's word."""
    listed = _listed(headers)
    allowed = FORWARDED - listed if listed else FORWARDED
    return [
        *[pair for pair in headers if pair[0] in allowed],
        (b"authorization", b"Bearer " + token.encode()),
        (_REQUEST_ID, request_id.encode()),
        (b"x-forwarded-for", client.encode()),
        *[(name.encode(), value.encode()) for name, value in trace],
    ]


def for_client(headers: Pairs) -> list[tuple[bytes, bytes]]:
    """An answer's headers as the client gets them. Names come out in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    listed = _listed(lowered)
    dropped = _KEPT_HERE | listed if listed else _KEPT_HERE
    return [pair for pair in lowered if pair[0] not in dropped]
