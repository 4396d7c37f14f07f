"""What is promised of API keys: made once, shown once, changed by what is said and nothing else."""

import hashlib
import re
import string
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest

from support.api import Api, problem_of
from support.clients import BOUND, Clients, at_once, comes_to, issue, rotated, unique, works
from support.until import until

KEYS = "/api/v1/keys"
SELF = "/api/v1/keys/self"
MISSING = "01a1f935-6ae0-76e9-8f73-000000000000"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def crc(text: str) -> str:
    value, digits = crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = BASE62[digit] + digits
    return digits


def new_secret(label: str = "live") -> str:
    """A secret that was made elsewhere, checksum included."""
    body = f"ds_{label}_" + hashlib.sha256(unique("elsewhere").encode()).hexdigest()[:32]
    return body + crc(body)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


async def take_over(administrator: Api, secret: str, **wanted: Any) -> dict[str, Any]:
    body = {"name": "moved", "scopes": ["drafts:read"], "rate_limits": [], "hash": digest(secret), **wanted}
    made: dict[str, Any] = await administrator.json("POST", f"{KEYS}/import", body, status=201)
    return made


@pytest.mark.parametrize(
    ("wanted", "form"),
    [({}, "ds_live_"), ({"environment": "test"}, "ds_test_"), ({"kind": "admin", "scopes": []}, "ds_admin_")],
)
async def test_a_key_has_32_random_characters_and_a_checksum(admin: Api, wanted: dict[str, Any], form: str) -> None:
    made = await issue(admin, **wanted)
    secret = made["key"]
    assert re.fullmatch(form + "[0-9A-Za-z]{38}", secret)
    assert secret[-6:] == crc(secret[:-6])
    assert secret.startswith(made["prefix"])
    assert secret.endswith(made["last4"])
    assert len(made["last4"]) == 4


async def test_ids_are_uuid7_and_instants_are_rfc3339_in_utc(admin: Api) -> None:
    made = await issue(admin, expires_at="2031-01-01T00:00:00+02:00")
    assert UUID(made["id"]).version == 7
    assert INSTANT.fullmatch(made["created_at"])
    assert made["expires_at"].startswith("2030-12-31T22:00:00")


async def test_a_secret_is_shown_once(admin: Api, clients: Clients) -> None:
    made = await issue(admin)
    key_id, owner = made["id"], await clients.of(made["key"])
    later = [
        await admin.call("GET", f"{KEYS}/{key_id}"),
        await admin.call("GET", KEYS),
        await admin.call("PATCH", f"{KEYS}/{key_id}", {"name": "renamed"}),
        await owner.call("GET", SELF),
        await admin.call("GET", f"/api/v1/audit?target={key_id}"),
        await admin.call("DELETE", f"{KEYS}/{key_id}"),
    ]
    for answer in later:
        assert answer.status_code == 200, answer.text
        assert made["key"] not in answer.text
        assert digest(made["key"]) not in answer.text
        assert '"key":' not in answer.text, "no field of this name carries anything"


async def test_an_answer_with_a_secret_is_kept_by_no_cache(admin: Api) -> None:
    answer = await admin.call("POST", KEYS, {"name": "spec", "scopes": ["drafts:read"]})
    assert answer.headers["cache-control"] == "no-store"


async def test_a_key_says_of_itself_what_it_may(admin: Api, clients: Clients) -> None:
    wanted: dict[str, Any] = {
        "scopes": ["drafts:write", "objects:read"],
        "name_prefixes": ["web/"],
        "cidrs": [f"{clients.address}/32", "2001:db8::/32"],
        "rate_limits": [{"amount": 100, "seconds": 1}],
    }
    made = await issue(admin, **wanted)
    told = await (await clients.of(made["key"])).json("GET", SELF)
    assert {name: told[name] for name in wanted} == wanted | {"scopes": sorted(wanted["scopes"])}
    assert (told["id"], told["kind"], told["enabled"], told["lineage"]) == (made["id"], "data", True, made["id"])


