"""One access as the service that allowed or refused it saw it."""

import re
from collections.abc import Mapping
from typing import Literal

from draftstore_common.contracts.api_keys import mask
from draftstore_common.contracts.audit import MAX_TARGET_BYTES, AccessEvent, AuditOutcome, TargetType
from draftstore_common.contracts.identity import Principal
from draftstore_common.kit.clock import utc_now
from draftstore_common.kit.context import request_id
from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.redaction import redact

Action = Literal["download_url.signed", "access.refused"]

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def access_event(
    action: Action,
    outcome: AuditOutcome,
    *,
    target_type: TargetType,
    target: str,
    principal: Principal | None = None,
    client: str | None = None,
    code: str | None = None,
    detail: Mapping[str, str] | None = None,
) -> AccessEvent:
    """The access of this moment and request.

    `target` may be whatever a caller sent: what cannot be kept in a row is replaced, what is too long is cut, API keys
    are masked, and in a path every secret is (not in a name: it would be another name). Of no tenant is what an
    admin key does.
    """
    return AccessEvent(
        id=uuid7(),
        at=utc_now(),
        action=action,
        outcome=outcome,
        code=code,
        tenant_id=principal.tenant_id if principal is not None and principal.kind == "data" else None,
        key_id=None if principal is None else principal.key_id,
        target_type=target_type,
        target=_storable(redact(target) if target_type == "route" else mask(target)),
        request_id=request_id.get(),
        ip=client,
        detail=dict(detail or {}),
    )


def _storable(text: str) -> str:
    printable = _UNPRINTABLE.sub("\ufffd", text[:MAX_TARGET_BYTES])
    return printable.encode()[:MAX_TARGET_BYTES].decode(errors="ignore")
