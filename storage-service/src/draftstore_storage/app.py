"""storage-service: bytes in two buckets, and signatures for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from draftstore_common.access import Access
from draftstore_common.clients.identity import jwks_fetcher
from draftstore_common.clients.transport import Transport
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.app import Check, service_app
from draftstore_common.kit.tokens import JwksCache, TokenVerifier
from draftstore_storage import routes
from draftstore_storage.backends.copying import Copier
from draftstore_storage.backends.drivers import open_store
from draftstore_storage.backends.protocols import BucketBackend, Store
from draftstore_storage.bootstrap import ROLES, STORE_START_TIMEOUT, prepare
from draftstore_storage.context import Context
from draftstore_storage.service import StorageService
from draftstore_storage.settings import StorageSettings


def create_app(settings: StorageSettings, *, identity: Transport) -> FastAPI:
    """The application; `identity` is where tokens' public keys are fetched.

    Its start waits a while for the store and makes both buckets ready, or raises `CannotStart`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with identity, open_store(settings) as store:
            await prepare(store, origins=settings.cors_allowed_origins, patience=STORE_START_TIMEOUT)
            keys = JwksCache(jwks_fetcher(identity))
            app.state.context = _context(settings, store, keys)
            buckets = {f"{role}_bucket": _bucket_check(store.buckets, role) for role in ROLES}
            app.state.ready_checks = {**buckets, "identity": keys.ready}
            yield

    return service_app(
        "DraftStore storage-service",
        lifespan=lifespan,
        routers=[routes.drafts, routes.cleaning, routes.reconciling],
        description="Presigns, looks up, lists, copies and deletes objects in the draft and the main bucket.",
    )


def _context(settings: StorageSettings, store: Store, keys: JwksCache) -> Context:
    copier = Copier(store.objects, store.multipart)
    return Context(
        access=Access(TokenVerifier(keys), Audience.STORAGE),
        service=StorageService(store, copier, settings.buckets, settings.store_id),
    )


def _bucket_check(buckets: BucketBackend, role: BucketRole) -> Check:
    async def check() -> None:
        await buckets.probe(role)

    return check
