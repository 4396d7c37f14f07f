"""What is promised of limits: exact counts, honest headers, and each request charged to whom it belongs."""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.api import Api, problem_of
from support.clients import Clients, at_once, issue, new_address, works
from support.raw_http import RawAnswer, connected, read_answer, request
from support.until import until

DRAFTS = "/api/v1/drafts"
SELF = "/api/v1/keys/self"
MISSING = "01a1f935-6ae0-76e9-8f73-000000000000"
UNKNOWN_KEY = "ds_live_" + "0" * 32
PER_ADDRESS = 60
"""What these tests set; a hundred unless set."""

ITEM = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]+)"((?:;[a-z]+=(?:-?\d+|:[A-Za-z0-9+/=]*:|"[^"]*"|[a-z]+))*)')


def structured(header: str) -> dict[str, dict[str, int]]:
    """A list of strings with integer parameters (RFC 9651), as both headers of the draft are."""
    members: dict[str, dict[str, int]] = {}
    for member in re.split(r",[ \t]*", header):
        found = ITEM.fullmatch(member)
        assert found is not None, header
        pairs = (pair.split("=") for pair in found[2].split(";") if pair)
        members[found[1]] = {name: int(value) for name, value in pairs if re.fullmatch(r"-?\d+", value)}
    return members


def windows(policy: str) -> set[tuple[int, int]]:
    return {(parameters["q"], parameters["w"]) for parameters in structured(policy).values()}


async def limited(clients: Clients, admin: Api, *limits: tuple[int, int]) -> Api:
    """Whoever uses a key with these windows."""
    wanted = [{"amount": amount, "seconds": seconds} for amount, seconds in limits]
    return await clients.of((await issue(admin, rate_limits=wanted))["key"])


async def test_every_window_is_told_and_what_is_left_of_it(admin: Api, clients: Clients) -> None:
    owner = await limited(clients, admin, (5, 600), (50, 3600))
    for used in range(1, 6):
        answer = await owner.call("GET", DRAFTS)
        assert answer.status_code == 200
        policy, state = answer.headers["ratelimit-policy"], structured(answer.headers["ratelimit"])
        assert windows(policy) >= {(5, 600), (50, 3600)}
        quotas = structured(policy)
        assert state.keys() <= quotas.keys()
        left = {quotas[name]["q"]: state[name]["r"] for name in state}
        assert left[5] == 5 - used
        assert left.get(50, 50 - used) == 50 - used
        assert all(0 <= state[name]["t"] <= quotas[name]["w"] for name in state if "t" in state[name])


async def test_a_refusal_says_when_to_come_back_and_that_nothing_is_left(admin: Api, clients: Clients) -> None:
    owner = await limited(clients, admin, (2, 600))
    for _ in range(2):
        assert await works(owner)
    answer = await owner.call("GET", DRAFTS)
    assert problem_of(answer) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 600
    assert min(left["r"] for left in structured(answer.headers["ratelimit"]).values()) == 0
    assert (2, 600) in windows(answer.headers["ratelimit-policy"])


async def test_whoever_waits_as_told_is_served(admin: Api, clients: Clients) -> None:
    owner = await limited(clients, admin, (2, 2))
    answers = await at_once(5, lambda _: owner.call("GET", DRAFTS))
    waits = [int(answer.headers["retry-after"]) for answer in answers if answer.status_code == 429]
    assert waits
    await asyncio.sleep(max(waits))  # what the answer says is what is tested
    assert (await owner.call("GET", DRAFTS)).status_code == 200


async def test_a_window_fills_again_by_itself(admin: Api, clients: Clients) -> None:
    owner = await limited(clients, admin, (1, 1))
    assert await works(owner)
    await until(lambda: works(owner), "the window is over", seconds=5)


async def test_the_stricter_of_several_windows_counts(admin: Api, clients: Clients) -> None:
    owner = await limited(clients, admin, (1000, 1), (7, 600))
    answers = await at_once(20, lambda _: owner.call("GET", DRAFTS))
    assert [answer.status_code for answer in answers].count(200) == 7


async def test_a_limit_is_exact_for_requests_at_once(admin: Api, clients: Clients) -> None:
    owner = await limited(clients, admin, (40, 600))
    statuses = [answer.status_code for answer in await at_once(80, lambda _: owner.call("GET", DRAFTS))]
    assert (statuses.count(200), statuses.count(429)) == (40, 40)


async def test_a_key_issued_without_limits_has_none(admin: Api, clients: Clients) -> None:
    owner = await clients.of((await issue(admin, rate_limits=[]))["key"])
    statuses = {answer.status_code for answer in await at_once(90, lambda _: owner.call("GET", SELF))}
    assert statuses == {200}
    assert "key" not in (await owner.call("GET", SELF)).headers.get("ratelimit-policy", "")


async def test_a_key_that_says_nothing_of_limits_has_the_gateways(admin: Api, clients: Clients) -> None:
    owner = await clients.of((await issue(admin, rate_limits=None))["key"])
    assert (600, 60) in windows((await owner.call("GET", DRAFTS)).headers["ratelimit-policy"])


@pytest.mark.parametrize(
    "limits",
    [
        [{"amount": 0, "seconds": 1}],
        [{"amount": 1, "seconds": 0}],
        [{"amount": 1}],
        [{"amount": 1, "seconds": 1}] * 9,
        "1/s",
        [{"amount": 1, "seconds": 86_401}],
    ],
)
async def test_a_limit_out_of_range_is_refused(admin: Api, limits: Any) -> None:
    body = {"name": "odd", "scopes": ["drafts:read"], "rate_limits": limits}
    assert (await admin.problem("POST", "/api/v1/keys", body))[0] == 422


