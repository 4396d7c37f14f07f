"""Something is away: 503 with Retry-After, nothing lost, and all is well when it is back."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest

from draftstore_standalone.servers import ServerHome
from support.api import Api, problem_of
from support.leaks import leaked
from support.rows import state_of
from support.stack import ProcessesStack, make_stack, running, temporary_data_dir
from support.until import until

LEASE = "5"


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[ProcessesStack]:
    """A stack for these tests alone, with short leases."""
    with temporary_data_dir() as data_dir:
        described = make_stack("processes", "s3", data_dir, CONFIRM_LEASE=LEASE)
        assert isinstance(described, ProcessesStack)
        async with running(described) as started:
            yield started
        assert leaked(described) == []


@pytest.fixture(scope="module")
async def api(stack: ProcessesStack) -> AsyncIterator[Api]:
    async with stack.api((await stack.issue_key())["key"]) as client:
        yield client


def is_away(answer: httpx.Response) -> bool:
    """Whether this is the answer to an outage: 503, and when to come again."""
    status, code = problem_of(answer)
    return status == 503 and bool(code) and int(answer.headers["retry-after"]) >= 1


async def eventually(api: Api, draft_id: str) -> httpx.Response:
    """A confirm, repeated as its answers ask for, until it says yes or no."""
    path = f"/api/v1/drafts/{draft_id}/confirm"
    async with asyncio.timeout(60):
        while True:
            answer = await api.call("POST", path, {})
            if answer.status_code not in {202, 503}:
                return answer
            await asyncio.sleep(min(float(answer.headers["retry-after"]), 1))


async def works(stack: ProcessesStack, api: Api, name: str) -> None:
    """Whether a file goes the whole way, as soon as everything has noticed that all is back."""

    async def is_back() -> bool:
        return (await api.call("POST", "/api/v1/drafts", {"object_name": name})).status_code != 503

    await until(is_back, "drafts are taken again")
    draft = await api.draft(name)
    assert (await api.put(draft["upload"], b"bytes")).status_code == 200
    confirmed = await eventually(api, draft["id"])
    assert confirmed.status_code == 200, confirmed.text
    assert await stack.store.read("main", name) == b"bytes"


@pytest.mark.parametrize("service", ["storage", "metadata", "drafts", "identity"])
async def test_a_service_that_is_away_loses_nothing(stack: ProcessesStack, api: Api, service: str) -> None:
    content = secrets.token_bytes(1024 * 1024)
    kept = await api.confirmed(f"away/{service}-kept.bin", content)
    waiting = await api.uploaded(f"away/{service}-waiting.bin", content)
    confirm = f"/api/v1/drafts/{waiting['id']}/confirm"
    await stack.services[service].child.stop()
    try:
        # A verdict on the key is good for 5 s: only then is identity missed.
        answer = await api.call("POST", confirm, {}) if service != "identity" else await until_missed(api)
        assert is_away(answer), answer.text
    finally:
        await stack.services[service].start()
    again = await eventually(api, waiting["id"])
    assert again.status_code == 200, again.text
    assert await stack.store.read("main", f"away/{service}-waiting.bin") == content
    assert await api.confirm(kept["draft_id"]) == kept
    await works(stack, api, f"away/{service}-after.bin")


async def test_a_second_gateway_goes_on_when_the_first_is_killed(stack: ProcessesStack, api: Api) -> None:
    draft = await api.uploaded("away/gateways.bin", b"bytes")
    async with stack.another_gateway() as url:
        await stack.services["gateway"].child.kill()
        path = f"{url}/api/v1/drafts/{draft['id']}/confirm"
        assert (await api.json("POST", path, {}))["size"] == 5
    await stack.services["gateway"].start()
    await works(stack, api, "away/gateways-after.bin")


async def test_postgresql_killed_and_restarted(stack: ProcessesStack, api: Api) -> None:
    content = secrets.token_bytes(1024 * 1024)
    kept = await api.confirmed("away/postgres-kept.bin", content)
    waiting = await api.uploaded("away/postgres-waiting.bin", content)
    await stack.postgres.kill()
    try:
        for method, path, body in (
            ("POST", f"/api/v1/drafts/{waiting['id']}/confirm", {}),
            ("POST", "/api/v1/upload-url", {"object_name": "away/none.bin"}),
            ("GET", "/api/v1/drafts", None),
        ):
            answer = await api.call(method, path, body)
            assert is_away(answer), answer.text
        health = await api.call("GET", "/health/live")
        assert health.status_code == 200
    finally:
        await stack.postgres.start()
    await works(stack, api, "away/postgres-after.bin")
    again = await eventually(api, waiting["id"])
    assert again.status_code == 200, again.text
    assert await api.confirm(kept["draft_id"]) == kept
    assert await stack.store.read("main", "away/postgres-kept.bin") == content


async def test_the_store_killed_and_restarted(stack: ProcessesStack, api: Api) -> None:
    content = secrets.token_bytes(1024 * 1024)
    kept = await api.confirmed("away/store-kept.bin", content)
    waiting = await api.uploaded("away/store-waiting.bin", content)
    await stack.object_store.kill()
    try:
        answer = await api.call("POST", f"/api/v1/drafts/{waiting['id']}/confirm", {})
        assert is_away(answer), answer.text
        assert await state_of(stack, waiting["id"]) in {"uploaded", "open"}  # confirmable at once, no lease to wait for
    finally:
        await stack.object_store.start()
    again = await eventually(api, waiting["id"])
    assert again.status_code == 200, again.text
    await works(stack, api, "away/store-after.bin")
    assert await api.confirm(kept["draft_id"]) == kept
    assert await stack.store.read("main", "away/store-kept.bin") == content
    assert await stack.store.read("main", "away/store-waiting.bin") == content


async def test_postgresql_killed_in_the_middle_of_confirms(stack: ProcessesStack, api: Api) -> None:
    contents = {f"middle-db/{number}.bin": secrets.token_bytes(256 * 1024) for number in range(20)}
    drafts = {name: await api.uploaded(name, content) for name, content in contents.items()}
    under_way = [asyncio.create_task(attempt(api, draft["id"])) for draft in drafts.values()]
    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    await stack.postgres.kill()
    await stack.postgres.start()
    first_answers = await asyncio.gather(*under_way)
    assert {answer.status_code for answer in first_answers if answer} <= {200, 202, 503}
    await works(stack, api, "middle-db/after.bin")
    await all_confirmed_exactly_once(stack, api, drafts, contents)


@pytest.mark.parametrize("service", ["drafts", "storage", "metadata", "gateway"])
async def test_a_service_killed_in_the_middle_of_confirms(stack: ProcessesStack, api: Api, service: str) -> None:
    contents = {f"middle-{service}/{number}.bin": secrets.token_bytes(256 * 1024) for number in range(30)}
    drafts = {name: await api.uploaded(name, content) for name, content in contents.items()}
    under_way = [asyncio.create_task(attempt(api, draft["id"])) for draft in drafts.values()]
    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    await stack.services[service].child.kill()
    first_answers = await asyncio.gather(*under_way)
    await stack.services[service].start()
    assert any(answer is None or answer.status_code != 200 for answer in first_answers), "it was killed too late"
    assert {answer.status_code for answer in first_answers if answer} <= {200, 202, 503}
    await all_confirmed_exactly_once(stack, api, drafts, contents)


async def test_wrong_credentials_for_the_store_are_our_fault_and_said_so(stack: ProcessesStack, api: Api) -> None:
    waiting = await api.uploaded("away/credentials.bin", b"bytes")
    identity = ServerHome.locate(stack.data_dir).server_folder("seaweedfs") / "s3.json"
    good = identity.read_bytes()
    await stack.object_store.kill()
    identity.write_bytes(good.replace(stack.store_credentials.secret_key.encode(), b"another-secret"))
    await stack.object_store.start()
    logged_before = errors_logged(stack)
    answer = await api.call("POST", f"/api/v1/drafts/{waiting['id']}/confirm", {})
    await stack.object_store.kill()
    identity.write_bytes(good)
    await stack.object_store.start()
    assert problem_of(answer) == (500, "storage_misconfigured")
    assert errors_logged(stack) > logged_before
    again = await eventually(api, waiting["id"])
    assert again.status_code == 200, again.text


async def test_a_missing_bucket_is_named_and_made_again_at_the_next_start(stack: ProcessesStack, api: Api) -> None:
    receipt = await api.confirmed("away/bucket.bin", b"bytes")
    draft = await api.draft("away/no-bucket.bin")
    await stack.store.delete_bucket(stack.draft_bucket)
    logged_before = errors_logged(stack)
    answer = await api.call("POST", f"/api/v1/drafts/{draft['id']}/confirm", {})
    assert problem_of(answer) == (404, "bucket_not_found")
    assert errors_logged(stack) > logged_before
    await stack.services["storage"].restart()
    await works(stack, api, "away/bucket-after.bin")
    assert await api.confirm(receipt["draft_id"]) == receipt


def errors_logged(stack: ProcessesStack) -> int:
    """How many ERROR lines all services together have logged."""
    logs = (service.child.stderr.read_text() for service in stack.services.values())
    return sum(log.count('"level":"ERROR"') for log in logs)


async def attempt(api: Api, draft_id: str) -> httpx.Response | None:
    """One confirm; None when nobody answered."""
    try:
        return await api.call("POST", f"/api/v1/drafts/{draft_id}/confirm", {})
    except httpx.TransportError:
        return None


async def until_missed(api: Api) -> httpx.Response:
    """The first answer that is not good, once the verdict on the key is forgotten."""

    async def missed() -> bool:
        return (await api.call("GET", "/api/v1/drafts")).status_code != 200

    await until(missed, "identity is missed")
    return await api.call("GET", "/api/v1/drafts")


async def all_confirmed_exactly_once(
    stack: ProcessesStack, api: Api, drafts: dict[str, dict[str, str]], contents: dict[str, bytes]
) -> None:
    """After retries every draft is confirmed, with one event, one object and its own bytes."""
    answers = await asyncio.gather(*(eventually(api, draft["id"]) for draft in drafts.values()))
    for (name, draft), answer in zip(drafts.items(), answers, strict=True):
        assert answer.status_code == 200, answer.text
        receipt = answer.json()
        assert await api.confirm(draft["id"]) == receipt
        assert receipt["final_location"] == f"main/{name}"
        assert await stack.store.keys("main", name) == [name]
        assert await stack.store.read("main", name) == contents[name]
        shown = await api.json("GET", f"/api/v1/objects/{name}")
        assert (shown["generation"], shown["draft_id"]) == (1, draft["id"])
        statement = "SELECT count(*) FROM metadata.events WHERE draft_id = $1 AND to_state = 'confirmed'"
        assert (await stack.sql(statement, draft["id"]))[0]["count"] == 1
