"""Settings of standalone. Every setting of every service works too: it is read where the service reads it."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr

from draftstore_common.kit.settings import CommandSettings
from draftstore_standalone.servers import SeaweedServer, ports_from

CLEANER_ENVIRONMENT = "cleaner.env"
"""The file in the data directory that tells a cleaner in another process how to reach this suite."""

_STORE_VARIABLES = ("S3_ENDPOINT_URL", "MINIO_ENDPOINT")


class StandaloneSettings(CommandSettings):
    """Where the data lies, which ports are used, and what is used instead of servers of our own."""

    draftstore_data_dir: Path = Field(default=Path(".draftstore"), description="everything that survives a restart")
    http_host: str = Field(default="127.0.0.1", description="address the gateway listens on")
    http_port: int = Field(default=8080, ge=1, le=65535, description="port of the gateway")
    draftstore_port_base: int | None = Field(
        default=None, ge=1024, le=65000, description="first of ten ports for all but the gateway; else free ones"
    )
    database_url: SecretStr | None = Field(default=None, description="use this PostgreSQL instead of our own")
    admin_api_key: SecretStr | None = Field(default=None, description="the admin key to use instead of making one")
    cleaner_interval: int = Field(default=60, ge=1, description="pause between cleaning runs, in seconds")

    @property
    def data_dir(self) -> Path:
        """The data directory, absolute."""
        return self.draftstore_data_dir.absolute()

    @property
    def fixed_ports(self) -> dict[str, int]:
        """Ports the user fixed, by name."""
        return {} if self.draftstore_port_base is None else ports_from(self.draftstore_port_base, PORT_NAMES)


PORT_NAMES = ("postgres", *SeaweedServer.PORT_NAMES, "internal")
"""Everything but the gateway that listens, in the order of the ports from DRAFTSTORE_PORT_BASE."""


def external_store(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a store, which is then used instead of our own SeaweedFS."""
    return any(environment.get(name) for name in _STORE_VARIABLES)
