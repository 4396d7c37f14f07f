"""What the gateway refuses is on record: who, from where, what for; and no flood of refusals floods the record."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_asyncio

from draftstore_common.clients import access_log
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.audit import AccessEvent
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Scope
from support.running_gateway import Running, bearer, running_gateway
from support.until import until


@pytest_asyncio.fixture(loop_scope="session")
async def recorded() -> AsyncIterator[Running]:
    """A gateway of one test's own, behind a proxy that says who calls."""
    async with running_gateway(trusted_proxies="127.0.0.1", rate_limit_per_ip="1000000/day") as running:
        yield running


async def on_record(gateway: Running, count: int) -> list[AccessEvent]:
    """So many accesses, once they are there."""

    async def all_there() -> bool:
        return len(gateway.identity.accesses) >= count

    await until(all_there, f"{count} accesses are on record")
    assert len(gateway.identity.accesses) == count
    return gateway.identity.accesses


def facts(event: AccessEvent) -> dict[str, Any]:
    """What an event says, but for when and under which number."""
    return event.model_dump(exclude={"id", "at", "request_id", "ip"}, exclude_defaults=True)


@pytest.mark.parametrize(
    ("secret", "code"), [(None, "api_key_missing"), ("nonsense", "api_key_malformed"), ("new", "api_key_unknown")]
)
async def test_who_has_no_good_key_is_on_record_by_address(recorded: Running, secret: str | None, code: str) -> None:
    given = api_keys.make("live") if secret == "new" else secret
    headers = {"x-forwarded-for": "203.0.113.9"} | ({"authorization": f"Bearer {given}"} if given else {})
    answer = await recorded.client.get("/api/v1/objects/a%20b.jpg", headers=headers)
    assert answer.status_code == 401
    (event,) = await on_record(recorded, 1)
    assert facts(event) == {
        "action": "access.refused",
        "outcome": "refused",
        "code": code,
        "target_type": "route",
        "target": "GET /api/v1/objects/a%20b.jpg",
    }
    assert str(event.ip) == "203.0.113.9"
    assert event.request_id == answer.headers["x-request-id"]


async def test_a_key_without_the_power_is_on_record_by_name(recorded: Running) -> None:
    key = recorded.identity.issue(Scope.DRAFTS_READ)
    answer = await recorded.client.get("/api/v1/objects", headers=bearer(key))
    assert answer.status_code == 403
    (event,) = await on_record(recorded, 1)
    assert facts(event) == {
        "action": "access.refused",
        "outcome": "refused",
        "code": "scope_missing",
        "tenant_id": DEFAULT_TENANT_ID,
        "key_id": key.principal.key_id,
        "target_type": "route",
        "target": "GET /api/v1/objects",
    }


async def test_an_admin_key_on_a_data_route_is_on_record_and_of_no_tenant(recorded: Running) -> None:
    key = recorded.identity.issue(kind="admin", access_audit="off")
    assert (await recorded.client.get("/api/v1/objects", headers=bearer(key))).status_code == 403
    (event,) = await on_record(recorded, 1)
    assert (event.code, event.key_id, event.tenant_id) == ("wrong_key_kind", key.principal.key_id, None)


async def test_a_key_from_a_place_it_may_not_be_used_from_is_on_record(recorded: Running) -> None:
    key = recorded.identity.issue(Scope.OBJECTS_READ, cidrs=[ip_network("10.0.0.0/8")])
    answer = await recorded.client.get("/api/v1/objects", headers={**bearer(key), "x-forwarded-for": "192.0.2.1"})
    assert (answer.status_code, answer.json()["code"]) == (403, "ip_not_allowed")
    (event,) = await on_record(recorded, 1)
    assert (event.code, str(event.ip)) == ("ip_not_allowed", "192.0.2.1")


async def test_what_is_no_refused_access_is_not_on_record(recorded: Running) -> None:
    """Neither what went well, nor what a service answered, nor an unknown path or a malformed request."""
    headers = recorded.headers(Scope.OBJECTS_READ)
    assert (await recorded.client.get("/api/v1/objects", headers=headers)).status_code == 200
    assert (await recorded.client.get("/streams/early", headers=headers)).status_code == 409
    assert (await recorded.client.get("/nothing/here", headers=headers)).status_code == 404
    assert (await recorded.client.get("/api/v1/objects/a/../b%00", headers=headers)).status_code == 400
    assert (await recorded.client.get("/api/v1/objects")).status_code == 401
    (event,) = await on_record(recorded, 1)
    assert event.code == "api_key_missing"


async def test_a_tenant_that_wants_nothing_on_record_has_nothing_there(recorded: Running) -> None:
    key = recorded.identity.issue(access_audit="off")
    assert (await recorded.client.get("/api/v1/objects", headers=bearer(key))).status_code == 403
    assert (await recorded.client.get("/api/v1/objects")).status_code == 401
    (event,) = await on_record(recorded, 1)
    assert event.key_id is None


async def test_refusals_of_one_network_are_thinned_out_and_others_are_not(recorded: Running) -> None:
    for number in range(access_log.REFUSALS_PER_MINUTE + 10):
        headers = {"x-forwarded-for": f"2001:db8:0:7::{number:x}"}
        assert (await recorded.client.get("/api/v1/objects", headers=headers)).status_code == 401
    await recorded.client.get("/api/v1/objects", headers={"x-forwarded-for": "2001:db8:0:8::1"})
    events = await on_record(recorded, access_log.REFUSALS_PER_MINUTE + 1)
    assert str(events[-1].ip) == "2001:db8:0:8::1"


async def test_a_key_sent_where_no_key_belongs_is_masked_on_record(recorded: Running) -> None:
    secret = api_keys.make("live")
    assert (await recorded.client.get(f"/api/v1/objects/{secret}")).status_code == 401
    (event,) = await on_record(recorded, 1)
    assert event.target == "GET /api/v1/objects/ds_live_***"
