"""A cleaner and a reconciler of a running product, in a process of their own: this one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from draftstore_cleaner.app import create_cleaner, create_reconciler
from draftstore_cleaner.reconcile.run import Options, Reconciler
from draftstore_cleaner.service import Cleaner
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.transport import HttpTransport
from support.stack_base import Stack

_EVERYTHING = Options(max_keys=100_000_000, max_seconds=3600, min_age=0, max_clock_skew=300, dry_run=True, restart=True)


@asynccontextmanager
async def cleaner_of(stack: Stack) -> AsyncIterator[Cleaner]:
    """A cleaner, until the block ends."""
    async with create_cleaner(_settings(stack), **_ways(stack)) as cleaner:
        yield cleaner


@asynccontextmanager
async def reconciler_of(stack: Stack) -> AsyncIterator[Reconciler]:
    """A reconciler that looks at everything, however young, and changes nothing."""
    async with create_reconciler(_settings(stack), _EVERYTHING, **_ways(stack)) as reconciler:
        yield reconciler


def _settings(stack: Stack) -> CleanerSettings:
    return CleanerSettings(service_key=SecretStr(stack.cleaner_environment()["SERVICE_KEY"]))


def _ways(stack: Stack) -> dict[str, HttpTransport]:
    environment = stack.cleaner_environment()
    return {name: HttpTransport(environment[f"{name.upper()}_URL"]) for name in ("identity", "metadata", "storage")}
