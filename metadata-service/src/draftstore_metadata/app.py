"""metadata-service: the state of every draft and object, in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI

from draftstore_common.access import Access
from draftstore_common.clients.identity import jwks_fetcher
from draftstore_common.clients.transport import Transport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.app import service_app
from draftstore_common.kit.database import Database
from draftstore_common.kit.tokens import JwksCache, TokenVerifier
from draftstore_metadata import routes
from draftstore_metadata.claiming import ClaimService
from draftstore_metadata.context import Context
from draftstore_metadata.schema import check_migrated
from draftstore_metadata.service import DraftService, EventService, ObjectService
from draftstore_metadata.settings import MetadataSettings
from draftstore_metadata.store.claims import ClaimStore
from draftstore_metadata.store.creating import CreateStore
from draftstore_metadata.store.drafts import DraftStore
from draftstore_metadata.store.due import DueStore
from draftstore_metadata.store.events import EventStore
from draftstore_metadata.store.holds import HoldStore
from draftstore_metadata.store.keys import KeyStore
from draftstore_metadata.store.objects import ObjectStore
from draftstore_metadata.store.publish import PublishStore
from draftstore_metadata.store.reconcile import ReconcileStore
from draftstore_metadata.store.rows import Times
from draftstore_metadata.store.tend import TendStore


def create_app(settings: MetadataSettings, *, identity: Transport) -> FastAPI:
    """The application; `identity` is where tokens' public keys are fetched."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = settings.database_url.get_secret_value()
        await check_migrated(url)
        async with identity, Database(url, size=settings.database_pool) as database:
            keys = JwksCache(jwks_fetcher(identity))
            app.state.context = _context(settings, database, keys)
            app.state.ready_checks = {"database": database.check, "identity": keys.ready}
            yield

    routers = [routes.drafts, routes.tending, routes.due, routes.reconcile]
    return service_app("DraftStore metadata-service", lifespan=lifespan, routers=routers)


def _context(settings: MetadataSettings, database: Database, keys: JwksCache) -> Context:
    grace = timedelta(seconds=settings.restore_grace)
    times = Times(expiry_warning=timedelta(seconds=settings.expiry_warning), restore_grace=grace)
    claims, holds = ClaimStore(database), HoldStore(database)
    return Context(
        access=Access(TokenVerifier(keys), Audience.METADATA),
        drafts=DraftService(CreateStore(database, times), DraftStore(database, times), claims),
        claiming=ClaimService(claims, holds),
        claims=claims,
        keys=KeyStore(database),
        publications=PublishStore(database),
        holds=holds,
        objects=ObjectService(ObjectStore(database)),
        events=EventService(EventStore(database)),
        tending=TendStore(database, grace),
        due=DueStore(database, grace),
        reconcile=ReconcileStore(database),
    )
