"""The interface of a running product, whichever way it is run (see `stack`)."""

import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import asyncpg
import httpx

from draftstore_standalone.servers.paths import ServerHome
from support.api import Api
from support.child import Child, ChildFailedError
from support.issued import Secrets
from support.plain_http import NO_TLS
from support.store_view import StoreCredentials, StoreView

Mode = Literal["standalone", "processes"]
Driver = Literal["s3", "minio"]

DATA_SCOPES = ["drafts:read", "drafts:write", "drafts:confirm", "objects:read", "objects:write", "objects:delete"]


class Stack(ABC):
    """A running product on one data directory. `start` after `stop` or `kill` goes on with the same data.

    `environment` reaches every process of the product.
    """

    mode: ClassVar[Mode]
    main_bucket = "main"
    draft_bucket = "main-draft"

    def __init__(self, data_dir: Path, driver: Driver, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.driver = driver
        self.environment = {"STORAGE_TYPE": driver, **(environment or {})}
        self.secrets = Secrets()
        self._store: StoreView | None = None

    @property
    @abstractmethod
    def gateway_url(self) -> str:
        """The public door."""

    @property
    @abstractmethod
    def s3_endpoint(self) -> str:
        """Where the store is."""

    @property
    @abstractmethod
    def admin_key(self) -> str:
        """The first admin key."""

    @property
    @abstractmethod
    def data_key(self) -> str:
        """The first data key of the default tenant."""

    @property
    @abstractmethod
    def database_url(self) -> str:
        """PostgreSQL, with its password."""

    @property
    @abstractmethod
    def store_credentials(self) -> StoreCredentials:
        """The store, with its secret."""

    @abstractmethod
    async def start(self) -> None:
        """Return when the gateway is ready; `ChildFailedError` with the end of the log when it does not get there."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything in order."""

    @abstractmethod
    async def kill(self) -> None:
        """End everything at once, as a crash would."""

    @abstractmethod
    def cleaner_environment(self) -> Mapping[str, str]:
        """What a cleaner in a process of its own needs to know."""

    @property
    def logs(self) -> Path:
        """The folder with what every child of the tests said."""
        return self.data_dir.parent / f"{self.data_dir.name}-logs"

    def log_files(self) -> list[Path]:
        """Everything this stack wrote for people who read logs."""
        folders = (self.logs, self.data_dir, ServerHome.locate(self.data_dir).logs)
        found = (path for folder in folders for path in sorted(folder.glob("*")))
        return [path for path in found if path.is_file() and path.suffix not in {".json", ".key", ".env", ".lock"}]

    @property
    def store(self) -> StoreView:
        """A look straight into the buckets."""
        if self._store is None:
            self._store = StoreView(self.store_credentials)
        return self._store

    def close_store(self) -> None:
        """Let go of the connections of `store`."""
        if self._store is not None:
            self._store.close()
        self._store = None

    @asynccontextmanager
    async def api(self, key: str | None) -> AsyncIterator[Api]:
        """A client of the gateway that sends this key."""
        async with httpx.AsyncClient(verify=NO_TLS, base_url=self.gateway_url, trust_env=False, timeout=60) as http:
            yield Api(http, key, self.secrets)

    async def issue_key(self, **wanted: Any) -> dict[str, Any]:
        """A new key, without rate limits and with all data scopes unless `wanted` says otherwise."""
        body = {"name": "tests", "scopes": DATA_SCOPES, "rate_limits": [], **wanted}
        async with self.api(self.admin_key) as admin:
            key: dict[str, Any] = await admin.json("POST", "/api/v1/keys", body, status=201)
        return key

    async def clean_once(self, *arguments: str) -> dict[str, Any]:
        """Run the cleaner's command to its end; its report. `ChildFailedError` when it fails."""
        _, (report,) = await self._cleaner(*(arguments or ("once",)))
        return report

    async def reconcile(self, *arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the cleaner's `reconcile` to its end; its status, 0 or 3, and its lines, the summary last."""
        return await self._cleaner("reconcile", *arguments, succeeds={0, 3}, **environment)

    async def _cleaner(
        self, *arguments: str, succeeds: Collection[int] = (0,), **environment: str
    ) -> tuple[int, list[dict[str, Any]]]:
        command = ("draftstore_cleaner", *arguments)
        with tempfile.TemporaryDirectory(dir=self.logs, prefix="cleaner-") as folder:
            environment = {**self.cleaner_environment(), **environment}
            child = Child("cleaner", command, environment=environment, folder=Path(folder))
            child.start()
            status = await child.ended(seconds=60)
            with (self.logs / "cleaner.log").open("ab") as log:
                log.write(child.stdout.read_bytes() + child.stderr.read_bytes())
            if status not in succeeds:
                raise ChildFailedError(f"the cleaner ended with status {status}\n{child.tail()}")
            return status, [json.loads(line) for line in child.stdout.read_text().splitlines()]

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a statement: tests move rows, not clocks."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


async def answers(url: str) -> bool:
    """Whether this URL answers 200."""
    async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=5) as http:
        try:
            return (await http.get(url)).status_code == 200
        except httpx.TransportError:
            return False
