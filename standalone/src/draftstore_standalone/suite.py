"""All services in one process: the same applications as in separate ones, over in-process transports."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp

import draftstore_drafts.app
import draftstore_gateway.app
import draftstore_identity.app
import draftstore_metadata.app
import draftstore_storage.app
from draftstore_cleaner.app import create_cleaner
from draftstore_cleaner.service import Cleaner
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport
from draftstore_common.contracts.identity import Audience, ServiceName
from draftstore_drafts.settings import DraftSettings
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import AsgiUpstream
from draftstore_identity.bootstrap import Reveal
from draftstore_identity.settings import IdentitySettings
from draftstore_metadata.settings import MetadataSettings
from draftstore_standalone.serving import DRAIN_SECONDS
from draftstore_storage.settings import StorageSettings


@dataclass(frozen=True, slots=True)
class Backing:
    """What the services stand on. `storage` holds settings of storage-service that differ from the environment."""

    database_url: SecretStr
    admin_api_key: SecretStr | None
    storage: Mapping[str, Any]
    reveal: Reveal


class Suite:
    """The applications, made but not started."""

    def __init__(self, backing: Backing) -> None:
        self._service_keys = {name: secrets.token_urlsafe(32) for name in ServiceName}
        self._backing = backing
        self._identity = self._make_identity()
        self._metadata = draftstore_metadata.app.create_app(
            MetadataSettings(database_url=backing.database_url), identity=self._way(self._identity)
        )
        self._storage = draftstore_storage.app.create_app(
            StorageSettings(**backing.storage), identity=self._way(self._identity)
        )
        self._drafts = draftstore_drafts.app.create_app(
            DraftSettings(service_key=self._key(ServiceName.DRAFTS), shutdown_grace=DRAIN_SECONDS),
            identity=self._way(self._identity),
            metadata=self._way(self._metadata),
            storage=self._way(self._storage),
        )
        self._gateway = draftstore_gateway.app.create_app(
            GatewaySettings(service_key=self._key(ServiceName.GATEWAY)),
            identity=self._way(self._identity),
            upstreams={
                Audience.IDENTITY: AsgiUpstream(self._identity),
                Audience.DRAFTS: AsgiUpstream(self._drafts),
            },
        )

    @property
    def gateway(self) -> ASGIApp:
        """The public door. Whoever serves it runs its lifespan."""
        return self._gateway

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start every service behind the gateway, those that are called before those that call."""
        async with AsyncExitStack() as stack:
            for app in (self._identity, self._metadata, self._storage, self._drafts):
                await stack.enter_async_context(AsgiLifespan(app))
            yield

    @asynccontextmanager
    async def cleaner(self) -> AsyncIterator[Cleaner]:
        """A cleaner of this suite, usable while it runs."""
        settings = CleanerSettings(service_key=self._key(ServiceName.CLEANER))
        async with create_cleaner(
            settings,
            identity=self._way(self._identity),
            metadata=self._way(self._metadata),
            storage=self._way(self._storage),
        ) as cleaner:
            yield cleaner

    @property
    def internal(self) -> Mapping[str, ASGIApp]:
        """The services a cleaner in another process talks to."""
        return {"identity": self._identity, "metadata": self._metadata, "storage": self._storage}

    @property
    def cleaner_key(self) -> str:
        """The service key by which identity knows a cleaner. Never log it."""
        return self._service_keys[ServiceName.CLEANER]

    def _make_identity(self) -> FastAPI:
        digests = {hashlib.sha256(key.encode()).hexdigest(): name for name, key in self._service_keys.items()}
        settings = IdentitySettings(
            database_url=self._backing.database_url,
            service_keys=digests,
            admin_api_key=self._backing.admin_api_key,
        )
        return draftstore_identity.app.create_app(settings, reveal=self._backing.reveal)

    def _key(self, name: ServiceName) -> SecretStr:
        return SecretStr(self._service_keys[name])

    @staticmethod
    def _way(app: ASGIApp) -> AsgiTransport:
        return AsgiTransport(app)