async def test_a_data_key_without_scopes_is_refused(admin: Api) -> None:
    nothing: list[dict[str, Any]] = [{}, {"scopes": []}]
    for scopes in nothing:
        assert await admin.problem("POST", KEYS, {"name": "idle", **scopes}) == (422, "key_scopes_missing")


@pytest.mark.parametrize(
    "powers", [{"scopes": ["drafts:read"]}, {"name_prefixes": ["a/"]}, {"environment": "test"}, {"tenant_id": MISSING}]
)
async def test_an_admin_key_takes_no_powers_over_data(admin: Api, powers: dict[str, Any]) -> None:
    body = {"name": "both", "kind": "admin", **powers}
    assert await admin.problem("POST", KEYS, body) == (422, "admin_key_with_data_powers")


async def test_a_key_that_ends_in_the_past_is_refused(admin: Api) -> None:
    body = {"name": "late", "scopes": ["drafts:read"], "expires_at": in_seconds(-1)}
    assert await admin.problem("POST", KEYS, body) == (422, "key_expiry_past")


async def test_a_misspelt_option_never_passes_as_the_default(admin: Api) -> None:
    made = await issue(admin)
    body = {"name": "typo", "scopes": ["drafts:read"], "cidr": ["10.0.0.0/8"]}
    assert await admin.problem("POST", KEYS, body) == (422, "unknown_field")
    assert await admin.problem("PATCH", f"{KEYS}/{made['id']}", {"enable": False}) == (422, "unknown_field")


async def test_a_patch_leaves_alone_what_it_leaves_out(admin: Api) -> None:
    made = await issue(
        admin, expires_at=in_seconds(3600), cidrs=["10.0.0.0/8"], rate_limits=[{"amount": 7, "seconds": 9}]
    )
    del made["key"]
    before = made
    changes: list[dict[str, Any]] = [
        {"name": "other"},
        {"scopes": ["objects:read"]},
        {"rate_limits": None},
        {"rate_limits": []},
        {"cidrs": []},
        {"name_prefixes": ["a/"]},
        {"enabled": False},
        {"expires_at": None},
        {},
    ]
    for change in changes:
        after = await admin.json("PATCH", f"{KEYS}/{made['id']}", change)
        assert after == before | change
        before = await admin.json("GET", f"{KEYS}/{made['id']}")
        assert before == after


async def test_changes_at_the_same_time_lose_nothing_of_each_other(admin: Api) -> None:
    made = await issue(admin)
    changes: list[dict[str, Any]] = [
        {"name": "other"},
        {"scopes": ["objects:read"]},
        {"rate_limits": [{"amount": 3, "seconds": 4}]},
        {"cidrs": ["10.0.0.0/8"]},
        {"name_prefixes": ["a/"]},
        {"enabled": False},
        {"expires_at": "2031-01-01T00:00:00.000Z"},
    ]
    answers = await at_once(7, lambda number: admin.call("PATCH", f"{KEYS}/{made['id']}", changes[number]))
    assert {answer.status_code for answer in answers} == {200}
    found = await admin.json("GET", f"{KEYS}/{made['id']}")
    for change in changes:
        assert found == found | change


@pytest.mark.parametrize("field", ["name", "scopes", "cidrs", "name_prefixes", "enabled"])
async def test_null_is_no_value_where_nothing_would_mean_something_else(admin: Api, field: str) -> None:
    made = await issue(admin)
    assert (await admin.problem("PATCH", f"{KEYS}/{made['id']}", {field: None}))[0] == 422
    assert (await admin.json("GET", f"{KEYS}/{made['id']}"))[field] == made[field]


@pytest.mark.parametrize("field", ["id", "tenant_id", "kind", "lineage", "revoked_at", "hash", "key", "last_used_at"])
async def test_a_patch_reaches_only_what_may_change(admin: Api, field: str) -> None:
    made = await issue(admin)
    assert await admin.problem("PATCH", f"{KEYS}/{made['id']}", {field: None}) == (422, "unknown_field")


