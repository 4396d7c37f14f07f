"""A door on the loopback interface for what runs beside the suite: the cleaner's command, as its own process.

Behind it are the same internal routes as in separate processes, with the same service tokens.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from draftstore_standalone.listener import listen
from draftstore_standalone.servers import choose_ports
from draftstore_standalone.servers.paths import write_private
from draftstore_standalone.servers.ports import HOST
from draftstore_standalone.serving import serving
from draftstore_standalone.settings import CLEANER_ENVIRONMENT, StandaloneSettings
from draftstore_standalone.suite import Suite

_PORT = "internal"


@asynccontextmanager
async def internal_door(settings: StandaloneSettings, suite: Suite) -> AsyncIterator[None]:
    """Serve the internal routes, and write the environment a cleaner needs into a private file."""
    fixed = {name: port for name, port in settings.fixed_ports.items() if name == _PORT}
    port = choose_ports([_PORT], memory=settings.data_dir / "ports.json", fixed=fixed)[_PORT]
    door = Starlette(routes=[Mount(f"/{name}", app) for name, app in suite.internal.items()])
    with listen(HOST, port) as listener:
        async with serving(door, listener):
            path = settings.data_dir / CLEANER_ENVIRONMENT
            urls = [f"{name.upper()}_URL=http://{HOST}:{port}/{name}" for name in suite.internal]
            write_private(path, "\n".join([*urls, f"SERVICE_KEY={suite.cleaner_key}", ""]))
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
