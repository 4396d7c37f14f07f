"""The audit log is read by those who may, kept once, and pruned by its owner alone."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from secrets import choice
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from draftstore_common.clients.access_event import access_event
from draftstore_common.clients.service_tokens import ServiceMisconfigured
from draftstore_common.contracts.audit import AccessEvent, AccessEvents, AuditEntry
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Audience, ServiceName
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.ids import random_base62, uuid7
from draftstore_identity.store.pruning import prune
from draftstore_identity.tables import SERVICE_ROLE
from support.identity import Installation, installed


def event(**more: Any) -> AccessEvent:
    """A signed URL of the default tenant."""
    given = {
        "id": uuid7(),
        "at": datetime.now(UTC),
        "action": "download_url.signed",
        "outcome": "allowed",
        "tenant_id": DEFAULT_TENANT_ID,
        "key_id": uuid7(),
        "target_type": "object",
        "target": f"photos/{random_base62(8)}.jpg",
        "request_id": "request-of-a-test",
        **more,
    }
    return AccessEvent.model_validate(given)


async def record(identity: Installation, *events: AccessEvent, by: ServiceName = ServiceName.DRAFTS) -> None:
    await identity.client(by).record(AccessEvents(events=list(events)))


async def read(identity: Installation, secret: str | None = None, **query: Any) -> list[AuditEntry]:
    """A page of the log as this key (the admin key) sees it."""
    answer = await identity.call(secret or identity.admin_key, "GET", f"/api/v1/audit?{_query(query)}")
    assert answer.status_code == 200, answer.text
    return [AuditEntry.model_validate(item) for item in answer.json()["items"]]


def _query(query: dict[str, object]) -> str:
    given = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in query.items()}
    return "&".join(f"{name}={str(value).replace('+', '%2B')}" for name, value in given.items())


async def test_who_could_read_an_object_is_found_by_its_name(identity: Installation) -> None:
    signed = event(ip="2001:db8::7", detail={"draft_id": "d", "expires_at": "2026-01-01T00:00:00Z"})
    await record(identity, signed, event())
    (entry,) = await read(identity, target=signed.target)
    assert entry.model_dump(exclude={"at"}) == {
        "id": signed.id,
        "category": "access",
        "action": "download_url.signed",
        "outcome": "allowed",
        "code": None,
        "actor": f"key:{signed.key_id}",
        "tenant_id": DEFAULT_TENANT_ID,
        "target_type": "object",
        "target": signed.target,
        "request_id": "request-of-a-test",
        "ip": "2001:db8::7",
        "suppressed": 0,
        "detail": {"draft_id": "d", "expires_at": "2026-01-01T00:00:00Z"},
    }
    assert abs(entry.at - signed.at) < timedelta(milliseconds=2)


async def test_an_access_that_is_reported_twice_is_kept_once(identity: Installation) -> None:
    first, second = event(), event()
    await record(identity, first)
    await record(identity, first.model_copy(update={"target": "something else"}), second)
    assert [entry.id for entry in await read(identity, target=first.target)] == [first.id]
    assert len(await read(identity, target=second.target)) == 1


async def test_a_thousand_accesses_are_kept_by_one_call(identity: Installation) -> None:
    actor = uuid7()
    await record(identity, *(event(key_id=actor) for _ in range(1000)))
    assert len(await read(identity, actor=f"key:{actor}", limit=1000)) == 1000


@pytest.mark.parametrize("alphabet", ["".join(map(chr, range(0x21, 0x7F))), "".join(map(chr, range(0x4E00, 0x9FFF)))])
async def test_whatever_a_caller_wants_to_reach_fits_into_the_log(identity: Installation, alphabet: str) -> None:
    """Random, so that PostgreSQL cannot compress it into its index."""
    wanted = "".join(choice(alphabet) for _ in range(8192))
    noted = access_event("access.refused", "refused", target_type="object", target=wanted)
    assert noted.target is not None
    assert 2490 < len(noted.target.encode()) <= 2500
    await record(identity, noted, event())
    (kept,) = await identity.audit(noted.target)
    assert wanted.startswith(kept["target"])


async def test_only_the_gateway_and_draft_service_report_accesses(identity: Installation) -> None:
    for service in set(ServiceName) - {ServiceName.GATEWAY, ServiceName.DRAFTS}:
        with pytest.raises(ServiceMisconfigured):
            await record(identity, event(), by=service)
    await record(identity, event(key_id=None, tenant_id=None), by=ServiceName.GATEWAY)


async def test_every_filter_narrows_and_all_of_them_hold(identity: Installation) -> None:
    target = f"filters/{random_base62(8)}"
    start = datetime.now(UTC).replace(microsecond=0)  # instants travel with milliseconds
    refused = event(target=target, outcome="refused", action="access.refused", code="object_not_found")
    signed = event(target=target, at=start + timedelta(seconds=5))
    nobody = event(target=target, key_id=None, tenant_id=None, outcome="refused", at=start + timedelta(seconds=10))
    await record(identity, refused, signed, nobody)

    async def found(**query: Any) -> list[UUID]:
        return [entry.id for entry in await read(identity, target=target, **query)]

    assert await found() == [nobody.id, signed.id, refused.id], "newest first"
    assert await found(outcome="refused") == [nobody.id, refused.id]
    assert await found(outcome="refused", actor="anonymous") == [nobody.id]
    assert await found(actor=f"key:{signed.key_id}") == [signed.id]
    assert await found(action="access.refused") == [refused.id]
    assert await found(category="admin") == []
    assert await found(category="access", tenant_id=DEFAULT_TENANT_ID) == [signed.id, refused.id]
    assert await found(since=signed.at) == [nobody.id, signed.id], "since is included"
    assert await found(until=signed.at) == [refused.id], "until is not"


async def test_a_walk_by_cursor_sees_every_entry_once(identity: Installation) -> None:
    target = f"walk/{random_base62(8)}"
    events = [event(target=target) for _ in range(7)]
    await record(identity, *events)
    seen: list[str] = []
    cursor = ""
    while True:
        query = f"target={target}&limit=3" + (f"&cursor={cursor}" if cursor else "")
        answer = (await identity.call(identity.admin_key, "GET", f"/api/v1/audit?{query}")).json()
        seen += [item["id"] for item in answer["items"]]
        await record(identity, event(target=target))
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert seen == [str(each.id) for each in reversed(events)]


async def test_a_data_key_sees_its_own_tenant_and_nothing_of_others(identity: Installation) -> None:
    tenant = await identity.tenant()
    auditor = await identity.issue(tenant_id=tenant, scopes=["audit:read"])
    target = f"tenants/{random_base62(8)}"
    own, foreign, nobodys = event(target=target, tenant_id=tenant), event(target=target), event(tenant_id=None)
    await record(identity, own, foreign, nobodys)
    assert [entry.id for entry in await read(identity, auditor.key, target=target)] == [own.id]
    assert {entry.tenant_id for entry in await read(identity, auditor.key, limit=1000)} == {UUID(tenant)}
    missing = await identity.call(auditor.key, "GET", f"/api/v1/audit?tenant_id={uuid7()}")
    known = await identity.call(auditor.key, "GET", f"/api/v1/audit?tenant_id={DEFAULT_TENANT_ID}")
    assert (missing.status_code, known.status_code) == (404, 404)
    assert {**missing.json(), "request_id": ""} == {**known.json(), "request_id": ""}


async def test_a_key_without_the_scope_reads_nothing_and_that_is_on_record(identity: Installation) -> None:
    key = await identity.issue(scopes=["objects:read"])
    answer = await identity.call(key.key, "GET", "/api/v1/audit")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    (entry,) = await read(identity, actor=f"key:{key.id}")
    assert (entry.action, entry.outcome, entry.code) == ("audit.read", "refused", "scope_missing")


async def test_a_revoked_key_reads_nothing_though_its_token_still_lives(identity: Installation) -> None:
    key = await identity.issue(scopes=["audit:read"])
    token = (await identity.verify(key.key, Audience.IDENTITY)).token
    await identity.call(identity.admin_key, "DELETE", f"/api/v1/keys/{key.id}")
    answer = await identity.send("GET", "/api/v1/audit", token=token)
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_revoked")


@pytest.mark.parametrize(
    "query",
    [
        "category=else",
        "outcome=maybe",
        "since=yesterday",
        "since=0001-01-01T00:00:00%2B14:00",
        "until=9999-12-31T23:59:59-14:00",
        "cursor=x",
        "limit=0",
        "who=me",
    ],
)
async def test_a_question_that_makes_no_sense_is_422(identity: Installation, query: str) -> None:
    assert (await identity.call(identity.admin_key, "GET", f"/api/v1/audit?{query}")).status_code == 422


async def command(*arguments: str, **environment: str) -> tuple[int | None, dict[str, Any] | None, str]:
    """Exit status, report and messages of `python -m draftstore_identity`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "draftstore_identity", *arguments, env=environment, stdout=PIPE, stderr=PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, json.loads(out) if out else None, errors.decode()