async def test_a_data_key_keeps_at_least_one_scope(admin: Api) -> None:
    made = await issue(admin)
    assert (await admin.problem("PATCH", f"{KEYS}/{made['id']}", {"scopes": []}))[0] == 422


async def test_a_missing_key_is_not_found(admin: Api) -> None:
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert await admin.problem(method, f"{KEYS}/{MISSING}", body) == (404, "key_not_found")


async def test_a_key_stops_when_it_expires(admin: Api, clients: Clients) -> None:
    made = await issue(admin, expires_at=in_seconds(1.5))
    owner = await clients.of(made["key"])
    assert await works(owner)
    await comes_to(owner, 401, "api_key_expired", seconds=1.5 + BOUND)


async def test_a_new_expiry_holds(admin: Api, clients: Clients) -> None:
    made = await issue(admin)
    owner = await clients.of(made["key"])
    assert await works(owner)
    await admin.json("PATCH", f"{KEYS}/{made['id']}", {"expires_at": in_seconds(0.5)})
    await comes_to(owner, 401, "api_key_expired", seconds=0.5 + BOUND)
    await admin.json("PATCH", f"{KEYS}/{made['id']}", {"expires_at": None})
    await until(lambda: works(owner), "the expiry is lifted", seconds=BOUND)


async def test_a_revoked_key_stays_revoked(admin: Api, clients: Clients) -> None:
    made = await issue(admin)
    owner = await clients.of(made["key"])
    first = await admin.json("DELETE", f"{KEYS}/{made['id']}")
    again = await admin.json("DELETE", f"{KEYS}/{made['id']}")
    assert first["revoked_at"] == again["revoked_at"] is not None
    await comes_to(owner, 401, "api_key_revoked")
    for change in ({"enabled": True}, {"expires_at": in_seconds(3600)}):
        await admin.call("PATCH", f"{KEYS}/{made['id']}", change)
    assert await owner.problem("GET", SELF) == (401, "api_key_revoked")


async def test_any_key_may_revoke_itself(admin: Api, clients: Clients) -> None:
    for wanted in ({"scopes": ["drafts:read"]}, {"kind": "admin", "scopes": []}):
        made = await issue(admin, **wanted)
        owner = await clients.of(made["key"])
        told = await owner.json("DELETE", SELF)
        assert (told["id"], "key" in told) == (made["id"], False)
        await comes_to(owner, 401, "api_key_revoked")


