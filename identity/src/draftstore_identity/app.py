"""The application: wires store, rules and routes together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from draftstore_common.access import Access
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.app import service_app
from draftstore_common.kit.database import connect, engine
from draftstore_common.kit.tokens import JwksCache, TokenVerifier
from draftstore_identity import routes
from draftstore_identity.bell import ChangeBell
from draftstore_identity.bootstrap import Reveal, bootstrap, print_once
from draftstore_identity.context import Context
from draftstore_identity.limits import AdminLimit
from draftstore_identity.schema import check_migrated
from draftstore_identity.service.audit import AuditService
from draftstore_identity.service.feed import ChangeFeed
from draftstore_identity.service.keys import KeyService
from draftstore_identity.service.last_uses import LastUses
from draftstore_identity.service.leaks import LeakService
from draftstore_identity.service.refusals import Refusals
from draftstore_identity.service.rotation import RotationService
from draftstore_identity.service.service_tokens import ServiceTokenService
from draftstore_identity.service.signing_keys import SigningKeyWatch
from draftstore_identity.service.tenants import TenantService
from draftstore_identity.service.verify import VerifyService
from draftstore_identity.settings import IdentitySettings
from draftstore_identity.signing import SigningKey, TokenIssuer
from draftstore_identity.store import IdentityStore
from draftstore_identity.tables import SERVICE_ROLE


def create_app(settings: IdentitySettings, *, reveal: Reveal = print_once) -> FastAPI:
    """Identity. Its start checks the schema and bootstraps; `reveal` is told the secrets that makes.

    The start raises `CannotStart` if the schema is not migrated or the signing key does not open, and
    `DatabaseUnavailable` if PostgreSQL is away.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with prepared_store(settings, reveal) as (store, signing_key), _bell(settings) as bell:
            tokens, last_uses = TokenIssuer(signing_key), LastUses(store)
            app.state.context = _context(settings, store, tokens, bell, last_uses)
            app.state.ready_checks = {"database": store.check}
            lifetime = timedelta(seconds=settings.signing_key_lifetime)
            watch = SigningKeyWatch(store, tokens, bell, passphrase=settings.passphrase, lifetime=lifetime)
            async with watch, last_uses.written_down():
                yield

    title, text = "DraftStore identity", "Tenants, API keys and internal tokens."
    routers = [*routes.PUBLIC, *routes.INTERNAL]
    return service_app(title, description=text, lifespan=lifespan, routers=routers, tags=routes.TAGS)


@asynccontextmanager
async def prepared_store(settings: IdentitySettings, reveal: Reveal) -> AsyncIterator[tuple[IdentityStore, SigningKey]]:
    """A store over a migrated schema in which everything needed exists, and the key that signs."""
    url = settings.database_url.get_secret_value()
    await check_migrated(url)
    database = engine(url, size=settings.database_pool, role=SERVICE_ROLE)
    try:
        store = IdentityStore(database)
        signing_key = await bootstrap(
            store,
            admin_api_key=settings.admin_api_key,
            passphrase=settings.passphrase,
            reveal=reveal,
        )
        yield store, signing_key
    finally:
        await database.dispose()


def _bell(settings: IdentitySettings) -> ChangeBell:
    return ChangeBell(partial(connect, settings.database_url.get_secret_value(), role=SERVICE_ROLE))


def _context(
    settings: IdentitySettings, store: IdentityStore, tokens: TokenIssuer, bell: ChangeBell, last_uses: LastUses
) -> Context:
    refusals = Refusals(store)
    return Context(
        access=Access(TokenVerifier(JwksCache(store.jwks)), Audience.IDENTITY),
        store=store,
        admin_limit=AdminLimit(settings.admin_requests_per_minute, settings.redis_url),
        verify=VerifyService(store, tokens, last_uses),
        service_tokens=ServiceTokenService(settings.service_keys, tokens),
        feed=ChangeFeed(store, bell),
        audit=AuditService(store, refusals),
        keys=KeyService(store, refusals),
        rotation=RotationService(store, refusals),
        leaks=LeakService(store),
        tenants=TenantService(store, refusals),
    )
