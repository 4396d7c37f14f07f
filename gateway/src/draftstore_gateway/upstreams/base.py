"""What every way to a service has in common."""

from typing import NamedTuple, Protocol, Self

from starlette.types import Receive, Send

from draftstore_common.kit.context import TIMEOUT_HEADER, remaining
from draftstore_common.kit.patience import Patience

STREAM_TIMEOUT = 3600.0
"""Seconds a service is told it has for bytes of any length."""

_TIMEOUT = TIMEOUT_HEADER.encode()
_IDEMPOTENT = frozenset({"GET", "HEAD", "DELETE"})


class Forwarded(NamedTuple):
    """A request as the service gets it. Path and query are the client's bytes, never decoded and encoded again.

    Headers are UTF-8: what the client library makes of them again is the same bytes. `streams`: bytes of any length
    pass, for as long as they keep moving.
    """

    method: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    has_body: bool
    streams: bool = False

    @property
    def repeatable(self) -> bool:
        """Sent twice, it does what it does once: by its method (RFC 9110 §9.2.2), or by its Idempotency-Key."""
        return self.method in _IDEMPOTENT or any(name == b"idempotency-key" for name, _ in self.headers)

    def headers_now(self) -> list[tuple[bytes, bytes]]:
        """The headers, with the seconds that are left at this moment."""
        left = STREAM_TIMEOUT if self.streams else remaining()
        return [*self.headers, (_TIMEOUT, b"%.3f" % left)]


class Upstream(Protocol):
    """A service that requests are passed on to. Entered by the gateway, in its lifespan."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def forward(self, request: Forwarded, receive: Receive, send: Send, patience: Patience, /) -> None:
        """Send the request with the body from `receive`, pass the answer to `send`. Called inside the `patience`.

        Raises a `Problem` if no answer began. One that broke off is left unfinished; so is one whose client left.
        """
