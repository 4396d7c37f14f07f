"""Settings of identity."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.base import broken_rule
from draftstore_common.contracts.identity import ServiceName
from draftstore_common.kit.settings import CommandSettings, ServiceSettings

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SERVICES = frozenset(ServiceName)


def parse_service_keys(value: object) -> object:
    """Read `name=sha256hex,…` into services by the digest of their key; a mapping passes as it is."""
    if not isinstance(value, str):
        return value
    services: dict[str, ServiceName] = {}
    for number, entry in enumerate((part.strip() for part in value.split(",") if part.strip()), start=1):
        name, digest = _service_key(number, entry)
        if services.setdefault(digest, name) != name:
            raise broken_rule(
                "service_keys", f"entry {number} gives {name} the key of {services[digest]}; make a key for each"
            )
    return services


def _service_key(number: int, entry: str) -> tuple[ServiceName, str]:
    name, _, digest = (part.strip() for part in entry.partition("="))
    if name not in _SERVICES:
        raise broken_rule("service_keys", f"entry {number} names no service; the names are {', '.join(ServiceName)}")
    if not _SHA256.fullmatch(digest.lower()):
        raise broken_rule(
            "service_keys",
            f"entry {number} ({name}) needs the SHA-256 of the service's key: name=64 hexadecimal digits",
        )
    return ServiceName(name), digest.lower()


def _admin_key(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not (api_keys.is_well_formed(value) and api_keys.is_admin(value)):
        raise broken_rule("admin_key", "not a whole admin key (ds_admin_ and 38 characters, the last 6 their checksum)")
    return secret


ServiceKeys = Annotated[dict[str, ServiceName], NoDecode, BeforeValidator(parse_service_keys), Field(min_length=1)]
"""Services by the SHA-256 (lower-case hex) of their key. A service may have several: an old one and its successor."""


class MigrationSettings(CommandSettings):
    """Where the rows are."""

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/database")


class SigningSettings(MigrationSettings):
    """How the keys that sign tokens are kept."""

    signing_key_secret: SecretStr | None = Field(
        default=None, description="passphrase that encrypts the private signing keys in the database"
    )

    @property
    def passphrase(self) -> bytes | None:
        """The passphrase as it is used."""
        return self.signing_key_secret.get_secret_value().encode() if self.signing_key_secret else None


class IdentitySettings(SigningSettings, ServiceSettings):
    """What identity can be told."""

    database_pool: int = Field(default=10, ge=1, le=200, description="connections to PostgreSQL")
    service_keys: ServiceKeys = Field(description="name=sha256hex of each service's key, separated by commas")
    admin_api_key: Annotated[SecretStr, AfterValidator(_admin_key)] | None = Field(
        default=None, description="an admin key to know from the start; without it the first start makes one"
    )
    signing_key_lifetime: int = Field(
        default=30 * 86_400, ge=3600, description="seconds a key signs tokens before the next one does"
    )
    admin_requests_per_minute: int = Field(default=300, ge=1, description="per key, on the routes of keys and tenants")
    redis_url: SecretStr | None = Field(default=None, description="where instances share those counts")
    http_port: int = Field(default=7851, ge=0, le=65535)
