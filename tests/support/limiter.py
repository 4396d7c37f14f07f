"""A rate limiter by itself."""

from prometheus_client import CollectorRegistry

from draftstore_gateway.limits import Limiter
from draftstore_gateway.metrics import LimiterMetrics


def limiter_on(redis_url: str | None, *, replicas: int = 1) -> Limiter:
    """A limiter on this Redis, or on its own memory, with metrics nobody reads."""
    return Limiter(redis_url, replicas=replicas, metrics=LimiterMetrics(CollectorRegistry()))
