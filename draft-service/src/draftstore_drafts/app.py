"""draft-service: the two-stage workflow and its policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from draftstore_common.access import Access
from draftstore_common.clients.access_log import AccessLog
from draftstore_common.clients.identity import IdentityClient, jwks_fetcher
from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.storage import StorageClient
from draftstore_common.clients.transport import Transport, alive
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.app import service_app
from draftstore_common.kit.tokens import JwksCache, TokenVerifier
from draftstore_drafts import routes
from draftstore_drafts.accesses import Accesses
from draftstore_drafts.attempt import Tools
from draftstore_drafts.batch import BatchService
from draftstore_drafts.by_name import ByNameService
from draftstore_drafts.confirm import Confirmer
from draftstore_drafts.confirmations import ConfirmationService
from draftstore_drafts.content import Content
from draftstore_drafts.context import Context
from draftstore_drafts.events import EventService
from draftstore_drafts.objects import ObjectService
from draftstore_drafts.service import DraftService, Lives
from draftstore_drafts.settings import DraftSettings
from draftstore_drafts.tending import tending


def create_app(settings: DraftSettings, *, identity: Transport, metadata: Transport, storage: Transport) -> FastAPI:
    """The application, with the ways to the three services it calls."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with identity, metadata, storage:
            keys = JwksCache(jwks_fetcher(identity))
            app.state.ready_checks = {"identity": keys.ready, "metadata": alive(metadata), "storage": alive(storage)}
            tokens = ServiceTokens(identity, settings.service_key.get_secret_value())
            clients = MetadataClient(metadata, tokens), StorageClient(storage, tokens)
            async with AccessLog(IdentityClient(identity, tokens)) as log:
                accesses = Accesses(log, sample=settings.access_audit_sample)
                content = Content(*clients, accesses, download_ttl=settings.download_ttl)
                tools = Tools(*clients, content, settings.confirm_lease, url_grace=settings.download_ttl)
                confirmer = Confirmer(tools, busy_wait=settings.confirm_wait)
                app.state.context = _context(settings, keys, clients[0], content, confirmer, accesses)
                async with tending(clients[0], settings.tend_interval):
                    yield
                await confirmer.drain(settings.shutdown_grace)

    return service_app("DraftStore draft-service", lifespan=lifespan, routers=[routes.router], tags=routes.TAGS)


def _context(
    settings: DraftSettings,
    keys: JwksCache,
    metadata: MetadataClient,
    content: Content,
    confirmer: Confirmer,
    accesses: Accesses,
) -> Context:
    lives = Lives(settings.upload_ttl, settings.object_lifetime, settings.max_draft_lifetime)
    drafts = DraftService(metadata, content, confirmer, lives)
    return Context(
        access=Access(TokenVerifier(keys), Audience.DRAFTS),
        accesses=accesses,
        drafts=drafts,
        batches=BatchService(metadata, content, lives),
        confirmations=ConfirmationService(metadata, drafts, confirmer, content),
        events=EventService(metadata),
        by_name=ByNameService(drafts, metadata, content),
        objects=ObjectService(metadata, url_grace=settings.download_ttl),
    )
