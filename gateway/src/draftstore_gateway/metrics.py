"""What the gateway tells Prometheus. One registry for each application: nothing is shared between two in a process."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest


class LimiterMetrics:
    """The rate limiter: whether its shared store is there, and whom it refused."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.shared = Gauge(
            "draftstore_gateway_limits_shared",
            "1 while requests are counted in the store all gateways share, 0 while this gateway counts alone.",
            registry=registry,
        )
        self.losses = Counter(
            "draftstore_gateway_limit_store_losses",
            "How often the shared store of rate limits was lost.",
            registry=registry,
        )
        self.refused = Counter(
            "draftstore_gateway_limited",
            "Requests refused with 429, by what had no room: ip, key, tenant, concurrency.",
            ["policy"],
            registry=registry,
        )


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """`/metrics` in Prometheus' text format."""
    router = APIRouter(tags=["operations"])

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
