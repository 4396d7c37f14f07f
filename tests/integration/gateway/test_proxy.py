"""What passes the gateway passes unchanged; what is ours to say is said by us."""

import hashlib

import pytest

from draftstore_common.contracts.identity import Scope
from support.gateway import SPOOFED
from support.running_gateway import Running, running_gateway

OBJECTS = "/api/v1/objects/"


@pytest.mark.parametrize(
    "path",
    [
        "a/b/c.txt",
        "50%25",
        "50%2525",
        "na%20me%20%C3%A4%F0%9F%93%81.txt",
        "a+b&c=d;e,f@g:h!i$j'k(l)m*n~o",
        "%41%62c",
        "..a/b..",
        "ends/",
    ],
)
async def test_a_path_reaches_the_service_byte_for_byte(gateway: Running, path: str) -> None:
    answer = await gateway.client.get(OBJECTS + path, headers=gateway.headers(Scope.OBJECTS_READ))
    assert answer.status_code == 200
    assert gateway.service.seen[-1].raw_path == (OBJECTS + path).encode()


async def test_a_query_reaches_the_service_byte_for_byte(gateway: Running) -> None:
    query = "cursor=a%2Fb%20c+d&&limit=5&x"
    await gateway.client.get(f"/api/v1/drafts?{query}", headers=gateway.headers(Scope.DRAFTS_READ))
    assert gateway.service.seen[-1].query == query.encode()


async def test_a_body_reaches_the_service_whole(gateway: Running) -> None:
    body = bytes(range(256)) * 4000
    headers = gateway.headers(Scope.DRAFTS_WRITE)
    answer = await gateway.client.post("/api/v1/drafts", content=body, headers=headers)
    assert answer.json()["bytes"] == len(body)
    assert gateway.service.seen[-1].body_sha256 == hashlib.sha256(body).hexdigest()
    assert gateway.service.seen[-1].header("content-length") == str(len(body))


async def test_the_service_hears_who_calls_from_the_gateway_alone(gateway: Running) -> None:
    forged = {
        "x-request-id": "forged-request-id",
        "x-request-timeout": "9999",
        "x-forwarded-for": "6.6.6.6",
        "x-forwarded-host": "evil",
        "forwarded": "for=6.6.6.6",
        "x-tenant-id": "another",
        "cookie": "a=b",
    }
    answer = await gateway.client.get("/api/v1/drafts", headers=forged | gateway.headers(Scope.DRAFTS_READ))
    seen = gateway.service.seen[-1]
    assert seen.header("x-request-id") == answer.headers["x-request-id"] != forged["x-request-id"]
    assert 0 < float(seen.header("x-request-timeout") or "") <= 30
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert not {"x-forwarded-host", "forwarded", "x-tenant-id", "cookie"} & {name for name, _ in seen.headers}


async def test_the_service_gets_a_token_and_never_the_key(gateway: Running) -> None:
    headers = gateway.headers(Scope.DRAFTS_READ)
    await gateway.client.get("/api/v1/drafts", headers=headers)
    authorization = gateway.service.seen[-1].header("authorization") or ""
    assert authorization.startswith("Bearer ey")
    assert headers["authorization"] not in str(gateway.service.seen[-1].headers)


async def test_headers_a_connection_lists_for_itself_end_at_the_gateway(gateway: Running) -> None:
    headers = gateway.headers(Scope.DRAFTS_READ) | {"connection": "Idempotency-Key, close", "idempotency-key": "k"}
    await gateway.client.get("/api/v1/drafts", headers=headers)
    names = {name for name, _ in gateway.service.seen[-1].headers}
    assert "idempotency-key" not in names
    assert "connection" not in names


async def test_conditions_and_idempotency_keys_reach_the_service(gateway: Running) -> None:
    passed = {"if-match": '"e"', "range": "bytes=0-1", "idempotency-key": "k", "accept": "text/plain"}
    await gateway.client.get("/api/v1/drafts", headers=passed | gateway.headers(Scope.DRAFTS_READ))
    assert {name: gateway.service.seen[-1].header(name) for name in passed} == passed


async def test_an_answer_carries_only_what_a_service_may_say(gateway: Running) -> None:
    answer = await gateway.client.get(f"{OBJECTS}spoof", headers=gateway.headers(Scope.OBJECTS_READ))
    assert answer.headers["x-public"] == "kept"
    assert answer.headers["etag"] == '"kept"'
    assert answer.headers["x-request-id"] != SPOOFED["x-request-id"]
    assert answer.headers["ratelimit"] != SPOOFED["ratelimit"]
    assert answer.headers["date"] != SPOOFED["date"]
    assert not {"server", "x-private", "keep-alive"} & set(answer.headers)


async def test_head_answers_with_the_length_and_no_body(gateway: Running) -> None:
    answer = await gateway.client.head(f"{OBJECTS}a.txt", headers=gateway.headers(Scope.OBJECTS_READ))
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""


async def test_a_crash_in_process_is_a_500_that_tells_nothing() -> None:
    async with running_gateway(in_process=True) as gateway:
        answer = await gateway.client.get(f"{OBJECTS}crash", headers=gateway.headers(Scope.OBJECTS_READ))
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "as asked" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_service_in_process_starts_with_a_context_of_its_own() -> None:
    async with running_gateway(in_process=True) as gateway:
        await gateway.client.get("/api/v1/drafts", headers=gateway.headers(Scope.DRAFTS_READ))
    assert gateway.service.seen[-1].context_id == "-"


TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


async def test_a_trace_goes_on_through_the_gateway_with_the_gateway_as_the_parent(gateway: Running) -> None:
    traced = {"traceparent": PARENT, "tracestate": "rojo=1"}
    await gateway.client.get("/api/v1/drafts", headers=traced | gateway.headers(Scope.DRAFTS_READ))
    seen = gateway.service.seen[-1]
    version, trace_id, span_id, flags = (seen.header("traceparent") or "").split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "01")
    assert span_id != PARENT[36:52]
    assert seen.header("tracestate") == "rojo=1"


async def test_a_trace_that_is_none_is_replaced(gateway: Running) -> None:
    traced = {"traceparent": PARENT.replace("00-", "ff-", 1), "tracestate": "rojo=1"}
    await gateway.client.get("/api/v1/drafts", headers=traced | gateway.headers(Scope.DRAFTS_READ))
    seen = gateway.service.seen[-1]
    assert TRACE_ID not in (seen.header("traceparent") or "")
    assert seen.header("tracestate") is None
