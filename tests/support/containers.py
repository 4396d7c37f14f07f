"""PostgreSQL and MinIO from Docker (`make test CONTAINERS=1`), with the interface of the wheels' launchers.

They keep their host port, and their data, over `kill` and `start`.
"""

import asyncio
import secrets
from types import TracebackType
from typing import Self

import asyncpg
import httpx
from testcontainers.core.container import DockerContainer

from support.plain_http import NO_TLS
from support.ports import free_port
from support.until import until

POSTGRES_IMAGE = "postgres:15.15-alpine"
MINIO_IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"

READY_SECONDS = 60.0


class _Server:
    """One container that can be killed and started again."""

    def __init__(self, image: str, port: int, environment: dict[str, str], command: str | None = None) -> None:
        self._image = image
        self._inner_port = port
        self._environment = environment
        self._command = command
        self._container: DockerContainer | None = None
        self.port = free_port()

    async def start(self) -> None:
        """Return when it answers; a container that was killed is started with its data."""
        await asyncio.to_thread(self._start)
        await until(self._answers, f"{self._image} answers", seconds=READY_SECONDS)

    async def stop(self) -> None:
        """Remove the container."""
        if self._container is not None:
            await asyncio.to_thread(self._container.stop)
        self._container = None

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._container is not None:
            await asyncio.to_thread(self._container.get_wrapped_container().kill)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _start(self) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().start()
            return
        container = DockerContainer(self._image).with_bind_ports(self._inner_port, self.port)
        for name, value in self._environment.items():
            container = container.with_env(name, value)
        self._container = (container.with_command(self._command) if self._command else container).start()

    async def _answers(self) -> bool:
        raise NotImplementedError


class ContainerPostgres(_Server):
    """PostgreSQL 15, the oldest that is supported."""

    def __init__(self) -> None:
        self._password = secrets.token_hex(16)
        environment = {"POSTGRES_PASSWORD": self._password, "POSTGRES_DB": "draftstore"}
        super().__init__(POSTGRES_IMAGE, 5432, environment)

    @property
    def url(self) -> str:
        """The database `draftstore`."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/draftstore"

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True


class ContainerMinio(_Server):
    """MinIO, with credentials of its own."""

    def __init__(self) -> None:
        self.access_key, self.secret_key = secrets.token_hex(10), secrets.token_hex(20)
        environment = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
        super().__init__(MINIO_IMAGE, 9000, environment, "server /data")

    @property
    def endpoint(self) -> str:
        """The S3 endpoint."""
        return f"http://127.0.0.1:{self.port}"

    async def _answers(self) -> bool:
        async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=2) as http:
            try:
                return (await http.get(f"{self.endpoint}/minio/health/ready")).status_code == 200
            except httpx.TransportError:
                return False
