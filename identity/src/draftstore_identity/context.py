"""What one process of identity holds."""

from dataclasses import dataclass

from fastapi import Request

from draftstore_common.access import Access
from draftstore_identity.limits import AdminLimit
from draftstore_identity.service.audit import AuditService
from draftstore_identity.service.feed import ChangeFeed
from draftstore_identity.service.keys import KeyService
from draftstore_identity.service.leaks import LeakService
from draftstore_identity.service.rotation import RotationService
from draftstore_identity.service.service_tokens import ServiceTokenService
from draftstore_identity.service.tenants import TenantService
from draftstore_identity.service.verify import VerifyService
from draftstore_identity.store import IdentityStore


@dataclass(frozen=True, slots=True)
class Context:
    """The singletons of a process."""

    access: Access
    store: IdentityStore
    admin_limit: AdminLimit
    verify: VerifyService
    service_tokens: ServiceTokenService
    feed: ChangeFeed
    audit: AuditService
    keys: KeyService
    rotation: RotationService
    leaks: LeakService
    tenants: TenantService


async def context_of(request: Request) -> Context:
    """The context of the application that serves this request. A coroutine: FastAPI runs all else in a thread."""
    context: Context = request.app.state.context
    return context
