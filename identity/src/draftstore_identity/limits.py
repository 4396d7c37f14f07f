"""How often one key, or one address without a key, may use the administrative routes, kept by slowapi.

All these routes share one count per key and its successors (by slowapi's default each path would have its own, a way
around it). Counts are taken in a thread of their own: the storages are synchronous, and a slow Redis must hold up
nothing else. With `REDIS_URL` the instances share the counts; while Redis is away each counts for itself, and nothing
passes uncounted.
"""

import math
import time
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from pydantic import SecretStr
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded

from draftstore_identity.errors import TooManyRequests

REDIS_TIMEOUT = 0.5
"""Seconds."""


def _charged_to(request: Request) -> str:
    return str(request.state.charged_to)


def _charged(request: Request) -> None:
    """What slowapi wraps: by the time this runs, the request has been counted."""


def per_address(ip: str | None) -> str:
    """Who is charged where there is no key: an IPv4 address, or the /64 an IPv6 host picks its addresses from."""
    address = ip_address(ip) if ip else None
    if isinstance(address, IPv6Address):
        return f"address:{IPv6Network((address, 64), strict=False)}"
    return f"address:{address}"


class AdminLimit:
    """At most so many administrative requests a minute of one caller."""

    def __init__(self, per_minute: int, redis_url: SecretStr | None) -> None:
        self._limiter = Limiter(
            key_func=_charged_to,
            storage_uri=redis_url.get_secret_value() if redis_url else "memory://",
            storage_options=_options(redis_url),
            strategy="moving-window",
            key_prefix="draftstore-identity",
            in_memory_fallback_enabled=True,
        )
        # One at a time: slowapi notes a lost storage in a plain flag, and a second thread that fails while the first
        # sets it is neither counted in memory nor refused.
        self._one_at_a_time = CapacityLimiter(1)
        self._charge = self._limiter.shared_limit(f"{per_minute}/minute", scope="admin")(_charged)

    async def charge(self, request: Request, caller: str) -> None:
        """Count a request of this caller; raises `TooManyRequests`."""
        request.state.charged_to = caller
        await to_thread.run_sync(self._count, request, limiter=self._one_at_a_time)

    def _count(self, request: Request) -> None:
        try:
            self._charge(request=request)
        except RateLimitExceeded as error:
            raise TooManyRequests(retry_after=self._retry_after(request)) from error

    def _retry_after(self, request: Request) -> int:
        limit, identifiers = request.state.view_rate_limit
        free_at = self._limiter.limiter.get_window_stats(limit, *identifiers).reset_time
        return max(1, math.ceil(free_at - time.time()))


def _options(redis_url: SecretStr | None) -> dict[str, Any]:
    return {"socket_connect_timeout": REDIS_TIMEOUT, "socket_timeout": REDIS_TIMEOUT} if redis_url else {}
