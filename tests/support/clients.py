"""Clients of a gateway from addresses of their own, so that what one of them does is not charged to another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import httpx

from support.api import Api, problem_of
from support.plain_http import NO_TLS
from support.stack import Stack
from support.until import until

BOUND = 5
"""Seconds within which every gateway knows of a change, whatever happens to the feed."""

_NUMBERS = count(1)


class Clients:
    """Makes clients. `address` is where they are unless said otherwise: nobody else's.

    The gateway must trust the loopback interface as its proxy.
    """

    def __init__(self, stack: Stack, opened: AsyncExitStack) -> None:
        self.stack = stack
        self.address = new_address()
        self._opened = opened

    async def of(self, secret: str | None, *, address: str | None = None, url: str | None = None) -> Api:
        """A client that sends this key, from an address, through the first gateway or another."""
        http = httpx.AsyncClient(
            verify=NO_TLS,
            base_url=url or self.stack.gateway_url,
            headers={"X-Forwarded-For": address or self.address},
            limits=httpx.Limits(max_connections=None),
            timeout=60,
            trust_env=False,
        )
        return Api(await self._opened.enter_async_context(http), secret, self.stack.secrets)

    async def admin(self) -> Api:
        """A new admin key: its limits, and how much of it is on record, are its own."""
        first = await self.of(self.stack.admin_key)
        made = await first.json("POST", "/api/v1/keys", {"name": "tests", "kind": "admin"}, status=201)
        return await self.of(made["key"])

    async def tenant(self, admin: Api, **wanted: Any) -> str:
        """The id of a new tenant."""
        made = await admin.json("POST", "/api/v1/tenants", {"name": unique("t"), **wanted}, status=201)
        return str(made["id"])


@asynccontextmanager
async def clients_of(stack: Stack) -> AsyncIterator[Clients]:
    """Clients until the block ends."""
    async with AsyncExitStack() as opened:
        yield Clients(stack, opened)


def new_address() -> str:
    """An address of the network for benchmarks (RFC 2544) that nobody got before."""
    number = next(_NUMBERS)
    return f"198.18.{number // 250}.{number % 250 + 1}"


def unique(word: str) -> str:
    """A name nobody has."""
    return f"{word}-{next(_NUMBERS)}"


async def issue(administrator: Api, **wanted: Any) -> dict[str, Any]:
    """A new key; without rate limits, and one that may read and write drafts, unless said otherwise."""
    body = {"name": "spec", "scopes": ["drafts:read", "drafts:write"], "rate_limits": [], **wanted}
    made: dict[str, Any] = await administrator.json("POST", "/api/v1/keys", body, status=201)
    return made


async def rotate(administrator: Api, key_id: str, repeat: str | None = None, **wanted: Any) -> httpx.Response:
    """Ask for a successor, with an Idempotency-Key nobody used unless one is given."""
    headers = {"Idempotency-Key": repeat or unique("rotation")}
    return await administrator.call("POST", f"/api/v1/keys/{key_id}/rotate", wanted, headers=headers)


async def rotated(administrator: Api, key_id: str, **wanted: Any) -> dict[str, Any]:
    """The successor of a key."""
    answer = await rotate(administrator, key_id, **wanted)
    assert answer.status_code == 201, answer.text
    successor: dict[str, Any] = answer.json()
    return successor


async def works(api: Api) -> bool:
    """Whether this key opens anything. Costs it one request."""
    return (await api.call("GET", "/api/v1/keys/self")).status_code == 200


async def comes_to(
    api: Api, status: int, code: str, *, seconds: float = BOUND, path: str = "/api/v1/keys/self"
) -> None:
    """Return when what this key asks for is refused like this; fail when it is not within the bound."""

    async def refused() -> bool:
        answer = await api.call("GET", path)
        return answer.status_code == status and problem_of(answer) == (status, code)

    await until(refused, f"{status} {code} for {path}", seconds=seconds)


async def at_once(times: int, call: Any) -> list[httpx.Response]:
    """The answers to so many calls made together; `call` gets its number."""
    return list(await asyncio.gather(*(call(number) for number in range(times))))
