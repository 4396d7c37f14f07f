"""The product as `python -m draftstore_standalone` runs it: services in one process, servers of its own."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from draftstore_standalone.servers import ServerHome, choose_ports
from draftstore_standalone.servers.postgres_cluster import DATABASE, SUPERUSER, Cluster
from support.child import Child
from support.stack_base import Driver, Stack
from support.store_view import StoreCredentials


class StandaloneStack(Stack):
    """One process that is found by its `endpoints.json`. Cleans and tends only when told to."""

    mode = "standalone"

    def __init__(self, data_dir: Path, driver: Driver, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(
            data_dir, driver, {"CLEANER_INTERVAL": "86400", "TEND_INTERVAL": "3600", **(environment or {})}
        )
        given = {"DRAFTSTORE_DATA_DIR": str(data_dir), **self.environment}
        self.child = Child("standalone", ("draftstore_standalone",), environment=given, folder=self.logs)

    @property
    def endpoints_file(self) -> Path:
        """What it writes last."""
        return self.data_dir / "endpoints.json"

    @property
    def endpoints(self) -> dict[str, Any]:
        """What it says of itself; empty while it says nothing."""
        try:
            content: dict[str, Any] = json.loads(self.endpoints_file.read_text())
        except FileNotFoundError:
            return {}
        return content

    @property
    def gateway_url(self) -> str:
        return str(self.endpoints["gateway_url"])

    @property
    def s3_endpoint(self) -> str:
        return str(self.endpoints["s3_endpoint"])

    @property
    def admin_key(self) -> str:
        return Path(self.endpoints["admin_key_file"]).read_text().strip()

    @property
    def data_key(self) -> str:
        return Path(self.endpoints["data_key_file"]).read_text().strip()

    @property
    def database_url(self) -> str:
        home = ServerHome.locate(self.data_dir)
        port = json.loads((home.run / "postgres-ports.json").read_text())["postgres"]
        password = Cluster(home.server_folder("postgres")).password
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/{DATABASE}"

    @property
    def store_credentials(self) -> StoreCredentials:
        home = ServerHome.locate(self.data_dir)
        identities = json.loads((home.server_folder("seaweedfs") / "s3.json").read_text())["identities"]
        (credentials,) = identities[0]["credentials"]
        return StoreCredentials(self.s3_endpoint, credentials["accessKey"], credentials["secretKey"])

    async def start(self) -> None:
        self.begin()
        await self.child.ready(self.is_announced, seconds=60)
        self.secrets.add(self.admin_key, self.data_key, self.store_credentials.secret_key, self.database_url)
        self.secrets.add_environment(self.cleaner_environment())

    def begin(self) -> None:
        """Start it without waiting."""
        port = choose_ports(["gateway"], memory=self.data_dir.parent / "gateway-port.json")["gateway"]
        self.child.start(**{"HTTP_PORT": str(port)} | self.environment)

    async def is_announced(self) -> bool:
        """Whether `endpoints.json` is that of the running process."""
        return (await asyncio.to_thread(lambda: self.endpoints)).get("pid") == self.child.pid

    async def stop(self) -> None:
        await self.child.stop()

    async def kill(self) -> None:
        await self.child.kill()

    def cleaner_environment(self) -> Mapping[str, str]:
        lines = (self.data_dir / "cleaner.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line)
