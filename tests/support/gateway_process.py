"""A gateway in a process of its own, with an identity and a service of the tests around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.child import Child
from support.gateway import SERVICE_KEY
from support.ports import free_port
from support.stack_base import answers

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class GatewayProcess:
    """One gateway; it can be ended and started again at the same port."""

    port: int
    child: Child

    @property
    def proc(self) -> Path:
        """What the kernel tells of it (proc(5))."""
        return Path("/proc") / str(self.child.pid)

    async def start(self) -> None:
        """Return when it is ready."""
        self.child.start()
        await self.child.ready(self.is_ready)

    async def is_ready(self) -> bool:
        """Whether it would be given requests now."""
        return await answers(f"http://127.0.0.1:{self.port}/health/ready")


@asynccontextmanager
async def gateway_process(
    folder: Path, *, identity: int, service: int, module: str = "draftstore_gateway", **settings: Any
) -> AsyncIterator[GatewayProcess]:
    """A ready gateway before the identity and the service at these ports, until the block ends."""
    port = free_port()
    environment = {
        "PYTHONPATH": str(TESTS),
        "HTTP_PORT": str(port),
        "SERVICE_KEY": SERVICE_KEY,
        "IDENTITY_URL": f"http://127.0.0.1:{identity}",
        "DRAFTS_URL": f"http://127.0.0.1:{service}",
        **{name: str(value) for name, value in settings.items()},
    }
    process = GatewayProcess(port, Child(f"gateway-{port}", (module,), environment=environment, folder=folder))
    await process.start()
    try:
        yield process
    finally:
        await process.child.kill()
