"""The public routes: which service answers, and which scope a data key needs there.

What is not in this table does not exist for the outside. Patterns match the path as it was sent, undecoded:
`{x}` is one segment, `{x...}` the rest of the path.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from draftstore_common.contracts.identity import Audience, Scope
from draftstore_common.kit.errors import NotFound
from draftstore_gateway.deprecation import Deprecation
from draftstore_gateway.errors import WrongMethod

JSON_LIMIT = 1024 * 1024
"""Bytes of a JSON body. The largest legal one, a batch of drafts with metadata, stays well below."""


REPORT_LIMIT = 64 * 1024
"""Bytes of a report of leaked keys: anybody may send one, and the longest legal one has less than half."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    `scope` None: the service decides by the kind of key. `max_body` None: the route streams bytes of any length,
    for as long as they keep moving. `anonymous`: needs no key and looks at none; the service is called in the gateway's
    own name, and every call is charged to the client's address. Answers of a route with a `deprecation` say that it
    will go.
    """

    method: str
    pattern: str
    audience: Audience
    scope: Scope | None
    max_body: int | None = JSON_LIMIT
    anonymous: bool = False
    deprecation: Deprecation | None = None


_DRAFTS = Audience.DRAFTS
_IDENTITY = Audience.IDENTITY

ROUTES: Sequence[Route] = (
    Route("POST", "/api/v1/upload-url", _DRAFTS, Scope.DRAFTS_WRITE),
    Route("POST", "/api/v1/download-url", _DRAFTS, Scope.DRAFTS_READ),
    Route("POST", "/api/v1/confirm-upload", _DRAFTS, Scope.DRAFTS_CONFIRM),
    Route("POST", "/api/v1/drafts", _DRAFTS, Scope.DRAFTS_WRITE),
    Route("GET", "/api/v1/drafts", _DRAFTS, Scope.DRAFTS_READ),
    Route("GET", "/api/v1/drafts/{id}", _DRAFTS, Scope.DRAFTS_READ),
    Route("DELETE", "/api/v1/drafts/{id}", _DRAFTS, Scope.DRAFTS_WRITE),
    Route("POST", "/api/v1/drafts/{id}/upload-url", _DRAFTS, Scope.DRAFTS_WRITE),
    Route("POST", "/api/v1/drafts/{id}/download-url", _DRAFTS, Scope.DRAFTS_READ),
    Route("POST", "/api/v1/drafts/{id}/confirm", _DRAFTS, Scope.DRAFTS_CONFIRM),
    Route("POST", "/api/v1/drafts/{id}/extend", _DRAFTS, Scope.DRAFTS_WRITE),
    Route("POST", "/api/v1/drafts/{id}/restore", _DRAFTS, Scope.DRAFTS_WRITE),
    Route("GET", "/api/v1/drafts/{id}/events", _DRAFTS, Scope.DRAFTS_READ),
    Route("GET", "/api/v1/events", _DRAFTS, Scope.DRAFTS_READ),
    Route("POST", "/api/v1/confirmations", _DRAFTS, Scope.DRAFTS_CONFIRM),
    Route("GET", "/api/v1/confirmations/{id}", _DRAFTS, Scope.DRAFTS_CONFIRM),
    Route("POST", "/api/v1/confirmations/{id}/commit", _DRAFTS, Scope.DRAFTS_CONFIRM),
    Route("POST", "/api/v1/confirmations/{id}/rollback", _DRAFTS, Scope.DRAFTS_CONFIRM),
    Route("GET", "/api/v1/objects", _DRAFTS, Scope.OBJECTS_READ),
    Route("GET", "/api/v1/objects/{name...}", _DRAFTS, Scope.OBJECTS_READ),
    Route("HEAD", "/api/v1/objects/{name...}", _DRAFTS, Scope.OBJECTS_READ),
    Route("DELETE", "/api/v1/objects/{name...}", _DRAFTS, Scope.OBJECTS_DELETE),
    Route("POST", "/api/v1/keys/revoke-leaked", _IDENTITY, None, REPORT_LIMIT, anonymous=True),
    Route("POST", "/api/v1/keys", _IDENTITY, None),
    Route("GET", "/api/v1/keys", _IDENTITY, None),
    Route("POST", "/api/v1/keys/import", _IDENTITY, None),
    Route("GET", "/api/v1/keys/{id}", _IDENTITY, None),  # `self` among them
    Route("PATCH", "/api/v1/keys/{id}", _IDENTITY, None),
    Route("DELETE", "/api/v1/keys/{id}", _IDENTITY, None),  # `self` among them
    Route("POST", "/api/v1/keys/{id}/rotate", _IDENTITY, None),
    Route("POST", "/api/v1/tenants", _IDENTITY, None),
    Route("GET", "/api/v1/tenants", _IDENTITY, None),
    Route("GET", "/api/v1/tenants/{id}", _IDENTITY, None),
    Route("PATCH", "/api/v1/tenants/{id}", _IDENTITY, None),
    Route("GET", "/api/v1/audit", _IDENTITY, None),
)


def _expression(patterns: Sequence[str]) -> re.Pattern[str]:
    """One expression for all: of its groups, the last that took part is the pattern's, by its place."""
    return re.compile("|".join(f"({'/'.join(map(_segment, pattern.split('/')))})" for pattern in patterns))


def _segment(part: str) -> str:
    if part.endswith("...}"):
        return ".+"
    return "[^/]+" if part.startswith("{") else re.escape(part)


class RouteTable:
    """Finds the route of a request. What is spelled out goes before what a parameter would also match."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._methods: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._methods.setdefault(route.pattern, {})[route.method] = route
        self._parametric = [pattern for pattern in self._methods if "{" in pattern]
        self._expression = _expression(self._parametric)

    def find(self, method: str, path: str) -> Route:
        """The route; raises `NotFound` for an unknown path and `WrongMethod` for a known one."""
        methods = self._methods.get(path) or self._methods_of_pattern(path)
        if method not in methods:
            raise WrongMethod(methods)
        return methods[method]

    def _methods_of_pattern(self, path: str) -> dict[str, Route]:
        found = self._expression.fullmatch(path)
        if found is None or found.lastindex is None:
            raise NotFound
        return self._methods[self._parametric[found.lastindex - 1]]
