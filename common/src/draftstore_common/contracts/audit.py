"""Who did what, and who could read what: the audit log, as it is written and read."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, IPvAnyAddress

from draftstore_common.contracts.base import Answer, Instant, Request
from draftstore_common.contracts.names import PlainText

AuditCategory = Literal["admin", "access"]
"""`admin`: keys, tenants and the installation. `access`: reads of bytes, and accesses that were refused."""

AuditOutcome = Literal["allowed", "refused"]
TargetType = Literal["key", "tenant", "signing_key", "audit", "draft", "object", "route"]

MAX_TARGET_BYTES = 2500
"""Bytes of a target in UTF-8. A row of the index it is found by takes 2,704 in PostgreSQL, and a longer one would be
refused with all that came in the same call; the path of the longest object name has 2,430."""


def _fits_index(target: str) -> str:
    if len(target.encode()) > MAX_TARGET_BYTES:
        raise ValueError(f"more than {MAX_TARGET_BYTES} bytes of UTF-8")
    return target


AccessTarget = Annotated[PlainText, AfterValidator(_fits_index)]
"""What somebody wanted to reach: an id, an object name or a path."""


class AuditEntry(Answer):
    """One thing somebody did, or was refused.

    `actor` is a key (`key:<id>`), a service (`service:<name>`), `anonymous`, or `operator` for what a command on the
    database did. `tenant_id` is the tenant it concerns. `code` says why it was refused. `target` is an id, or the name
    of an object. `suppressed` counts like refusals that came too fast to be written one by one.
    """

    id: UUID
    at: Instant
    category: AuditCategory
    action: str
    outcome: AuditOutcome
    code: str | None
    actor: str
    tenant_id: UUID | None
    target_type: TargetType | None
    target: str | None
    request_id: str
    ip: str | None
    suppressed: int
    detail: dict[str, object] | None


class AuditPage(Answer):
    """A page, newest first; `next_cursor` is null on the last."""

    items: list[AuditEntry]
    next_cursor: str | None = None


class AccessEvent(Request):
    """An access as the service that allowed or refused it saw it. `id` is made there: sent twice, it is kept once."""

    id: UUID
    at: Instant
    action: Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z_]+$", max_length=60)]
    outcome: AuditOutcome
    code: str | None = Field(default=None, max_length=100)
    tenant_id: UUID | None = None
    key_id: UUID | None = None
    target_type: TargetType | None = None
    target: AccessTarget | None = None
    request_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    ip: IPvAnyAddress | None = None
    suppressed: int = Field(default=0, ge=0)
    detail: dict[str, Annotated[PlainText, Field(max_length=1000)]] = Field(default={}, max_length=10)


class AccessEvents(Request):
    """Accesses to be kept, all or none."""

    events: list[AccessEvent] = Field(min_length=1, max_length=1000)
