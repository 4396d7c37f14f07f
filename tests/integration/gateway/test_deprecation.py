"""A route that will go says so in every answer, refusals included."""

from datetime import UTC, datetime

from draftstore_common.contracts.identity import Audience, Scope
from draftstore_gateway.deprecation import Deprecation
from draftstore_gateway.routes import Route
from support.running_gateway import running_gateway

PAGE = "https://docs.example/changes#old"
OLD = Route(
    "GET",
    "/api/v1/old/{name}",
    Audience.DRAFTS,
    Scope.DRAFTS_READ,
    deprecation=Deprecation(
        since=datetime(2023, 6, 30, 23, 59, 59, tzinfo=UTC), link=PAGE, sunset_at=datetime(2027, 1, 31, tzinfo=UTC)
    ),
)
OLDER = Route(
    "GET",
    "/api/v1/older",
    Audience.DRAFTS,
    Scope.DRAFTS_READ,
    deprecation=Deprecation(since=datetime(2023, 6, 30, 23, 59, 59, tzinfo=UTC), link=PAGE),
)


async def test_a_deprecated_route_says_since_when_until_when_and_where_to_read_on() -> None:
    async with running_gateway(routes=[OLD, OLDER]) as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        good = await gateway.client.get("/api/v1/old/a", headers=key)
        refused = await gateway.client.get("/api/v1/old/a")
        endless = await gateway.client.get("/api/v1/older", headers=key)
        other = await gateway.client.get("/api/v1/drafts", headers=key)
    assert [answer.status_code for answer in (good, refused, endless, other)] == [200, 401, 200, 200]
    for answer in (good, refused):
        assert answer.headers["deprecation"] == "@1688169599"
        assert answer.headers["sunset"] == "Sun, 31 Jan 2027 00:00:00 GMT"
        assert answer.headers["link"] == f'<{PAGE}>; rel="deprecation sunset"'
        assert "ratelimit" in answer.headers
    assert "sunset" not in endless.headers
    assert endless.headers["link"] == f'<{PAGE}>; rel="deprecation"'
    assert not {"deprecation", "sunset", "link"} & set(other.headers)
