"""Settings of metadata-service."""

from pydantic import Field, SecretStr

from draftstore_common.kit.settings import ServiceSettings


class MigrationSettings(ServiceSettings):
    """Where the rows are."""

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/database")


class MetadataSettings(MigrationSettings):
    """What metadata-service can be told."""

    database_pool: int = Field(default=10, ge=1, le=200, description="connections to PostgreSQL")
    identity_url: str = "http://127.0.0.1:7851"
    restore_grace: int = Field(default=0, ge=0, description="seconds the bytes of an expired draft are kept")
    expiry_warning: int = Field(default=3600, ge=0, description="seconds before its end that a draft is warned of")
    http_port: int = Field(default=7891, ge=0, le=65535)
