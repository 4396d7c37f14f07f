"""The product as it runs in a cluster: a process for each service, HTTP between them, real sockets."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from draftstore_common.contracts.identity import ServiceName
from draftstore_standalone.servers import ServerHome, choose_ports
from support.child import Child, ChildFailedError
from support.servers import make_postgres, make_store
from support.stack_base import Driver, Stack, answers
from support.store_view import StoreCredentials

_MODULES = {
    "identity": "draftstore_identity",
    "metadata": "draftstore_metadata",
    "storage": "draftstore_storage",
    "drafts": "draftstore_drafts",
    "gateway": "draftstore_gateway",
}
_FIRST_KEY = re.compile(r"^(Admin|Data) API Key: (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Service:
    """A service in a process of its own."""

    url: str
    child: Child

    async def start(self) -> None:
        """Return when it is ready."""
        self.child.start()
        await self.child.ready(self._is_ready)

    async def restart(self) -> None:
        """End it if it runs, and start it at the same address."""
        await self.child.stop()
        await self.start()

    async def _is_ready(self) -> bool:
        return await answers(f"{self.url}/health/ready")


class ProcessesStack(Stack):
    """PostgreSQL and a store started by the tests; each service as `python -m draftstore_x`.

    Tends only when told to, and drains without delay, as nobody routes to it. `services` are to be stopped, killed and
    restarted one by one; so are `postgres` and `object_store`, which keep their ports.
    """

    mode = "processes"

    def __init__(self, data_dir: Path, driver: Driver, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(data_dir, driver, {"TEND_INTERVAL": "3600", "DRAIN_DELAY": "0", **(environment or {})})
        self.postgres = make_postgres(data_dir)
        self.object_store = make_store(data_dir)
        self.services: dict[str, Service] = {}
        self._service_keys = {name: secrets.token_urlsafe(32) for name in ServiceName}
        self._first_keys: dict[str, str] = {}
        self._ports: dict[str, int] = {}

    @property
    def gateway_url(self) -> str:
        return self.services["gateway"].url

    @property
    def s3_endpoint(self) -> str:
        return self.object_store.endpoint

    @property
    def admin_key(self) -> str:
        return self._first_keys["Admin"]

    @property
    def data_key(self) -> str:
        return self._first_keys["Data"]

    @property
    def database_url(self) -> str:
        return self.postgres.url

    @property
    def store_credentials(self) -> StoreCredentials:
        return StoreCredentials(self.s3_endpoint, self.object_store.access_key, self.object_store.secret_key)

    async def start(self) -> None:
        await asyncio.to_thread(ServerHome.locate, self.data_dir)
        await self._start_servers()
        self.services = self._described()
        await asyncio.gather(*(self._migrate(name) for name in ("identity", "metadata")))
        # Those that are called before those that call; all at once would also do, with more log lines.
        await self.services["identity"].start()
        await asyncio.gather(*(self.services[name].start() for name in ("metadata", "storage")))
        await asyncio.gather(*(self.services[name].start() for name in ("drafts", "gateway")))
        self._remember_keys()

    async def stop(self) -> None:
        await asyncio.gather(*(service.child.stop() for service in self.services.values()))
        await asyncio.gather(self.postgres.stop(), self.object_store.stop())

    async def kill(self) -> None:
        await asyncio.gather(*(service.child.kill() for service in self.services.values()))
        await asyncio.gather(self.postgres.kill(), self.object_store.kill())

    @asynccontextmanager
    async def another_gateway(self, name: str = "gateway-2", **environment: str) -> AsyncIterator[str]:
        """The URL of one more gateway beside the first, until the block ends."""
        gateway = self._service(name, "gateway", {**self._environment("gateway"), **environment})
        try:
            await gateway.start()
            yield gateway.url
        finally:
            await gateway.child.stop()

    def cleaner_environment(self) -> Mapping[str, str]:
        return {**self._urls(), "SERVICE_KEY": self._service_keys[ServiceName.CLEANER]}

    async def _start_servers(self) -> None:
        await asyncio.gather(self.postgres.start(), self.object_store.start())

    def _described(self) -> dict[str, Service]:
        return {name: self._service(name, name, self._environment(name)) for name in _MODULES}

    def _service(self, instance: str, name: str, environment: Mapping[str, str]) -> Service:
        port = self._port(instance)
        given = {**environment, "HTTP_PORT": str(port)}
        child = Child(instance, (_MODULES[name],), environment=given, folder=self.logs)
        return Service(f"http://127.0.0.1:{port}", child)

    def _port(self, instance: str) -> int:
        if instance not in self._ports:
            # Outside the range of outgoing connections: nobody takes it while the service is away.
            memory = self.data_dir.parent / f"port-{instance}.json"
            self._ports |= choose_ports([instance], memory=memory)
        return self._ports[instance]

    def _urls(self) -> dict[str, str]:
        return {f"{name.upper()}_URL": f"http://127.0.0.1:{self._port(name)}" for name in _MODULES}

    def _environment(self, name: str) -> dict[str, str]:
        own = {
            "identity": {"DATABASE_URL": self.database_url, "SERVICE_KEYS": self._service_key_digests()},
            "metadata": {"DATABASE_URL": self.database_url},
            "storage": self._store_environment(),
        }.get(name, {})
        return {**self._urls(), "SERVICE_KEY": self._service_keys[ServiceName(name)], **own, **self.environment}

    def _service_key_digests(self) -> str:
        pairs = ((name, hashlib.sha256(key.encode()).hexdigest()) for name, key in self._service_keys.items())
        return ",".join(f"{name}={digest}" for name, digest in pairs)

    def _store_environment(self) -> dict[str, str]:
        credentials = self.store_credentials
        if self.driver == "s3":
            return {
                "S3_ENDPOINT_URL": credentials.endpoint,
                "S3_ADDRESSING_STYLE": "path",
                "AWS_ACCESS_KEY_ID": credentials.access_key,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            }
        return {
            "MINIO_ENDPOINT": credentials.endpoint.removeprefix("http://"),
            "MINIO_ACCESS_KEY": credentials.access_key,
            "MINIO_SECRET_KEY": credentials.secret_key,
        }

    async def _migrate(self, name: str) -> None:
        environment = {"DATABASE_URL": self.database_url}
        child = Child(f"{name}-migrate", (_MODULES[name], "migrate"), environment=environment, folder=self.logs)
        child.start()
        if await child.ended(seconds=60) != 0:
            raise ChildFailedError(f"migrating {name} failed\n{child.tail()}")

    def _remember_keys(self) -> None:
        printed = self.services["identity"].child.stderr.read_text()
        self._first_keys |= dict(_FIRST_KEY.findall(printed))
        self.secrets.add(*self._first_keys.values(), *self._service_keys.values())
        self.secrets.add(self.object_store.secret_key, self.database_url)