@pytest.mark.parametrize(
    ("secret", "path", "status"),
    [(None, DRAFTS, 401), ("nonsense", DRAFTS, 401), (UNKNOWN_KEY, DRAFTS, 401), (None, "/api/v1/nothing", 404)],
)
async def test_refused_callers_and_unknown_routes_are_charged_to_the_address(
    clients: Clients, secret: str | None, path: str, status: int
) -> None:
    stranger = await clients.of(secret, address=new_address())
    answers = await at_once(PER_ADDRESS + 20, lambda _: stranger.call("GET", path))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(status), statuses.count(429)) == (PER_ADDRESS, 20)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert problem_of(refused) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_revoked_key_is_charged_to_the_address(admin: Api, clients: Clients) -> None:
    made = await issue(admin)
    await admin.json("DELETE", f"/api/v1/keys/{made['id']}")
    owner = await clients.of(made["key"], address=new_address())
    await until(lambda: _refused(owner), "it is revoked")
    answers = await at_once(PER_ADDRESS + 20, lambda _: owner.call("GET", DRAFTS))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) < PER_ADDRESS


async def _refused(owner: Api) -> bool:
    return not await works(owner)


async def test_a_good_key_is_served_where_others_used_up_the_address(admin: Api, clients: Clients) -> None:
    """Everybody behind one NAT shares an address; who has a key is counted by it."""
    address = new_address()
    owner = await clients.of((await issue(admin))["key"], address=address)
    assert (await owner.call("GET", DRAFTS)).status_code == 200
    stranger = await clients.of(None, address=address)
    await at_once(PER_ADDRESS + 1, lambda _: stranger.call("GET", DRAFTS))
    assert await stranger.problem("GET", DRAFTS) == (429, "rate_limited")
    statuses = [answer.status_code for answer in await at_once(20, lambda _: owner.call("GET", DRAFTS))]
    assert statuses == [200] * 20


async def test_what_is_not_found_is_charged_to_the_key_and_not_to_the_address(admin: Api, clients: Clients) -> None:
    address = new_address()
    owner = await clients.of((await issue(admin))["key"], address=address)
    for _ in range(2):
        answers = await at_once(PER_ADDRESS // 2 + 5, lambda _: owner.call("GET", f"{DRAFTS}/{MISSING}"))
        assert {answer.status_code for answer in answers} == {404}
    stranger = await clients.of(None, address=address)
    assert (await stranger.problem("GET", DRAFTS))[0] == 401
    narrow = await limited(clients, admin, (3, 600))
    statuses = [(await narrow.call("GET", f"{DRAFTS}/{MISSING}")).status_code for _ in range(5)]
    assert statuses == [404] * 3 + [429] * 2


async def test_addresses_of_one_ipv6_network_are_one_caller(clients: Clients) -> None:
    network = new_address().split(".")
    prefix = f"2001:db8:{int(network[2]):x}:{int(network[3]):x}"
    one = await clients.of(None, address=f"{prefix}::1")
    other = await clients.of(None, address=f"{prefix}:ffff:1:2:3")
    neighbour = await clients.of(None, address=f"2001:db8:{int(network[2]):x}:{int(network[3]) + 1000:x}::1")
    await at_once(PER_ADDRESS, lambda _: one.call("GET", DRAFTS))
    assert await other.problem("GET", DRAFTS) == (429, "rate_limited")
    assert await neighbour.problem("GET", DRAFTS) == (401, "api_key_missing")


async def test_claiming_other_addresses_helps_nobody(clients: Clients) -> None:
    real = new_address()
    liars = [await clients.of(None, address=f"{new_address()}, {real}") for _ in range(10)]
    answers = await at_once(PER_ADDRESS + 10, lambda number: liars[number % 10].call("GET", DRAFTS))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (PER_ADDRESS, 10)


async def test_a_key_has_a_hundred_requests_under_way_and_no_more(admin: Api, clients: Clients) -> None:
    made, other = await issue(admin), await issue(admin)
    owner, bystander = await clients.of(made["key"]), await clients.of(other["key"])
    body = json.dumps({"object_name": "slow/but/good"}).encode()
    head = request("POST", DRAFTS, _headers(made["key"], clients.address) | {"Content-Length": str(len(body))})
    async with AsyncExitStack() as stack:
        port = urlsplit(clients.stack.gateway_url).port or 0
        opened = [await stack.enter_async_context(connected(port)) for _ in range(110)]
        for _, writer in opened:
            writer.write(head + body[:1])
        answers = [asyncio.create_task(read_answer(reader)) for reader, _ in opened]
        await until(lambda: _answered(answers, 10), "ten are too many")
        assert await owner.problem("GET", DRAFTS) == (429, "too_many_concurrent")
        assert (await bystander.call("GET", DRAFTS)).status_code == 200
        for _, writer in opened:
            writer.write(body[1:])
        statuses = [answer.status for answer in await asyncio.wait_for(asyncio.gather(*answers), 30)]
    assert (statuses.count(201), statuses.count(429)) == (100, 10)
    assert await works(owner)


async def _answered(answers: list[asyncio.Task[RawAnswer]], number: int) -> bool:
    return sum(answer.done() for answer in answers) >= number


def _headers(secret: str, address: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {secret}",
        "X-Forwarded-For": address,
        "Content-Type": "application/json",
    }
