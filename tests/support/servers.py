"""The servers a test run stands on: from the wheels, or from Docker with `make test CONTAINERS=1`."""

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from draftstore_standalone.servers import PostgresServer, SeaweedServer


class Server(Protocol):
    """A server that can be stopped, killed, and started again with its data at the same address."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def kill(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Postgres(Server, Protocol):
    """PostgreSQL; `url` names an existing database."""

    @property
    def url(self) -> str: ...


class S3Server(Protocol):
    """Where a running S3-compatible store is, and how to get into it."""

    @property
    def endpoint(self) -> str: ...

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...


class Store(Server, S3Server, Protocol):
    """A store that checks signatures, to be stopped and killed."""


def from_containers() -> bool:
    """Whether this run takes its servers from Docker."""
    return os.environ.get("DRAFTSTORE_TEST_CONTAINERS") == "1"


_LENT = ("DRAFTSTORE_TEST_POSTGRES", "DRAFTSTORE_TEST_STORE")


def lend(postgres: Postgres, store: Store) -> dict[str, str]:
    """The environment by which a test run started by a test uses these servers, instead of starting its own."""
    return dict(zip(_LENT, [postgres.url, " ".join([store.endpoint, store.access_key, store.secret_key])], strict=True))


class _Lent:
    """A server of somebody else's: it is left as it is."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def kill(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _LentPostgres(_Lent):
    url = os.environ.get(_LENT[0], "")


class _LentStore(_Lent):
    endpoint, access_key, secret_key = os.environ.get(_LENT[1], "  ").split(" ")


def make_postgres(data_dir: Path) -> Postgres:
    """PostgreSQL, not started."""
    if _LENT[0] in os.environ:
        return _LentPostgres()
    if not from_containers():
        return PostgresServer(data_dir)
    from support.containers import ContainerPostgres  # noqa: PLC0415  of use only where Docker runs

    return ContainerPostgres()


def make_store(data_dir: Path) -> Store:
    """SeaweedFS from the wheel, or MinIO from Docker; not started."""
    if _LENT[1] in os.environ:
        return _LentStore()
    if not from_containers():
        return SeaweedServer(data_dir)
    from support.containers import ContainerMinio  # noqa: PLC0415  of use only where Docker runs

    return ContainerMinio()
