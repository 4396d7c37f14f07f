"""A cleaner, or a reconciler, with its ways to the services it asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from draftstore_cleaner.reconcile.run import Options, Reconciler
from draftstore_cleaner.service import Brakes, Cleaner
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.reconcile import ReconcileClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.storage import StorageClient
from draftstore_common.clients.transport import Transport


@asynccontextmanager
async def create_cleaner(
    settings: CleanerSettings, *, identity: Transport, metadata: Transport, storage: Transport
) -> AsyncIterator[Cleaner]:
    """A cleaner, usable while its transports are open."""
    async with identity, metadata, storage:
        tokens = ServiceTokens(identity, settings.service_key.get_secret_value())
        brakes = Brakes(settings.cleaner_max_items, settings.cleaner_max_clock_skew)
        yield Cleaner(MetadataClient(metadata, tokens), StorageClient(storage, tokens), brakes)


@asynccontextmanager
async def create_reconciler(
    settings: CleanerSettings, options: Options, *, identity: Transport, metadata: Transport, storage: Transport
) -> AsyncIterator[Reconciler]:
    """A reconciler, usable while its transports are open."""
    async with identity, metadata, storage:
        tokens = ServiceTokens(identity, settings.service_key.get_secret_value())
        yield Reconciler(ReconcileClient(metadata, tokens), StorageClient(storage, tokens), options)
