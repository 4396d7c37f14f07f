"""All services over servers that run: migrated, started, served and proven.

To import this is to import every service, which takes as long as the servers need to start: `run` does both at once.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from pydantic import SecretStr

import draftstore_identity.schema
import draftstore_metadata.schema
from draftstore_cleaner.commands import loop
from draftstore_common.kit.database import wait_for_database
from draftstore_common.kit.serve import keep_what_is_here
from draftstore_standalone.backing import Servers
from draftstore_standalone.data_key import usable_data_key
from draftstore_standalone.installation import Installation
from draftstore_standalone.internal import internal_door
from draftstore_standalone.serving import serving
from draftstore_standalone.suite import Backing, Suite
from draftstore_standalone.tour import Tour

DATABASE_WAIT = 30.0


@asynccontextmanager
async def services(installation: Installation, backing: Servers, listener: socket.socket) -> AsyncIterator[str]:
    """Run them all, the gateway on this listener; gives a data key with which the tour was walked."""
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        suite = await _prepared_suite(installation, backing)
        await stack.enter_async_context(suite.running())
        await stack.enter_async_context(serving(suite.gateway, listener))
        await stack.enter_async_context(internal_door(installation.settings, suite))
        installation.say(f"All services answer ({time.perf_counter() - began:.1f} s more). The tour:")
        data_key = await _walk(installation)
        keep_what_is_here()
        await stack.enter_async_context(_cleaning(suite, installation.settings.cleaner_interval))
        yield data_key


async def _prepared_suite(installation: Installation, backing: Servers) -> Suite:
    """The services over a migrated database, with the admin key of this installation."""
    url = backing.database_url.get_secret_value()
    await wait_for_database(url, seconds=DATABASE_WAIT)
    await draftstore_identity.schema.migrate(url)
    await draftstore_metadata.schema.migrate(url)
    given = installation.settings.admin_api_key
    admin_key = installation.keys.admin_key(given.get_secret_value() if given else None)
    return Suite(
        Backing(
            database_url=backing.database_url,
            admin_api_key=SecretStr(admin_key),
            storage=backing.storage,
            reveal=installation.keys.reveal,
        )
    )


async def _walk(installation: Installation) -> str:
    async with aiohttp.ClientSession() as session:
        data_key = await usable_data_key(session, installation.gateway_url, installation.keys)
        await Tour(session, installation.gateway_url, data_key, installation.say).walk()
    return data_key


@asynccontextmanager
async def _cleaning(suite: Suite, interval: int) -> AsyncIterator[None]:
    """Clean now and then, as the scheduled Job does elsewhere."""
    async with suite.cleaner() as cleaner:
        task = asyncio.create_task(loop(cleaner, interval))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
