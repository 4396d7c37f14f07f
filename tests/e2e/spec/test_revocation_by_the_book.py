"""A key that was stopped, by whatever way, is refused at every gateway within the bound, and stays refused."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.api import Api, problem_of
from support.clients import BOUND, Clients, at_once, comes_to, issue, new_address, rotated, works
from support.until import until

KEYS = "/api/v1/keys"
SELF = f"{KEYS}/self"
LEAKED = f"{KEYS}/revoke-leaked"

Way = Callable[[Api, Clients, dict[str, Any]], Awaitable[Any]]


async def by_revoking(admin: Api, _: Clients, key: dict[str, Any]) -> None:
    await admin.json("DELETE", f"{KEYS}/{key['id']}")


async def by_switching_off(admin: Api, _: Clients, key: dict[str, Any]) -> None:
    await admin.json("PATCH", f"{KEYS}/{key['id']}", {"enabled": False})


async def by_its_own_hand(_: Api, clients: Clients, key: dict[str, Any]) -> None:
    await (await clients.of(key["key"])).json("DELETE", SELF)


async def by_a_leak_report(_: Api, clients: Clients, key: dict[str, Any]) -> None:
    await (await clients.of(None)).call("POST", LEAKED, {"keys": [key["key"]]})


async def by_suspending_its_tenant(admin: Api, _: Clients, key: dict[str, Any]) -> None:
    await admin.json("PATCH", f"/api/v1/tenants/{key['tenant_id']}", {"status": "suspended"})


async def by_rotating_without_grace(admin: Api, _: Clients, key: dict[str, Any]) -> None:
    await rotated(admin, key["id"], grace=0)


WAYS: list[tuple[Way, tuple[int, str]]] = [
    (by_revoking, (401, "api_key_revoked")),
    (by_switching_off, (401, "api_key_disabled")),
    (by_its_own_hand, (401, "api_key_revoked")),
    (by_a_leak_report, (401, "api_key_revoked")),
    (by_suspending_its_tenant, (403, "tenant_suspended")),
    (by_rotating_without_grace, (401, "api_key_expired")),
]


@pytest.mark.parametrize(("way", "refusal"), WAYS, ids=lambda value: getattr(value, "__name__", None))
async def test_a_stopped_key_is_refused_at_every_gateway_and_never_let_in_again(
    admin: Api, clients: Clients, second_gateway: str, way: Way, refusal: tuple[int, str]
) -> None:
    tenant = await clients.tenant(admin)
    key = await issue(admin, tenant_id=tenant)
    callers = [await clients.of(key["key"], url=url, address=new_address()) for url in (None, second_gateway)]
    for caller in callers:
        assert await works(caller)
    streams = [asyncio.create_task(_until_refused(caller)) for caller in callers for _ in range(3)]
    await way(admin, clients, key)
    async with asyncio.timeout(BOUND):
        answers = await asyncio.gather(*streams)
    for seen in answers:
        first = next(place for place, answer in enumerate(seen) if answer[0] != 200)
        assert set(seen[first:]) == {refusal}, "once refused, always refused"


async def _until_refused(caller: Api) -> list[tuple[int, str]]:
    """What a caller is answered who never pauses, until some requests after the first refusal."""
    seen = [await _answer(caller)]
    while seen[-1][0] == 200:
        seen.append(await _answer(caller))
    return seen + [await _answer(caller) for _ in range(6)]


async def _answer(caller: Api) -> tuple[int, str]:
    answer = await caller.call("GET", SELF)
    return (200, "") if answer.status_code == 200 else problem_of(answer)


async def test_a_key_that_is_switched_on_again_works_at_every_gateway(
    admin: Api, clients: Clients, second_gateway: str
) -> None:
    key = await issue(admin)
    callers = [await clients.of(key["key"], url=url) for url in (None, second_gateway)]
    await admin.json("PATCH", f"{KEYS}/{key['id']}", {"enabled": False})
    for caller in callers:
        await comes_to(caller, 401, "api_key_disabled")
    await admin.json("PATCH", f"{KEYS}/{key['id']}", {"enabled": True})
    for caller in callers:
        await until(lambda caller=caller: works(caller), "it works again", seconds=BOUND)  # type: ignore[misc]


async def test_verifying_at_the_moment_of_the_revocation_does_not_revive_a_key(admin: Api, clients: Clients) -> None:
    """Keys nobody used yet: what is learned of them races with their end."""
    keys = [await issue(admin) for _ in range(10)]
    callers = [await clients.of(key["key"], address=new_address()) for key in keys]

    async def race(number: int) -> Any:
        await asyncio.gather(
            *(callers[number].call("GET", SELF) for _ in range(4)),
            admin.call("DELETE", f"{KEYS}/{keys[number]['id']}"),
            *(callers[number].call("GET", SELF) for _ in range(4)),
        )
        return await callers[number].call("GET", SELF)

    await at_once(len(keys), race)
    for caller in callers:
        await comes_to(caller, 401, "api_key_revoked")
        assert await caller.problem("GET", SELF) == (401, "api_key_revoked")


async def test_a_leak_report_is_answered_the_same_whatever_was_reported(admin: Api, nobody: Api) -> None:
    good, gone = await issue(admin), await issue(admin)
    await admin.json("DELETE", f"{KEYS}/{gone['id']}")
    reports = [
        [good["key"]],
        [gone["key"]],
        ["ds_live_" + "a" * 38],
        ["something else"],
        [good["key"][:-1] + "!"],
        ["", good["key"]],
    ]
    answers = [await nobody.call("POST", LEAKED, {"keys": keys}) for keys in reports]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"")}
    varying = {"date", "x-request-id", "ratelimit"}
    shapes = [{name: value for name, value in answer.headers.items() if name not in varying} for answer in answers]
    assert all(shape == shapes[0] for shape in shapes)


async def test_one_report_stops_all_keys_it_names_admin_keys_too(admin: Api, clients: Clients, nobody: Api) -> None:
    keys = [await issue(admin), await issue(admin), await issue(admin, kind="admin", scopes=[])]
    answer = await nobody.call("POST", LEAKED, {"keys": ["unknown", *(key["key"] for key in keys)]})
    assert answer.status_code == 202
    for key in keys:
        await comes_to(await clients.of(key["key"]), 401, "api_key_revoked")


async def test_a_leak_report_leaves_the_successor_alone(admin: Api, clients: Clients, nobody: Api) -> None:
    old = await issue(admin)
    new = await rotated(admin, old["id"], grace=600)
    await nobody.call("POST", LEAKED, {"keys": [old["key"]]})
    await comes_to(await clients.of(old["key"]), 401, "api_key_revoked")
    assert await works(await clients.of(new["key"]))


@pytest.mark.parametrize("keys", [[], ["x"] * 101, ["x" * 257], None, "x", [1]])
async def test_a_report_out_of_shape_is_refused_and_says_no_secret_back(admin: Api, nobody: Api, keys: Any) -> None:
    assert (await nobody.problem("POST", LEAKED, {"keys": keys}))[0] == 422
    made = await issue(admin)
    answer = await nobody.call("POST", LEAKED, {"keys": made["key"], made["key"]: 1})
    assert problem_of(answer)[0] == 422
    assert made["key"] not in answer.text
    assert await works(admin)


async def test_what_the_reporters_own_key_is_does_not_matter(admin: Api, clients: Clients) -> None:
    """Possession of the secret is enough; the key in Authorization, if any, opens and closes nothing here."""
    made = await issue(admin)
    reporter = await clients.of(made["key"])
    answer = await reporter.call("POST", LEAKED, {"keys": [made["key"]]})
    assert answer.status_code == 202
    await comes_to(reporter, 401, "api_key_revoked")


async def test_leak_reports_are_charged_to_the_address(clients: Clients, second_gateway: str) -> None:
    reporter = await clients.of(None, address=new_address(), url=second_gateway)
    answers = await at_once(130, lambda _: reporter.call("POST", LEAKED, {"keys": ["x"]}))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(202) == 100
    assert statuses.count(429) == 30
