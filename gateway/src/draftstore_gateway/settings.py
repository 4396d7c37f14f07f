"""What the gateway can be told by its environment."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from draftstore_common.kit.settings import ServiceSettings
from draftstore_gateway.windows import parse_limits


def _limits_syntax(text: str) -> str:
    parse_limits(text)
    return text


def _networks(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return [ip_network(part.strip()) for part in value.split(",") if part.strip()]


def _redis_scheme(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError("give a URL that begins with redis:// or rediss://")
    return url


RateLimits = Annotated[str, AfterValidator(_limits_syntax)]
"""Windows as `limits` writes them: `100/minute`, several with `;` between them."""


def _origins(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    origins = [part.strip() for part in value.split(",") if part.strip()]
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError("give origins as browsers send them, https://app.example or http://localhost:3000, or *")
    return origins


_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")

Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
"""Origins (RFC 6454) with commas between them, or `*`."""

Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
"""Networks in CIDR notation with commas between them."""

RedisUrl = Annotated[SecretStr, AfterValidator(_redis_scheme)]
"""A Redis server; the URL may hold its password."""


class GatewaySettings(ServiceSettings):
    """Where the services are, who the gateway is to them, and how much anyone may ask."""

    http_port: int = Field(default=8080, ge=0, le=65535)
    identity_url: str = Field(default="http://127.0.0.1:7851", pattern="^https?://")
    drafts_url: str = Field(default="http://127.0.0.1:7861", pattern="^https?://")
    service_key: SecretStr = Field(description="the gateway's own credential at identity")
    redis_url: RedisUrl | None = Field(default=None, description="where several gateways share their rate limits")
    rate_limit_per_ip: RateLimits = Field(default="100/minute", description="refused requests of one address")
    rate_limit_per_key: RateLimits = Field(default="600/minute", description="requests of a key without its own limits")
    max_concurrent_per_key: int = Field(default=100, ge=1, description="requests of a key under way at once")
    gateway_replicas: int = Field(
        default=1, ge=1, description="how many gateways share a limit while each counts alone"
    )
    api_cors_origins: Origins = Field(default=(), description="web origins that may call the API; none: CORS is off")
    upstream_concurrency: int = Field(default=500, ge=1, description="requests at one service at once, streams apart")
    trusted_proxies: Networks = Field(default=(), description="whose X-Forwarded-For is believed")
