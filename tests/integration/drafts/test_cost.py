"""What a draft costs in calls: SQL statements, transactions, requests to the store. Counted where they leave us.

The figures are those of docs/costs.md. Who makes one smaller writes the smaller one here and there.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from draftstore_common.clients.transport import AsgiTransport, Call, Reply
from support.back_end import BackEnd, running_back_end
from support.counting import Requests, Statements, counted_statements
from support.proxy import Proxy
from support.servers import Postgres, Store


@dataclass(frozen=True)
class Bill:
    """A back end whose suite is counted."""

    back_end: BackEnd
    statements: Statements
    requests: Requests

    async def of(self, method: str, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
        """The answer to one request, which alone is on the bill then."""
        self.statements.clear()
        self.requests.clear()
        return await self.back_end.get(method, path, body, status)

    @property
    def total(self) -> tuple[int, int, dict[str, int]]:
        """Round trips to PostgreSQL, its transactions, and requests to the store by method."""
        return self.statements.round_trips, self.statements.transactions, self.requests.made


@dataclass(frozen=True)
class _Front:
    """A store as it is reached through a proxy."""

    endpoint: str
    access_key: str
    secret_key: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bill(postgres: Postgres, store: Store) -> AsyncIterator[Bill]:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(store.endpoint))
        statements = stack.enter_context(counted_statements())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("TEND_INTERVAL", "3600")  # what time does to other drafts is on no bill
        front = _Front(proxy.url, store.access_key, store.secret_key)
        back_end = await stack.enter_async_context(running_back_end(postgres, front))
        await back_end.upload(b"warm", object_name="cost/warm")  # types are looked up once in a connection
        yield Bill(back_end, statements, Requests(proxy))


async def test_create_costs_one_transaction(bill: Bill) -> None:
    await bill.of("POST", "/api/v1/drafts", {"object_name": "cost/create"}, 201)
    assert bill.total == (1, 1, {})


async def test_create_by_name_costs_one_transaction(bill: Bill) -> None:
    await bill.of("POST", "/api/v1/upload-url", {"object_name": "cost/by-name"})
    assert bill.total == (1, 1, {})


@pytest.mark.parametrize("count", [1, 1000])
async def test_a_batch_costs_one_transaction_however_many_drafts_it_has(bill: Bill, count: int) -> None:
    drafts = [{"object_name": f"cost/batch/{number}"} for number in range(count)]
    await bill.of("POST", "/api/v1/drafts/batch", {"drafts": drafts}, 201)
    assert bill.total == (1, 1, {})


async def test_creates_at_once_cost_a_transaction_for_many_of_them(bill: Bill) -> None:
    bill.statements.clear()
    create = (bill.back_end.get("POST", "/api/v1/drafts", {"object_name": f"cost/{n}"}, 201) for n in range(64))
    await asyncio.gather(*create)
    assert bill.statements.transactions <= 32


async def test_a_download_url_by_name_costs_one_read_and_no_request_to_the_store(bill: Bill) -> None:
    await uploaded(bill, "cost/read")
    await bill.of("POST", "/api/v1/download-url", {"object_name": "cost/read"})
    assert bill.total == (2, 2, {"HEAD": 1})  # the first look at new bytes notes them
    for _ in range(2):
        await bill.of("POST", "/api/v1/download-url", {"object_name": "cost/read"})
        assert bill.total == (1, 1, {})
    await bill.of("POST", "/api/v1/confirm-upload", {"object_name": "cost/read"})
    await bill.of("POST", "/api/v1/download-url", {"object_name": "cost/read"})
    assert bill.total == (1, 1, {})


async def test_download_urls_at_once_share_their_reads(bill: Bill) -> None:
    await uploaded(bill, "cost/reads")
    await bill.of("POST", "/api/v1/download-url", {"object_name": "cost/reads"})  # the first look notes the bytes
    bill.statements.clear()
    ask = (bill.back_end.get("POST", "/api/v1/download-url", {"object_name": "cost/reads"}) for _ in range(64))
    await asyncio.gather(*ask)
    assert bill.statements.transactions <= 32


async def test_a_confirm_costs_three_transactions_and_three_requests_to_the_store(bill: Bill) -> None:
    draft = await uploaded(bill, "cost/confirm")
    await bill.of("POST", f"/api/v1/drafts/{draft['id']}/confirm")
    assert bill.total == (8, 3, {"HEAD": 1, "PUT": 1, "DELETE": 1})
    await bill.of("POST", f"/api/v1/drafts/{draft['id']}/confirm")
    assert bill.total == (2, 2, {})  # a repeat reads its receipt


async def test_confirms_at_once_share_their_transactions(bill: Bill) -> None:
    drafts = [await uploaded(bill, f"cost/together/{number}") for number in range(16)]
    bill.statements.clear()
    await asyncio.gather(*(bill.back_end.get("POST", f"/api/v1/drafts/{draft['id']}/confirm") for draft in drafts))
    assert bill.statements.transactions <= 3 * 16 * 3 // 4


async def test_a_replacement_costs_the_rows_it_replaces_and_not_a_request_more(bill: Bill) -> None:
    for _ in range(2):
        draft = await uploaded(bill, "cost/replaced")
        await bill.of("POST", f"/api/v1/drafts/{draft['id']}/confirm", {"on_conflict": "replace"})
    assert bill.total == (14, 4, {"HEAD": 1, "PUT": 1, "DELETE": 1})


async def test_a_discard_costs_one_transaction_and_one_request_to_the_store(bill: Bill) -> None:
    draft = await uploaded(bill, "cost/discard")
    await bill.of("DELETE", f"/api/v1/drafts/{draft['id']}", status=204)
    assert bill.total == (1, 1, {"DELETE": 1})


async def test_cleaning_costs_the_same_for_one_draft_and_for_many(bill: Bill) -> None:
    costs = []
    for count in (1, 30):
        for number in range(count):
            await uploaded(bill, f"cost/clean/{count}/{number}")
        await bill.back_end.database.rows(
            """UPDATE metadata.drafts SET expires_at = now(), purge_due_at = now(), warn_at = NULL
            WHERE object_name LIKE $1""",
            f"cost/clean/{count}/%",
        )
        bill.statements.clear()
        bill.requests.clear()
        report = await bill.back_end.cleaner.run()
        assert report.objects >= count
        costs.append((bill.statements.transactions, bill.requests.made.get("POST")))
    assert costs[0] == costs[1]


async def test_a_create_with_an_idempotency_key_costs_one_transaction_and_its_repeat_three(bill: Bill) -> None:
    for path, body in (
        ("/api/v1/drafts", {"object_name": "cost/once"}),
        ("/api/v1/drafts/batch", {"drafts": [{"object_name": f"cost/once/{n}"} for n in range(100)]}),
    ):
        await _once(bill, path, body)
        assert bill.total == (1, 1, {})
        await _once(bill, path, body)
        assert bill.total == (3, 3, {})


async def test_the_first_look_at_new_bytes_costs_two_transactions_and_a_head_by_id_as_well(bill: Bill) -> None:
    draft = await uploaded(bill, "cost/look")
    await bill.of("GET", f"/api/v1/drafts/{draft['id']}")
    assert bill.total == (2, 2, {"HEAD": 1})
    await bill.of("POST", f"/api/v1/drafts/{draft['id']}/download-url")
    assert bill.total == (1, 1, {})


@pytest.mark.parametrize("count", [1, 40])
async def test_drafts_expire_in_one_transaction_however_many_are_due(bill: Bill, count: int) -> None:
    drafts = [{"object_name": f"cost/expire/{count}/{number}"} for number in range(count)]
    await bill.of("POST", "/api/v1/drafts/batch", {"drafts": drafts}, 201)
    await _overdue(bill, f"cost/expire/{count}/%")
    bill.statements.clear()
    bill.requests.clear()
    assert (await bill.back_end.cleaner.recover()).expired == count
    assert bill.total == (2 * 5, 2 * 1, {})  # a second pass finds nothing more


async def test_cleaning_a_batch_costs_two_transactions_and_one_request_to_the_store_each_time(bill: Bill) -> None:
    for number in range(3):
        await uploaded(bill, f"cost/batch-of-three/{number}")
    await bill.back_end.cleaner.run()
    idle = await _run(bill)
    await _overdue(bill, "cost/batch-of-three/%")
    await bill.back_end.cleaner.recover()  # what expiring costs is another item
    first = await _run(bill)
    await bill.back_end.database.rows(
        "UPDATE metadata.drafts SET write_horizon_at = now(), purge_due_at = now() WHERE object_name LIKE $1",
        "cost/batch-of-three/%",
    )
    second = await _run(bill)
    for run in (first, second):
        assert (run[0] - idle[0], run[1] - idle[1], run[2].get("POST")) == (9, 2, 1)


async def test_a_create_takes_two_calls_between_services_and_a_confirm_six(
    bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    send = AsgiTransport.send

    async def counted(transport: AsgiTransport, call: Call) -> Reply:
        made.append(call.path)
        return await send(transport, call)

    draft = await uploaded(bill, "cost/calls")
    monkeypatch.setattr(AsgiTransport, "send", counted)
    await bill.of("POST", "/api/v1/drafts", {"object_name": "cost/calls/2"}, 201)
    assert len([path for path in made if path.startswith("/internal/")]) == 2
    made.clear()
    await bill.of("POST", f"/api/v1/drafts/{draft['id']}/confirm")
    assert len([path for path in made if path.startswith("/internal/")]) == 6


async def _once(bill: Bill, path: str, body: dict[str, Any]) -> None:
    """A request with an idempotency key, alone on the bill."""
    bill.statements.clear()
    bill.requests.clear()
    headers = {
        "authorization": f"Bearer {bill.back_end.key}",
        "content-type": "application/json",
        "host": "suite",
        "idempotency-key": "cost-once",
    }
    reply = await bill.back_end.gateway.send(Call("POST", path, json.dumps(body).encode(), headers))
    assert reply.status == 201, reply.body


async def _run(bill: Bill) -> tuple[int, int, dict[str, int]]:
    """The bill of a cleaning."""
    bill.statements.clear()
    bill.requests.clear()
    await bill.back_end.cleaner.run()
    return bill.total


async def _overdue(bill: Bill, names: str) -> None:
    await bill.back_end.database.rows(
        "UPDATE metadata.drafts SET expires_at = now(), purge_due_at = now(), warn_at = NULL WHERE object_name LIKE $1",
        names,
    )


async def uploaded(bill: Bill, name: str) -> dict[str, Any]:
    return await bill.back_end.upload(b"bytes", object_name=name)
