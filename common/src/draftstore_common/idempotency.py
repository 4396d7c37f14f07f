"""`Idempotency-Key`: the same request sent again does nothing more, and is answered as the first was."""

import json
from hashlib import sha256
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel

from draftstore_common.contracts.identity import Principal
from draftstore_common.contracts.metadata import IdempotencyKey

IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="sent again within 24 hours, the same request does nothing more",
    ),
]


def idempotency_key(header: str | None, principal: Principal, route: str, body: BaseModel) -> IdempotencyKey | None:
    """The key in its scope (tenant, lineage, route), with what it was sent with; None where none was sent.

    Both as digests: a caller may send anything as its key, its API key too, and nothing of that is to be kept.
    """
    if header is None:
        return None
    # Sorted: a client that serialises a mapping in another order on its retry still sends the same request.
    canonical = json.dumps(body.model_dump(mode="json"), sort_keys=True)
    return IdempotencyKey(lineage=principal.lineage, route=route, key=_digest(header), fingerprint=_digest(canonical))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
