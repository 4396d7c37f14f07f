"""What a request brings with it: who asked for it, for how long, and as a part of which trace."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from draftstore_common.kit.context import (
    CLIENT_HEADER,
    DEFAULT_TIMEOUT,
    REQUEST_ID_HEADER,
    TIMEOUT_HEADER,
    acceptable_request_id,
    address_or_none,
    client_address,
    new_request_id,
    remaining,
    request_id,
    set_timeout,
)
from draftstore_common.kit.trace import TRACEPARENT, TRACESTATE, Trace, trace

MAX_TIMEOUT = 3600.0

_REQUEST_ID, _TIMEOUT, _PARENT, _STATE, _CLIENT = (
    name.encode() for name in (REQUEST_ID_HEADER, TIMEOUT_HEADER, TRACEPARENT, TRACESTATE, CLIENT_HEADER)
)
_HEADERS = frozenset({_REQUEST_ID, _TIMEOUT, _PARENT, _STATE, _CLIENT})
_NONE = (None,)


class Origin(NamedTuple):
    """Ids, timeouts and addresses from outside are trusted: only services call services. The gateway replaces them."""

    request_id: str | None
    seconds: float
    trace: Trace
    client: str | None

    @classmethod
    def told(cls, headers: Iterable[tuple[bytes, bytes]]) -> Self:
        """What the headers of a request say."""
        sent: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name in _HEADERS:
                sent.setdefault(name, []).append(value.decode("latin-1"))
        return cls(
            sent.get(_REQUEST_ID, _NONE)[0],
            _timeout(sent.get(_TIMEOUT, _NONE)[0]),
            Trace.adopt(sent.get(_PARENT, ()), sent.get(_STATE, ())),
            address_or_none(sent.get(_CLIENT, _NONE)[0]),
        )

    @classmethod
    def here(cls, fields: Mapping[str, str]) -> Self:
        """What would be told of a call that is made here and now, with these headers of its own.

        It is a part of the same span: nothing passes between processes.
        """
        current = trace.get()
        if current is None:
            current = Trace.adopt([fields[TRACEPARENT]] if TRACEPARENT in fields else [], [])
        return cls(request_id.get(), remaining(), current, address_or_none(fields.get(CLIENT_HEADER)))

    def adopt(self) -> None:
        """Make it the context of this task: an id that is missing, or that logs and headers must not have, is made."""
        given = self.request_id
        request_id.set(given if given is not None and acceptable_request_id(given) else new_request_id())
        set_timeout(self.seconds)
        trace.set(self.trace)
        client_address.set(self.client)


def own_request_id() -> tuple[bytes, bytes]:
    """The header that tells which request this is."""
    return _REQUEST_ID, request_id.get().encode("latin-1")


def _timeout(value: str | None) -> float:
    try:
        seconds = float(value or DEFAULT_TIMEOUT)
    except ValueError:
        return DEFAULT_TIMEOUT
    return min(max(seconds, 0.0), MAX_TIMEOUT) if math.isfinite(seconds) else DEFAULT_TIMEOUT
