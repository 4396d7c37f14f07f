"""What a key may bring about and reach: admin keys no data, data keys with `keys:admin` nothing beyond themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.api import Api, problem_of
from support.clients import Clients, comes_to, issue, rotate, rotated, unique, works

KEYS = "/api/v1/keys"
MISSING = "01a1f935-6ae0-76e9-8f73-000000000000"
ADMINISTRATOR = ["keys:admin", "drafts:read", "drafts:write"]


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def manager(admin: Api, clients: Clients, **wanted: Any) -> tuple[Api, dict[str, Any]]:
    """A data key that administers keys, and what it is."""
    made = await issue(admin, scopes=ADMINISTRATOR, **wanted)
    return await clients.of(made["key"]), made


def child(**wanted: Any) -> dict[str, Any]:
    return {"name": "child", "scopes": ["drafts:read"], "rate_limits": [], **wanted}


def looks(answer: Any) -> tuple[Any, ...]:
    """All of a refusal that may tell anything."""
    problem = answer.json()
    names = sorted(set(answer.headers) - {"date", "x-request-id", "ratelimit", "content-length"})
    return answer.status_code, names, {name: value for name, value in problem.items() if name != "request_id"}


async def test_a_manager_issues_keys_of_its_own_powers_in_its_own_tenant(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    managing, _ = await manager(admin, clients, tenant_id=tenant)
    made = await issue(managing, scopes=["drafts:read"])
    assert made["tenant_id"] == tenant
    assert await works(await clients.of(made["key"]))


EXCESSES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"scopes": ["drafts:read", "drafts:confirm"]}),
    ({}, {"scopes": ["audit:read"]}),
    ({"name_prefixes": ["web/"]}, {"name_prefixes": []}),
    ({"name_prefixes": ["web/"]}, {"name_prefixes": ["web"]}),
    ({"name_prefixes": ["web/"]}, {"name_prefixes": ["web/a/", "api/"]}),
    ({"cidrs": ["198.18.0.0/16"]}, {"cidrs": []}),
    ({"cidrs": ["198.18.0.0/16"]}, {"cidrs": ["198.0.0.0/8"]}),
    ({"cidrs": ["198.18.0.0/16"]}, {"cidrs": ["198.18.1.0/24", "2001:db8::/32"]}),
    ({"rate_limits": [{"amount": 100, "seconds": 60}]}, {"rate_limits": []}),
    ({"rate_limits": [{"amount": 100, "seconds": 60}]}, {"rate_limits": None}),
    ({"rate_limits": [{"amount": 100, "seconds": 60}]}, {"rate_limits": [{"amount": 101, "seconds": 60}]}),
    ({"rate_limits": [{"amount": 100, "seconds": 60}]}, {"rate_limits": [{"amount": 6000, "seconds": 3600}]}),
    ({"expires_at": "2031-01-01T00:00:00Z"}, {"expires_at": None}),
    ({"expires_at": "2031-01-01T00:00:00Z"}, {"expires_at": "2031-01-01T00:00:01Z"}),
]


def fitting(own: dict[str, Any]) -> dict[str, Any]:
    """A key that is no more than this one."""
    return child(**own)


@pytest.mark.parametrize(("own", "excess"), EXCESSES)
async def test_nobody_brings_about_more_than_they_are(
    admin: Api, clients: Clients, own: dict[str, Any], excess: dict[str, Any]
) -> None:
    managing, _ = await manager(admin, clients, **own)
    within = await managing.json("POST", KEYS, fitting(own), status=201)
    refusal = (403, "grant_exceeds_own")
    assert await managing.problem("POST", KEYS, fitting(own) | excess) == refusal, "issuing"
    imported = fitting(own) | excess | {"hash": "ab" * 32}
    assert await managing.problem("POST", f"{KEYS}/import", imported) == refusal, "importing"
    assert await managing.problem("PATCH", f"{KEYS}/{within['id']}", excess) == refusal, "changing"
    greater = await issue(admin, **{**fitting(own), **excess})
    assert problem_of(await rotate(managing, greater["id"])) == refusal, "rotating"
    assert (await admin.json("GET", f"{KEYS}/{greater['id']}"))["expires_at"] == greater["expires_at"]


async def test_a_longer_life_is_not_had_by_rotating(admin: Api, clients: Clients) -> None:
    managing, _ = await manager(admin, clients, expires_at=in_seconds(3600))
    made = await managing.json("POST", KEYS, child(expires_at=in_seconds(1800)), status=201)
    longer = await rotate(managing, made["id"], expires_at=in_seconds(7200))
    assert problem_of(longer) == (403, "grant_exceeds_own")


async def test_less_than_oneself_is_granted(admin: Api, clients: Clients) -> None:
    own = {
        "name_prefixes": ["web/"],
        "cidrs": ["198.18.0.0/16"],
        "rate_limits": [{"amount": 100, "seconds": 60}],
        "expires_at": in_seconds(3600),
    }
    managing, _ = await manager(admin, clients, **own)
    less = {
        "name_prefixes": ["web/a/"],
        "cidrs": ["198.18.7.0/24"],
        "rate_limits": [{"amount": 99, "seconds": 60}],
        "expires_at": in_seconds(1800),
    }
    await managing.json("POST", KEYS, child(**less), status=201)


async def test_a_manager_does_not_raise_itself(admin: Api, clients: Clients) -> None:
    managing, me = await manager(admin, clients, name_prefixes=["web/"])
    raises: list[dict[str, Any]] = [{"scopes": [*ADMINISTRATOR, "objects:delete"]}, {"name_prefixes": []}]
    for raise_ in raises:
        assert (await managing.problem("PATCH", f"{KEYS}/{me['id']}", raise_))[0] == 403
    told = await managing.json("GET", f"{KEYS}/self")
    assert (told["scopes"], told["name_prefixes"]) == (sorted(ADMINISTRATOR), ["web/"])


async def test_a_key_does_not_change_who_issued_it_even_through_others(admin: Api, clients: Clients) -> None:
    first, me = await manager(admin, clients)
    middle = await issue(first, scopes=ADMINISTRATOR)
    last = await issue(await clients.of(middle["key"]), scopes=ADMINISTRATOR)
    for issued in (middle, last):
        holder = await clients.of(issued["key"])
        change = await holder.problem("PATCH", f"{KEYS}/{me['id']}", {"enabled": False})
        assert change == (403, "issuer_protected")
    assert (await first.json("GET", f"{KEYS}/self"))["enabled"] is True


async def test_a_rotation_of_either_does_not_free_a_key_from_its_issuer(admin: Api, clients: Clients) -> None:
    issuer, me = await manager(admin, clients)
    issued = await issue(issuer, scopes=ADMINISTRATOR)
    heirs = [await rotated(admin, key["id"], grace=600) for key in (me, issued)]
    for secret, target in ((issued["key"], heirs[0]["id"]), (heirs[1]["key"], me["id"])):
        holder = await clients.of(secret)
        change = await holder.problem("PATCH", f"{KEYS}/{target}", {"enabled": False})
        assert change == (403, "issuer_protected")


async def test_a_manager_issues_no_admin_key(admin: Api, clients: Clients) -> None:
    managing, _ = await manager(admin, clients)
    assert (await managing.problem("POST", KEYS, {"name": "up", "kind": "admin"})) == (403, "wrong_key_kind")


async def test_what_is_elsewhere_looks_like_what_is_nowhere(admin: Api, clients: Clients) -> None:
    """Admin keys and keys of other tenants, for whoever administers keys of one tenant."""
    tenant = await clients.tenant(admin)
    theirs = await issue(admin, tenant_id=tenant)
    own_admin = await admin.json("GET", f"{KEYS}/self")
    managing, _ = await manager(admin, clients)
    for method, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"enabled": False}),
        ("DELETE", "", None),
        ("POST", "/rotate", {"grace": 0}),
    ):
        headers = {"Idempotency-Key": unique("foreign")}
        answers = [
            await managing.call(method, f"{KEYS}/{key_id}{suffix}", body, headers=headers)
            for key_id in (MISSING, theirs["id"], own_admin["id"])
        ]
        assert problem_of(answers[0]) == (404, "key_not_found")
        assert looks(answers[0]) == looks(answers[1]) == looks(answers[2]), method
    assert (await admin.json("GET", f"{KEYS}/{theirs['id']}"))["enabled"] is True
    assert await works(await clients.of(theirs["key"]))


async def test_a_foreign_tenant_looks_like_a_missing_one_to_a_manager(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    await issue(admin, tenant_id=tenant)
    managing, _ = await manager(admin, clients)
    issued = [await managing.call("POST", KEYS, child(tenant_id=which)) for which in (MISSING, tenant)]
    assert issued[0].status_code in {403, 404}
    assert looks(issued[0]) == looks(issued[1])
    listed = [await managing.call("GET", f"{KEYS}?tenant_id={which}") for which in (MISSING, tenant)]
    assert listed[0].status_code == listed[1].status_code
    assert not listed[1].json().get("items")


async def test_a_manager_lists_the_data_keys_of_its_tenant_only(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    managing, me = await manager(admin, clients, tenant_id=tenant)
    made = await issue(managing)
    elsewhere = await issue(admin)
    items = (await managing.json("GET", f"{KEYS}?limit=1000"))["items"]
    assert {key["id"] for key in items} == {me["id"], made["id"]}
    assert elsewhere["id"] not in {key["id"] for key in items}


async def test_a_key_without_the_power_administers_nothing(admin: Api, clients: Clients) -> None:
    made, other = await issue(admin), await issue(admin)
    owner = await clients.of(made["key"])
    for method, path, body in (
        ("GET", KEYS, None),
        ("POST", KEYS, child()),
        ("POST", f"{KEYS}/import", child(hash="cd" * 32)),
        ("GET", f"{KEYS}/{other['id']}", None),
        ("PATCH", f"{KEYS}/{other['id']}", {"enabled": False}),
        ("DELETE", f"{KEYS}/{other['id']}", None),
        ("GET", "/api/v1/audit", None),
    ):
        assert await owner.problem(method, path, body) == (403, "scope_missing"), f"{method} {path}"
    assert problem_of(await rotate(owner, made["id"])) == (403, "scope_missing")


async def test_tenants_are_the_business_of_admin_keys(admin: Api, clients: Clients) -> None:
    managing, me = await manager(admin, clients)
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"name": unique("mine")}),
        ("GET", f"/{me['tenant_id']}", None),
        ("PATCH", f"/{me['tenant_id']}", {"status": "suspended"}),
    ):
        assert await managing.problem(method, f"/api/v1/tenants{path}", body) == (403, "wrong_key_kind")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/drafts", {"object_name": "a"}),
        ("GET", "/api/v1/drafts", None),
        ("GET", f"/api/v1/drafts/{MISSING}", None),
        ("DELETE", f"/api/v1/drafts/{MISSING}", None),
        ("POST", f"/api/v1/drafts/{MISSING}/confirm", {}),
        ("POST", "/api/v1/upload-url", {"object_name": "a"}),
        ("POST", "/api/v1/download-url", {"object_name": "a"}),
        ("POST", "/api/v1/confirm-upload", {"object_name": "a"}),
        ("POST", "/api/v1/confirmations", {"draft_ids": [MISSING]}),
        ("GET", "/api/v1/objects", None),
        ("GET", "/api/v1/objects/a", None),
        ("DELETE", "/api/v1/objects/a", None),
        ("GET", "/api/v1/events", None),
    ],
)
async def test_an_admin_key_reaches_no_data(admin: Api, method: str, path: str, body: Any) -> None:
    assert await admin.problem(method, path, body) == (403, "wrong_key_kind")


async def test_writing_a_draft_and_confirming_it_are_different_powers(admin: Api, clients: Clients) -> None:
    writer = await clients.of((await issue(admin, scopes=["drafts:write"]))["key"])
    confirmer = await clients.of((await issue(admin, scopes=["drafts:confirm"]))["key"])
    draft = await writer.uploaded(unique("powers"), b"x")
    assert await writer.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {}) == (403, "scope_missing")
    assert await confirmer.problem("POST", "/api/v1/drafts", {"object_name": "a"}) == (403, "scope_missing")
    assert (await confirmer.confirm(draft["id"]))["draft_id"] == draft["id"]


async def test_a_key_touches_names_with_its_prefixes_only(admin: Api, clients: Clients) -> None:
    mine, other = unique("mine") + "/", unique("other") + "/"
    all_scopes = ["drafts:read", "drafts:write", "drafts:confirm", "objects:read", "objects:delete"]
    wide = await clients.of((await issue(admin, scopes=all_scopes))["key"])
    narrow = await clients.of((await issue(admin, scopes=all_scopes, name_prefixes=[mine]))["key"])
    own = await narrow.uploaded(f"{mine}a", b"x")
    assert (await narrow.confirm(own["id"]))["object_name"] == f"{mine}a"
    await wide.confirmed(f"{other}object", b"x")
    draft = await wide.uploaded(f"{other}draft", b"x")
    refusals = [
        await narrow.problem("POST", "/api/v1/drafts", {"object_name": f"{other}b"}),
        await narrow.problem("POST", "/api/v1/upload-url", {"object_name": f"{other}b"}),
        await narrow.problem("POST", "/api/v1/download-url", {"object_name": f"{other}object"}),
        await narrow.problem("POST", "/api/v1/confirm-upload", {"object_name": f"{other}draft"}),
        await narrow.problem("GET", f"/api/v1/objects/{other}object"),
        await narrow.problem("DELETE", f"/api/v1/objects/{other}object"),
        await narrow.problem("GET", f"/api/v1/drafts/{draft['id']}"),
        await narrow.problem("DELETE", f"/api/v1/drafts/{draft['id']}"),
        await narrow.problem("POST", f"/api/v1/drafts/{draft['id']}/download-url"),
        await narrow.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {}),
    ]
    assert {status for status, _ in refusals} <= {403, 404}, refusals
    for listing in ("drafts", "drafts?object_name=", "objects", "objects?prefix=", f"objects?prefix={other}", "events"):
        answer = await narrow.call("GET", f"/api/v1/{listing}")
        assert other not in answer.text, listing
    (seen,) = (await narrow.json("GET", f"/api/v1/objects?prefix={mine}"))["items"]
    assert seen["object_name"] == f"{mine}a"
    assert (await wide.confirm(draft["id"]))["object_name"] == f"{other}draft"


async def test_an_allow_list_holds_for_every_request(admin: Api, clients: Clients) -> None:
    made = await issue(admin, cidrs=[f"{clients.address}/32", "2001:db8:7::/48"])
    inside, outside = await clients.of(made["key"]), await clients.of(made["key"], address="203.0.113.9")
    six = await clients.of(made["key"], address="2001:db8:7:1::5")
    mapped = await clients.of(made["key"], address=f"::ffff:{clients.address}")
    for _ in range(2):
        assert await works(inside)
        assert await outside.problem("GET", "/api/v1/drafts") == (403, "ip_not_allowed")
        assert await works(six)
        assert await works(mapped), "an IPv4 address mapped into IPv6 counts as IPv4"


async def test_an_address_a_client_claims_is_not_believed(admin: Api, clients: Clients) -> None:
    """The list is walked from the right: what the client itself wrote stands left of what the proxy saw."""
    made = await issue(admin, cidrs=["192.0.2.1/32"])
    for claimed in ("192.0.2.1, 203.0.113.9", "192.0.2.1, 192.0.2.1, 203.0.113.9", "192.0.2.1,203.0.113.9"):
        liar = await clients.of(made["key"], address=claimed)
        assert await liar.problem("GET", "/api/v1/drafts") == (403, "ip_not_allowed"), claimed
    honest = await clients.of(made["key"], address="203.0.113.9, 192.0.2.1")
    assert await works(honest)


async def test_a_changed_allow_list_and_changed_scopes_hold(admin: Api, clients: Clients) -> None:
    made = await issue(admin)
    owner = await clients.of(made["key"])
    assert (await owner.call("GET", "/api/v1/drafts")).status_code == 200
    await admin.json("PATCH", f"{KEYS}/{made['id']}", {"scopes": ["drafts:write"]})
    await comes_to(owner, 403, "scope_missing", path="/api/v1/drafts")
    await admin.json("PATCH", f"{KEYS}/{made['id']}", {"cidrs": ["192.0.2.0/24"]})
    await comes_to(owner, 403, "ip_not_allowed")


async def test_a_key_in_its_grace_leaves_nothing_behind_that_outlives_it(admin: Api, clients: Clients) -> None:
    managing, me = await manager(admin, clients)
    await rotated(admin, me["id"], grace=600)
    assert (await managing.problem("POST", KEYS, child()))[0] == 403
    assert (await managing.problem("POST", KEYS, child(expires_at=in_seconds(1200))))[0] == 403
    ends_before = await managing.call("POST", KEYS, child(expires_at=in_seconds(300)))
    assert ends_before.status_code == 201, ends_before.text
    older = await issue(admin)
    assert problem_of(await rotate(managing, older["id"])) == (403, "grant_exceeds_own")
    assert (await rotate(managing, older["id"], expires_at=in_seconds(300))).status_code == 201
