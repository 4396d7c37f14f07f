"""`up`: from nothing to a proven installation, and down again in order."""

import asyncio
import gc
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from draftstore_standalone import endpoints
from draftstore_standalone.backing import Servers, servers
from draftstore_standalone.environment import check_environment
from draftstore_standalone.installation import Installation
from draftstore_standalone.listener import listen
from draftstore_standalone.servers import DataDirectoryLock, PortTakenError, ServerDiedError
from draftstore_standalone.settings import CLEANER_ENVIRONMENT, StandaloneSettings
from draftstore_standalone.text import summary

Services = Callable[[Installation, Servers, socket.socket], AbstractAsyncContextManager[str]]


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
    for name in (endpoints.NAME, CLEANER_ENVIRONMENT):  # what a killed predecessor said is not true any more
        (settings.data_dir / name).unlink(missing_ok=True)
    imported = asyncio.create_task(_imported_services())
    backing = await stack.enter_async_context(servers(settings))
    say(f"PostgreSQL and the store are up ({time.perf_counter() - began:.1f} s)")
    services = await imported
    data_key = await stack.enter_async_context(services(installation, backing, listener))
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


async def _imported_services() -> Services:
    """The services, imported while the servers start in processes of their own.

    In a thread that a stop does not wait for, as it would for one of the loop's.
    """
    found: Future[Services] = Future()
    found.set_running_or_notify_cancel()

    def work() -> None:
        try:
            found.set_result(_import_services())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=work, name="imports", daemon=True).start()
    return await asyncio.wrap_future(found)


def _import_services() -> Services:
    gc.disable()  # what is imported is no garbage, and looking for some takes a fifth of the time
    try:
        from draftstore_standalone.services import services  # noqa: PLC0415

        gc.freeze()
    finally:
        gc.enable()
    return services


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