async def test_a_list_neither_skips_nor_doubles_what_was_there_throughout(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    there = {(await issue(admin, tenant_id=tenant))["id"] for _ in range(7)}
    seen: list[str] = []
    cursor = ""
    for _ in range(20):
        page = await admin.json("GET", f"{KEYS}?tenant_id={tenant}&limit=2{cursor}")
        assert len(page["items"]) <= 2
        seen += [key["id"] for key in page["items"]]
        if page["next_cursor"] is None:
            break
        await issue(admin, tenant_id=tenant)
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    assert there <= set(seen)


@pytest.mark.parametrize("query", ["cursor=x", "cursor=" + "A" * 600, "limit=0", "limit=-1", "limit=x", "tenant_id=x"])
async def test_a_malformed_question_for_a_list_is_refused(admin: Api, query: str) -> None:
    assert (await admin.problem("GET", f"{KEYS}?{query}"))[0] == 422


async def test_an_imported_key_opens_with_the_secret_from_elsewhere(admin: Api, clients: Clients) -> None:
    secret = new_secret()
    clients.stack.secrets.add(secret)
    made = await take_over(admin, secret, last4=secret[-4:], name_prefixes=["moved/"])
    assert "key" not in made
    assert digest(secret) not in str(made)
    told = await (await clients.of(secret)).json("GET", SELF)
    assert (told["id"], told["last4"], told["name_prefixes"]) == (made["id"], secret[-4:], ["moved/"])


async def test_a_known_hash_is_imported_once_whoevers_it_is(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    theirs, gone, admins = (
        await issue(admin, tenant_id=tenant),
        await issue(admin),
        await issue(admin, kind="admin", scopes=[]),
    )
    await admin.json("DELETE", f"{KEYS}/{gone['id']}")
    refusals = []
    for known in (theirs, gone, admins):
        body = {"name": "mine now", "scopes": ["drafts:read"], "hash": digest(known["key"])}
        refusal = (await admin.call("POST", f"{KEYS}/import", body)).json()
        assert (refusal["status"], refusal["code"]) == (409, "key_exists")
        assert known["id"] not in str(refusal)
        refusals.append({name: refusal[name] for name in ("type", "title", "detail")})
    assert refusals[0] == refusals[1] == refusals[2], "no hint whose it is"


async def test_of_imports_that_race_one_succeeds(admin: Api) -> None:
    body = {"name": "race", "scopes": ["drafts:read"], "hash": digest(new_secret())}
    answers = await at_once(10, lambda _: admin.call("POST", f"{KEYS}/import", body))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


async def test_only_data_keys_are_imported(admin: Api, clients: Clients) -> None:
    body = {"name": "up", "scopes": ["drafts:read"], "hash": digest(new_secret("admin"))}
    assert (await admin.problem("POST", f"{KEYS}/import", body | {"kind": "admin"}))[0] == 422
    secret = new_secret("admin")
    clients.stack.secrets.add(secret)
    await take_over(admin, secret)
    for path in (KEYS, "/api/v1/tenants", "/api/v1/audit"):
        assert (await (await clients.of(secret)).problem("GET", path))[0] in {401, 403}


@pytest.mark.parametrize("wrong", ["", "x" * 64, "0" * 63, "0" * 65])
async def test_a_hash_that_is_none_is_refused(admin: Api, wrong: str) -> None:
    body = {"name": "none", "scopes": ["drafts:read"], "hash": wrong}
    assert (await admin.problem("POST", f"{KEYS}/import", body))[0] == 422


async def test_a_repeat_makes_no_second_key_and_tells_no_secret(admin: Api) -> None:
    body = {"name": unique("repeat"), "scopes": ["drafts:read"]}
    headers = {"Idempotency-Key": unique("create")}
    first = await admin.call("POST", KEYS, body, headers=headers)
    again = await admin.call("POST", KEYS, body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.json() == {name: value for name, value in first.json().items() if name != "key"}
    reused = await admin.call("POST", KEYS, body | {"scopes": ["drafts:write"]}, headers=headers)
    assert problem_of(reused) == (422, "idempotency_key_reused")


async def test_repeats_at_once_make_one_key_and_tell_its_secret_once(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    body = {"name": "once", "scopes": ["drafts:read"], "tenant_id": tenant}
    headers = {"Idempotency-Key": unique("create")}
    answers = await at_once(10, lambda _: admin.call("POST", KEYS, body, headers=headers))
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert sum("ds_live_" in answer.text and '"key":"' in answer.text for answer in answers) == 1
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert len((await admin.json("GET", f"{KEYS}?tenant_id={tenant}"))["items"]) == 1


async def test_an_idempotency_key_is_its_callers_own(admin: Api, clients: Clients) -> None:
    body, headers = {"name": "own", "scopes": ["drafts:read"]}, {"Idempotency-Key": unique("create")}
    other = await clients.admin()
    made = [await who.call("POST", KEYS, body, headers=headers) for who in (admin, other)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]


async def test_a_successor_repeats_what_its_predecessor_asked(admin: Api, clients: Clients) -> None:
    """An Idempotency-Key belongs to the lineage: a rotation in the middle of a retry makes no second key."""
    old = await issue(admin, kind="admin", scopes=[])
    body, headers = {"name": "kept", "scopes": ["drafts:read"]}, {"Idempotency-Key": unique("create")}
    first = await (await clients.of(old["key"])).call("POST", KEYS, body, headers=headers)
    new = await rotated(admin, old["id"])
    again = await (await clients.of(new["key"])).call("POST", KEYS, body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
