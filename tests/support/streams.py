"""Routes of any length, as the byte routes of buckets will be."""

from draftstore_common.contracts.identity import Audience, Scope
from draftstore_gateway.routes import Route

STREAMED = (
    Route("PUT", "/streams/{name}", Audience.DRAFTS, Scope.OBJECTS_WRITE, max_body=None),
    Route("GET", "/streams/{name}", Audience.DRAFTS, Scope.OBJECTS_READ, max_body=None),
)
