"""The application: wires store, rules and routes together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from draftstore_common.access import Access
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.app import service_app
from draftstore_common.kit.database import engine
from draftstore_common.kit.tokens import JwksCache, TokenVerifier
from draftstore_identity import routes
from draftstore_identity.bootstrap import Reveal, bootstrap, print_once
from draftstore_identity.context import Context
from draftstore_identity.limits import AdminLimit
from draftstore_identity.schema import check_migrated
from draftstore_identity.service.keys import KeyService
from draftstore_identity.service.service_tokens import ServiceTokenService
from draftstore_identity.service.tenants import TenantService
from draftstore_identity.service.verify import VerifyService
from draftstore_identity.settings import IdentitySettings
from draftstore_identity.signing import SigningKey, TokenIssuer
from draftstore_identity.store import IdentityStore


def create_app(settings: IdentitySettings, *, reveal: Reveal = print_once) -> FastAPI:
    """Identity. Its start checks the schema and bootstraps; `reveal` is told the secrets that makes.

    The start raises `CannotStart` if the schema is not migrated or the signing key does not open, and
    `DatabaseUnavailable` if PostgreSQL is away.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with prepared_store(settings, reveal) as (store, signing_key):
            app.state.context = _context(settings, store, signing_key)
            app.state.ready_checks = {"database": store.check}
            yield

    title, text = "DraftStore identity", "Tenants, API keys and internal tokens."
    routers = [*routes.PUBLIC, *routes.INTERNAL]
    return service_app(title, description=text, lifespan=lifespan, routers=routers, tags=routes.TAGS)


@asynccontextmanager
async def prepared_store(settings: IdentitySettings, reveal: Reveal) -> AsyncIterator[tuple[IdentityStore, SigningKey]]:
    """A store over a migrated schema in which everything needed exists, and the key that signs."""
    url = settings.database_url.get_secret_value()
    await check_migrated(url)
    database = engine(url, size=settings.database_pool)
    try:
        store = IdentityStore(database)
        signing_key = await bootstrap(
            store,
            admin_api_key=settings.admin_api_key,
            signing_key_secret=settings.signing_key_secret,
            reveal=reveal,
        )
        yield store, signing_key
    finally:
        await database.dispose()


def _context(settings: IdentitySettings, store: IdentityStore, signing_key: SigningKey) -> Context:
    tokens = TokenIssuer(signing_key)
    return Context(
        access=Access(TokenVerifier(JwksCache(store.jwks)), Audience.IDENTITY),
        store=store,
        admin_limit=AdminLimit(settings.admin_requests_per_minute, settings.redis_url),
        verify=VerifyService(store, tokens),
        service_tokens=ServiceTokenService(settings.service_keys, tokens),
        keys=KeyService(store),
        tenants=TenantService(store),
    )
