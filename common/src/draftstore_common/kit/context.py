"""What travels with one request through every await: its id, its deadline, and where it came from."""

import re
import time
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import ip_address

from draftstore_common.kit.randomness import random_hex

REQUEST_ID_HEADER = "x-request-id"
TIMEOUT_HEADER = "x-request-timeout"
"""Seconds the caller will still wait, as a decimal. A service never works past it."""

DEFAULT_TIMEOUT = 30.0

DRAINING = "draining"
"""In the state a server shares with its application and every request: an event, set when the server is about to end.

What waits for something else to happen, a long poll say, answers then: it would hold up the end.
"""

CLIENT_HEADER = "x-forwarded-for"
"""The client's address. The gateway writes it, after it threw away what the client claimed."""

request_id: ContextVar[str] = ContextVar("request_id", default="-")
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)
"""Where the request comes from, by the gateway's word; None where it says nothing that is an address."""

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def new_request_id() -> str:
    """A fresh request id: 96 random bits in hexadecimal."""
    return random_hex(12)


def acceptable_request_id(value: str | None) -> bool:
    """Whether an id from outside may stand in logs and headers as it is."""
    return value is not None and _SAFE_ID.fullmatch(value) is not None


@lru_cache(4096)
def address_or_none(text: str | None) -> str | None:
    """The text if it is an IP address, else None."""
    if text is None:
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def set_timeout(seconds: float) -> None:
    """Start the clock: from now, `remaining` counts down from `seconds`."""
    _deadline.set(time.monotonic() + seconds)


def remaining(default: float = DEFAULT_TIMEOUT) -> float:
    """Seconds left for this request, never negative; `default` where no deadline was set."""
    deadline = _deadline.get()
    return default if deadline is None else max(0.0, deadline - time.monotonic())
