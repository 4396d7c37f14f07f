"""W3C Trace Context: which request of which trace this is (https://www.w3.org/TR/trace-context-2/).

A trace that comes from outside is continued if it is valid, and replaced by one of ours if it is not. Every service
that takes a request is a span of its own, and names itself as the parent of what it asks of others.
"""

import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import NamedTuple, Self

from draftstore_common.kit.randomness import random_hex

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_PARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_KNOWN_FLAGS = 0b11
"""Sampled, and random trace id. What later versions may add is not ours to pass on (§4.3)."""

_RANDOM = 0b10

_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MAX_MEMBERS = 32
_MAX_STATE = 512
"""Characters that must be passed on (§3.3.1.5); longer states are dropped whole."""


class Trace(NamedTuple):
    """Where a request stands in its trace: this service's span."""

    trace_id: str
    span_id: str
    flags: int
    state: str = ""

    @classmethod
    def begin(cls) -> Self:
        """A trace nobody began before. Nobody samples it so far."""
        ids = random_hex(24)
        return cls(ids[:32], ids[32:], _RANDOM)

    @classmethod
    def adopt(cls, parents: Sequence[str], states: Sequence[str]) -> Self:
        """The trace these fields tell of, with a span of our own; a new one if they are not valid."""
        found = _PARENT.fullmatch(parents[0].strip(" \t")) if len(parents) == 1 else None
        if found is None:
            return cls.begin()
        version, trace_id, _, flags, more = found.groups()
        if version == "00" and more:
            return cls.begin()
        return cls(trace_id, random_hex(8), int(flags, 16) & _KNOWN_FLAGS, _state(states))

    def child(self) -> Self:
        """The same trace with the next service's span: what that would adopt of `headers`."""
        return self._replace(span_id=random_hex(8))

    def headers(self) -> list[tuple[str, str]]:
        """What tells the next service of it."""
        parent = (TRACEPARENT, f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}")
        return [parent, (TRACESTATE, self.state)] if self.state else [parent]


trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def trace_headers() -> list[tuple[str, str]]:
    """The headers that carry this request's trace on; none outside a request."""
    current = trace.get()
    return current.headers() if current is not None else []


def _state(fields: Sequence[str]) -> str:
    """The members of all fields as one; nothing if one of them is not valid (§3.3)."""
    if not fields:
        return ""
    members = [member for member in (part.strip(" \t") for part in ",".join(fields).split(",")) if member]
    state = ",".join(members)
    keys = {member.partition("=")[0] for member in members}
    valid = len(members) <= _MAX_MEMBERS and len(state) <= _MAX_STATE and len(keys) == len(members)
    return state if valid and all(map(_MEMBER.fullmatch, members)) else ""
