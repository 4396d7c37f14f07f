"""`up`: from nothing to a proven installation, and down again in order."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

import draftstore_identity.schema
import draftstore_metadata.schema
from draftstore_cleaner.commands import loop
from draftstore_common.kit.serve import keep_what_is_here
from draftstore_standalone import endpoints, internal
from draftstore_standalone.backing import Servers, servers
from draftstore_standalone.data_key import usable_data_key
from draftstore_standalone.keys import KeyFiles
from draftstore_standalone.servers import DataDirectoryLock, PortTakenError, ServerDiedError
from draftstore_standalone.serving import listen, serving
from draftstore_standalone.settings import StandaloneSettings
from draftstore_standalone.suite import Backing, Suite, check_environment
from draftstore_standalone.text import summary
from draftstore_standalone.tour import Say, Tour


@dataclass(frozen=True, slots=True)
class Installation:
    """One data directory and what it is run with."""

    settings: StandaloneSettings
    say: Say

    @property
    def keys(self) -> KeyFiles:
        """The files of its API keys."""
        return KeyFiles.under(self.settings.data_dir)

    @property
    def gateway_url(self) -> str:
        """Where the gateway is reached from this machine."""
        host = "127.0.0.1" if self.settings.http_host == "0.0.0.0" else self.settings.http_host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.settings.http_port}"


async def up(installation: Installation) -> None:
    """Run until SIGTERM or SIGINT; raises when the start fails or a server dies."""
    check_environment()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_gateway_port(installation.settings))
        stop = _stop_signals()
        start = asyncio.create_task(_start(installation, listener, stack))
        if not await _before(stop, start):
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            return
        await _stay(stop, start.result())


def _gateway_port(settings: StandaloneSettings) -> socket.socket:
    """Taken first, so that a taken port is named before anything else starts."""
    try:
        return listen(settings.http_host, settings.http_port)
    except OSError as error:
        reason = f"port {settings.http_port} for the gateway cannot be used: {error.strerror}"
        raise PortTakenError(f"{reason}. Choose another one: HTTP_PORT=8081 make up") from error


async def _before(stop: asyncio.Event, start: asyncio.Task[Servers]) -> bool:
    """Whether the start ended before somebody asked for a stop. A failed start raises."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([start, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if start.done():
        start.result()
    return start.done()


async def _start(installation: Installation, listener: socket.socket, stack: AsyncExitStack) -> Servers:
    began = time.perf_counter()
    settings, say = installation.settings, installation.say
    stack.enter_context(DataDirectoryLock(settings.data_dir / "standalone.lock", data_dir=settings.data_dir))
    for name in (endpoints.NAME, internal.ENVIRONMENT):  # what a killed predecessor said is not true any more
        (settings.data_dir / name).unlink(missing_ok=True)
    backing = await stack.enter_async_context(servers(settings))
    say(f"PostgreSQL and the store are up ({time.perf_counter() - began:.1f} s)")
    suite = await _prepared_suite(installation, backing)
    await stack.enter_async_context(suite.running())
    await stack.enter_async_context(serving(suite.gateway, listener))
    await stack.enter_async_context(internal.internal_door(settings, suite))
    say(f"All services answer ({time.perf_counter() - began:.1f} s). The tour:")
    data_key = await _walk(installation)
    keep_what_is_here()
    await stack.enter_async_context(_cleaning(suite, settings.cleaner_interval))
    say(summary(installation.gateway_url, backing, settings.data_dir, installation.keys, data_key))
    stack.enter_context(
        endpoints.announced(
            settings.data_dir,
            gateway_url=installation.gateway_url,
            s3_endpoint=backing.s3_endpoint,
            keys=installation.keys,
        )
    )
    return backing


async def _prepared_suite(installation: Installation, backing: Servers) -> Suite:
    """The services over a migrated database, with the admin key of this installation."""
    url = backing.database_url.get_secret_value()
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


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _stay(stop: asyncio.Event, backing: Servers) -> None:
    """Wait for a stop signal; raise `ServerDiedError` when a server of ours ends by itself."""
    watches = [asyncio.ensure_future(watch()) for watch in backing.watches]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *watches], return_when=asyncio.FIRST_COMPLETED)
    for task in (stopped, *watches):
        task.cancel()
    ended = await asyncio.gather(*watches, return_exceptions=True)
    for error in ended:
        if isinstance(error, ServerDiedError):
            raise error