async def test_pruning_removes_what_is_old_and_is_on_record(postgres_url: str) -> None:
    async with installed(postgres_url) as identity:
        old, young = event(at=datetime.now(UTC) - timedelta(days=91)), event(at=datetime.now(UTC) - timedelta(days=89))
        await record(identity, old, young)
        status, report, errors = await command("prune-audit", "--older-than", "90", DATABASE_URL=postgres_url)
        assert (status, errors) == (0, "")
        assert report is not None
        assert report["deleted"] == 1
        assert await read(identity, target=old.target) == []
        assert len(await read(identity, target=young.target)) == 1
        (entry,) = await read(identity, action="audit.pruned")
        assert (entry.actor, entry.category, entry.outcome) == ("operator", "admin", "allowed")
        assert entry.detail is not None
        assert entry.detail["deleted"] == 1
        assert datetime.fromisoformat(str(entry.detail["before"])) == datetime.fromisoformat(report["before"])


async def test_the_services_role_cannot_prune(postgres_url: str) -> None:
    async with installed(postgres_url) as identity:
        await record(identity, event(at=datetime.now(UTC) - timedelta(days=91)))
        name = f"user_{random_base62(8).lower()}"
        await identity.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {SERVICE_ROLE}")
        try:
            with pytest.raises(CannotStart, match="owner"):
                await prune(f"postgresql://{name}:secret@{postgres_url.rpartition('@')[2]}", days=90)
        finally:
            await identity.sql(f"DROP ROLE {name}")
        assert len(await identity.sql("SELECT FROM identity.audit WHERE category = 'access'")) == 1


@pytest.mark.parametrize("days", ["0", "-1", "many", "1000000"])
async def test_an_age_that_makes_no_sense_prunes_nothing(days: str) -> None:
    status, report, errors = await command("prune-audit", "--older-than", days)
    assert (status, report) == (2, None)
    assert "--older-than" in errors


async def test_a_row_that_cannot_be_kept_keeps_none_of_its_batch(identity: Installation) -> None:
    good, bad = event(), event().model_copy(update={"outcome": "maybe"})
    rows = [good, bad]
    with pytest.raises(Exception, match="audit_outcome_check") as failure:
        await identity.app.state.context.audit.keep(rows)
    assert isinstance(failure.value.__cause__.__cause__, asyncpg.CheckViolationError)  # type: ignore[union-attr]
    assert await read(identity, target=good.target) == []
