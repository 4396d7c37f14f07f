"""Who administers, and the line each change leaves in the log."""

import logging
from uuid import UUID

from draftstore_common.contracts.identity import Principal
from draftstore_identity import domain
from draftstore_identity.domain import Credential
from draftstore_identity.errors import KeyUnknown
from draftstore_identity.store import Reader

log = logging.getLogger(__name__)


def log_change(event: str, actor: Credential, **subject: UUID) -> None:
    """One line for a change that was committed."""
    log.info(event, extra={name: str(value) for name, value in subject.items()} | {"by": str(actor.key.id)})


async def acting(reader: Reader, principal: Principal) -> Credential:
    """The caller's key as it is now: its token may be a minute old, and a revoked key administers nothing."""
    credential = await reader.keys.credential(principal.key_id)
    if credential is None:
        raise KeyUnknown
    domain.check_living(credential)
    return credential
