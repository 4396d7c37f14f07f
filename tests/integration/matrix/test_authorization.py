"""Who reaches what: every operation of the public document, asked with every kind of key that must not do it.

The operations are read from the document, so a new one is asked as soon as it is there.
"""

import json

import pytest
import pytest_asyncio

from draftstore_common.kit.ids import random_base62
from support.document import public_document
from support.matrix import World
from support.operations import Ask, Operation, Things, all_operations

OPERATIONS = all_operations(public_document())
DATA = [operation for operation in OPERATIONS if operation.scope is not None]
ADMIN = [operation for operation in OPERATIONS if operation.scope is None and not operation.anonymous]
WITH_KEY = [*DATA, *ADMIN]

FOR_ANY_KEY = frozenset({"get_own_key", "revoke_own_key"})
"""What a key may do to itself, whatever it is."""

ONLY_ADMIN_KEYS = [operation for operation in ADMIN if "/tenants" in operation.path]

BAD_KEYS = (
    "no key",
    "malformed",
    "unknown",
    "unknown admin",
    "revoked",
    "expired",
    "disabled",
    "suspended tenant",
    "outside its networks",
)

PLACES = [(operation, place) for operation in OPERATIONS for place in operation.places()]

BadKeys = dict[str, tuple[str | None, int, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(world: World) -> Things:
    """Things of the callers' tenant."""
    return await world.things()


@pytest_asyncio.fixture(loop_scope="session")
async def foreign(world: World) -> Things:
    """Things of another tenant, whose names nobody else has used."""
    return await world.things(foreign=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bad_keys(world: World) -> BadKeys:
    """Keys that open nothing."""
    return await world.bad_keys()


async def _refused(world: World, ask: Ask, key: str | None, status: int, *codes: str) -> None:
    """The request is refused like this, changes nothing, and no service behind the gateway heard of it but identity."""
    before = await world.state()
    seen = await world.send(ask, key)
    assert seen.answer.status_code == status, f"{ask.method} {ask.path}: {seen.answer.status_code} {seen.answer.text}"
    if ask.method != "HEAD":
        assert seen.answer.headers["content-type"] == "application/problem+json"
        assert seen.refusal[1] in codes
    assert (seen.answer.headers.get("www-authenticate") == "Bearer") is (status == 401)
    assert await world.state() == before
    assert not any("metadata." in step for step in seen.steps)


@pytest.mark.parametrize("kind", BAD_KEYS)
@pytest.mark.parametrize("operation", WITH_KEY, ids=str)
async def test_a_key_that_opens_nothing_opens_no_operation(
    world: World, own: Things, bad_keys: BadKeys, operation: Operation, kind: str
) -> None:
    key, status, code = bad_keys[kind]
    await _refused(world, operation.ask(own), key, status, code)


def test_every_kind_of_bad_key_is_asked_with(bad_keys: BadKeys) -> None:
    assert set(bad_keys) == set(BAD_KEYS)


@pytest.mark.parametrize("operation", DATA, ids=str)
async def test_a_data_operation_needs_its_scope(world: World, own: Things, operation: Operation) -> None:
    assert operation.scope is not None
    key = await world.data_key(operation.scope)
    await _refused(world, operation.ask(own), key, 403, "scope_missing")


@pytest.mark.parametrize("operation", DATA, ids=str)
async def test_an_admin_key_reaches_no_data(world: World, own: Things, operation: Operation) -> None:
    await _refused(world, operation.ask(own), world.back_end.admin_key, 403, "wrong_key_kind")


@pytest.mark.parametrize("operation", [one for one in ADMIN if one.name not in FOR_ANY_KEY], ids=str)
async def test_a_data_key_administers_nothing(world: World, own: Things, operation: Operation) -> None:
    key = await world.data_key("keys:admin", "audit:read")
    await _refused(world, operation.ask(own), key, 403, "scope_missing", "wrong_key_kind")


@pytest.mark.parametrize("operation", ONLY_ADMIN_KEYS, ids=str)
async def test_no_data_key_administers_tenants(world: World, own: Things, operation: Operation) -> None:
    await _refused(world, operation.ask(own), await world.data_key(), 403, "wrong_key_kind")


@pytest.mark.parametrize(("operation", "place"), PLACES, ids=str)
async def test_what_is_foreign_looks_like_what_is_nowhere(
    world: World, foreign: Things, operation: Operation, place: str
) -> None:
    """The same status, header names and body; and the same work behind it, statement by statement: no clock tells."""
    key = await world.data_key()
    untouched = await _of_the_other_tenant(world, foreign)
    nowhere = world.nothing()
    only = None if place == "path" else place
    for attempt in range(3):  # what is throttled on its way may differ once
        theirs = await world.send_warm(lambda: operation.ask(foreign, only), key)
        nobodys = await world.send_warm(lambda: operation.ask(nowhere, only), key)
        looks = theirs.looks(*foreign.values()), nobodys.looks(*nowhere.values())
        if looks[0] == looks[1]:
            break
        assert attempt < 2, f"{json.dumps(looks[0], indent=1)}\nis not\n{json.dumps(looks[1], indent=1)}"
    assert theirs.answer.status_code != 500
    assert await _of_the_other_tenant(world, foreign) == untouched


@pytest.mark.parametrize(
    ("name", "call", "table"),
    [("get_draft", "POST /internal/drafts/get", "metadata.drafts"), ("get_key", None, "identity.keys")],
)
async def test_the_work_behind_a_request_is_seen(
    world: World, foreign: Things, name: str, call: str | None, table: str
) -> None:
    """Otherwise the same work could be none at all."""
    (operation,) = (one for one in OPERATIONS if one.name == name)
    seen = await world.send_warm(lambda: operation.ask(foreign), await world.data_key())
    assert call is None or call in seen.steps
    assert any(step.startswith("SELECT") and table in step for step in seen.steps)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if "{" in one.path], ids=str)
async def test_what_is_foreign_is_not_there(world: World, foreign: Things, operation: Operation) -> None:
    seen = await world.send(operation.ask(foreign), await world.data_key())
    if operation in ONLY_ADMIN_KEYS:
        assert seen.answer.status_code == 403
    elif operation.name == "delete_object":  # a repeat of a delete cannot be told from one of nothing
        assert seen.answer.status_code == 204
    else:
        assert seen.answer.status_code == 404


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_the_right_key_is_let_through(world: World, operation: Operation) -> None:
    """Otherwise the refusals above would prove nothing: these requests are good ones."""
    things = await world.things()
    if operation.scope is not None:
        key = await world.data_key()
    else:
        key = (await world.key(kind="admin"))["key"]  # which may revoke itself
    seen = await world.send(operation.ask(things), key)
    assert seen.answer.is_success, f"{operation}: {seen.answer.status_code} {seen.answer.text}"


@pytest.mark.parametrize("kind", BAD_KEYS)
@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.anonymous], ids=str)
async def test_an_operation_without_a_key_looks_at_none(
    world: World, own: Things, bad_keys: BadKeys, operation: Operation, kind: str
) -> None:
    without = await world.send(operation.ask(own), None)
    seen = await world.send(operation.ask(own), bad_keys[kind][0])
    assert without.answer.is_success
    assert seen.answer.status_code == without.answer.status_code
    assert seen.answer.content == without.answer.content


@pytest.mark.parametrize("operation", [one for one in ADMIN if one.name in FOR_ANY_KEY], ids=str)
async def test_a_key_without_any_power_over_keys_may_still_look_after_itself(
    world: World, operation: Operation
) -> None:
    made = await world.key(scopes=["drafts:read"], name=random_base62(8))
    seen = await world.send(operation.ask(world.nothing()), made["key"])
    assert seen.answer.is_success


async def test_the_document_that_is_served_is_the_one_the_matrix_is_made_from(world: World) -> None:
    served = await world.send(Ask("GET", "/openapi.json"), None)
    assert served.answer.json() == public_document()


async def _of_the_other_tenant(world: World, foreign: Things) -> list[str]:
    rows: list[str] = []
    for table in ("metadata.drafts", "metadata.objects", "metadata.confirmations", "identity.keys"):
        sql = f"SELECT (to_jsonb(t) - 'last_used_at')::text FROM {table} t WHERE tenant_id = $1 ORDER BY 1"  # noqa: S608
        rows += [row[0] for row in await world.back_end.database.rows(sql, foreign["tenant_id"])]
    return rows
