"""A rehearsal of `docker compose up`: the services of docker-compose.yml as processes of this machine.

Commands come from the Dockerfile and the Compose file, run in the environments the Dockerfile's own steps installed,
with nothing in their environment but what these two files put there. PostgreSQL, Redis and SeaweedFS stand in for the
containers that are not ours. Only addresses differ: `service:port` becomes a port of this machine.
"""

import asyncio
import re
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from draftstore_standalone.servers import PostgresServer, SeaweedServer
from support import compose
from support.child import Child, ChildFailedError
from support.dockerfile import Image, Rehearsal
from support.ports import free_port
from support.redis import running_redis
from support.stack_base import Stack
from support.store_view import StoreCredentials

_FIRST_KEY = re.compile(r"^(Admin|Data) API Key: (\S+)$", re.MULTILINE)


class Container(Child):
    """A Compose service as a process: the image's entry point with the file's command."""

    def __init__(
        self, name: str, service: Mapping[str, Any], image: Image, environment: Mapping[str, str], folder: Path
    ) -> None:
        super().__init__(name, (), environment=environment, folder=folder)
        self._command = [*service.get("entrypoint", image.entrypoint), *service.get("command", [])]
        self._health: list[str] = service.get("healthcheck", {}).get("test", [])
        self._stop_signal = signal.Signals[service.get("stop_signal", image.stop_signal)]
        self._grace = float(service["stop_grace_period"].removesuffix("s"))

    async def up(self) -> None:
        """Return when Compose would start what depends on it: healthy, or ended well if it has no health check."""
        self.start()
        if self._health:
            await self.ready(self.is_healthy, seconds=60)
        elif await self.ended() != 0:
            raise ChildFailedError(f"{self.name} failed\n{self.tail()}")

    async def is_healthy(self) -> bool:
        """What the health check of the file says now."""
        kind, *command = self._health
        assert kind == "CMD", "a shell form would need a shell in the image"
        check = await asyncio.create_subprocess_exec(*command, env=self._environment, stdout=DEVNULL, stderr=DEVNULL)
        return await check.wait() == 0

    async def down(self) -> int:
        """Ask it to stop as Docker would; its exit status, in which -15 is SIGTERM. Raises after the grace period."""
        if self.running:
            self._started().send_signal(self._stop_signal)
        return await self.ended(seconds=self._grace)


class ComposeStack(Stack):
    """The installation of the file, with the variables that deployment/make-env.sh made."""

    mode = "processes"

    def __init__(self, data_dir: Path, images: Rehearsal, variables: Mapping[str, str]) -> None:
        super().__init__(data_dir, "minio", variables)
        self.containers: dict[str, Container] = {}
        self.redis_url = ""
        self._images = images
        self._postgres = PostgresServer(data_dir)
        self._seaweed = SeaweedServer(data_dir)
        self._servers = AsyncExitStack()
        self._services: dict[str, dict[str, Any]] = {}
        self._environments: dict[str, dict[str, str]] = {}
        self._first_keys: dict[str, str] = {}

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['HTTP_PORT']}"

    @property
    def s3_endpoint(self) -> str:
        return self._seaweed.endpoint

    @property
    def admin_key(self) -> str:
        return self._first_keys["Admin"]

    @property
    def data_key(self) -> str:
        return self._first_keys["Data"]

    @property
    def database_url(self) -> str:
        return f"postgresql://draftstore:{self.environment['POSTGRES_PASSWORD']}@{self._postgres_address}/draftstore"

    @property
    def store_credentials(self) -> StoreCredentials:
        return StoreCredentials(self.s3_endpoint, self._seaweed.access_key, self._seaweed.secret_key)

    async def start(self) -> None:
        for server in (self._postgres, self._seaweed):
            await self._servers.enter_async_context(server)
        self.redis_url = self._servers.enter_context(running_redis())
        await self._use_the_password_of_the_file()
        self.environment |= self._store_variables() | {"HTTP_PORT": str(free_port())}
        self._services = compose.services(self.environment)
        self.containers = self._described()
        for container in self.containers.values():
            await container.up()
        printed = self.containers["identity"].stderr.read_text()
        self._first_keys |= dict(_FIRST_KEY.findall(printed))

    async def down(self) -> dict[str, int]:
        """Stop the containers, those that call before those that are called; their exit statuses."""
        return {name: await container.down() for name, container in reversed(self.containers.items())}

    async def stop(self) -> None:
        await self.kill()
        await self._servers.aclose()

    async def kill(self) -> None:
        await asyncio.gather(*(container.kill() for container in self.containers.values()))

    def cleaner_environment(self) -> Mapping[str, str]:
        return self._environments["cleaner"]

    async def _use_the_password_of_the_file(self) -> None:
        connection = await asyncpg.connect(self._postgres.url)
        await connection.execute(f"ALTER ROLE draftstore PASSWORD '{self.environment['POSTGRES_PASSWORD']}'")
        await connection.close()

    def _store_variables(self) -> dict[str, str]:
        """The store made its own credentials and chose its port; the shell's variables go before those of .env."""
        return {
            "MINIO_ROOT_USER": self._seaweed.access_key,
            "MINIO_ROOT_PASSWORD": self._seaweed.secret_key,
            "STORE_PORT": str(urlsplit(self._seaweed.endpoint).port),
        }

    def _described(self) -> dict[str, Container]:
        ours = [name for name in compose.in_start_order(self._services) if compose.is_ours(self._services[name])]
        ports = {name: free_port() for name in ours} | {"gateway": int(self.environment["HTTP_PORT"])}
        here = _Addresses(self._services, ports, self._server_addresses())
        return {name: self._container(name, here) for name in ours}

    def _container(self, name: str, here: "_Addresses") -> Container:
        service = self._services[name]
        image = self._images.build(service["build"]["target"])
        given = {**image.environment, **compose.environment_of(service)}
        self._environments[name] = here.replaced(name, given)
        return Container(name, service, image, self._environments[name], self.logs)

    @property
    def _postgres_address(self) -> str:
        return f"127.0.0.1:{self._postgres.port}"

    def _server_addresses(self) -> dict[str, str]:
        return {
            "postgres:5432": self._postgres_address,
            "minio:9000": urlsplit(self._seaweed.endpoint).netloc,
            "redis:6379": urlsplit(self.redis_url).netloc,
        }


class _Addresses:
    """Addresses of the containers' networks, and what stands for them here. Any other address is a mistake."""

    def __init__(
        self, services: Mapping[str, Mapping[str, Any]], ports: Mapping[str, int], servers: Mapping[str, str]
    ) -> None:
        self._ports = ports
        listening = {name: compose.environment_of(services[name]).get("HTTP_PORT") for name in ports}
        ours = {f"{name}:{port}": f"127.0.0.1:{ports[name]}" for name, port in listening.items() if port}
        self._here = {**servers, **ours}
        self._pattern = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, services))}):\d+")

    def replaced(self, name: str, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of a container with addresses of this machine."""
        moved = {key: self._pattern.sub(self._local, value) for key, value in environment.items()}
        if "HTTP_PORT" in moved:
            moved |= {"HTTP_PORT": str(self._ports[name]), "HTTP_HOST": "127.0.0.1"}
        return moved

    def _local(self, address: re.Match[str]) -> str:
        return self._here[address[0]]
