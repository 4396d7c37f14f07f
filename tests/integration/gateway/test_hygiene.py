"""Requests that two parsers could read differently go no further than the gateway."""

import asyncio
import contextlib

import pytest

from draftstore_common.contracts.identity import Scope
from draftstore_gateway.routes import JSON_LIMIT
from support.raw_http import RawAnswer, connected, exchange, read_answer, request
from support.running_gateway import Running

PATHS = {
    "/api/v1/objects/a%2Fb": "path_encoded_slash",
    "/api/v1/objects/a%2fb": "path_encoded_slash",
    "/api/v1/objects/../keys": "path_dot_segment",
    "/api/v1/objects/a/./b": "path_dot_segment",
    "/api/v1/objects/%2e%2e/keys": "path_dot_segment",
    "/api/v1/objects/.%2E/keys": "path_dot_segment",
    "/api/v1/objects/a/..": "path_dot_segment",
    "/api/v1//objects/a": "path_double_slash",
    "//api/v1/objects/a": "path_double_slash",
    "/api/v1/objects//a": "path_double_slash",
    "/api/v1/objects/a%00b": "path_nul",
    "/api/v1/objects/a%5Cb": "path_backslash",
    "/api/v1/objects/a\\b": "path_backslash",
    "/api/v1/objects/a%zz": "path_invalid_encoding",
    "/api/v1/objects/a%": "path_invalid_encoding",
    "/api/v1/objects/a%ff": "path_invalid_encoding",
    "/api/v1/objects/a%ed%a0%80": "path_invalid_encoding",
    "/api/v1/drafts?cursor=%00": "query_nul",
}


@pytest.mark.parametrize("target", PATHS)
async def test_a_path_that_could_name_two_things_is_refused(gateway: Running, target: str) -> None:
    answer = await exchange(gateway.port, request("GET", target, gateway.headers(*Scope)))
    assert (answer.status, answer.json()["code"]) == (400, PATHS[target])
    assert gateway.service.seen == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 404),
        ("/api/v1/objects/", 404),
        ("/api/v1/drafts/", 404),
        ("/API/v1/drafts", 404),
        ("/api/v1/%64rafts", 404),
        ("/internal/verify", 404),
        ("/api/v1/objects/" + "a" * 5000, 414),
        ("/api/v1/drafts?cursor=" + "a" * 9000, 414),
    ],
)
async def test_a_path_that_is_not_in_the_table_does_not_exist(gateway: Running, target: str, status: int) -> None:
    answer = await exchange(gateway.port, request("GET", target, gateway.headers(*Scope)))
    assert answer.status == status
    assert gateway.service.seen == []


async def test_a_wrong_method_is_told_the_right_ones(gateway: Running) -> None:
    answer = await gateway.client.patch("/api/v1/objects/a", headers=gateway.headers(*Scope))
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD"


HEADERS = {
    "X_Request_Id: a": "header_name_invalid",
    "Content_Length: 5": "header_name_invalid",
    "X.Forwarded.For: 1.2.3.4": "header_name_invalid",
    "Idempotency-Key: a\r\nIdempotency-Key: b": "header_repeated",
    "Host: another": "header_repeated",
    "Authorization: Bearer another": "header_repeated",
    "Accept: a\x01b": "malformed_request",
    "Transfer-Encoding: gzip, chunked": "transfer_encoding_unsupported",
}


@pytest.mark.parametrize("line", HEADERS)
async def test_a_header_that_could_be_read_twice_is_refused(gateway: Running, line: str) -> None:
    key = gateway.headers(*Scope)["authorization"]
    raw = f"GET /api/v1/drafts HTTP/1.1\r\nHost: gateway\r\nAuthorization: {key}\r\n{line}\r\n\r\n"
    answer = await exchange(gateway.port, raw.encode("latin-1"))
    assert (answer.status, answer.json()["code"]) == (400, HEADERS[line])
    assert gateway.service.seen == []


async def test_a_header_value_in_utf_8_reaches_the_service_unchanged(gateway: Running) -> None:
    key = gateway.headers(*Scope)
    value = "schlüssel-鍵".encode()
    await exchange(gateway.port, request("GET", "/api/v1/drafts", key | {"Idempotency-Key": value.decode("latin-1")}))
    assert (gateway.service.seen[-1].header("idempotency-key") or "").encode("latin-1") == value


async def test_a_header_value_in_another_encoding_is_refused(gateway: Running) -> None:
    answer = await exchange(gateway.port, request("GET", "/api/v1/drafts", {"Idempotency-Key": "schl\xfcssel"}))
    assert (answer.status, answer.json()["code"]) == (400, "header_value_invalid")
    assert gateway.service.seen == []


FRAMINGS = {
    "both lengths": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6",
    "the same length twice": "Content-Length: 5\r\nContent-Length: 5",
    "a list of lengths": "Content-Length: 5, 5",
    "a signed length": "Content-Length: +5",
    "a negative length": "Content-Length: -5",
    "a hexadecimal length": "Content-Length: 0x5",
    "a length without a number": "Content-Length: five",
    "an endless length": "Content-Length: 99999999999999999999",
    "an unknown coding": "Transfer-Encoding: xchunked",
    "chunked not last": "Transfer-Encoding: chunked, identity",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "a space before the colon": "Content-Length : 5",
    "a folded line": "X-Folded: a\r\n b: c",
    "a bare line feed": "X-A: b\nContent-Length: 5",
}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_an_ambiguous_framing_is_refused_and_the_connection_closed(gateway: Running, framing: str) -> None:
    key = gateway.headers(*Scope)["authorization"]
    head = f"POST /api/v1/drafts HTTP/1.1\r\nHost: gateway\r\nAuthorization: {key}\r\n{FRAMINGS[framing]}\r\n\r\n"
    smuggled = b"GET /api/v1/keys HTTP/1.1\r\nHost: gateway\r\n\r\n"
    async with connected(gateway.port) as (reader, writer):
        writer.write(head.encode("latin-1") + b"12345" + smuggled)
        answer = await asyncio.wait_for(read_answer(reader), 10)
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["connection"] == "close"
        assert await asyncio.wait_for(reader.read(), 10) == b""
    assert gateway.service.seen == []


NOT_HTTP = {
    "noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an unknown method": b"HELLO / HTTP/1.1\r\n\r\n",
    "an unknown version": b"GET / HTTP/9.9\r\nHost: gateway\r\n\r\n",
    "a space in the path": b"GET /a b HTTP/1.1\r\nHost: gateway\r\n\r\n",
    "a path that is no ASCII": "GET /ä HTTP/1.1\r\nHost: gateway\r\n\r\n".encode(),
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: gate\x00way\r\n\r\n",
}


@pytest.mark.parametrize("noise", NOT_HTTP)
async def test_what_is_not_http_is_refused_with_a_problem(gateway: Running, noise: str) -> None:
    answer = await exchange(gateway.port, NOT_HTTP[noise])
    assert (answer.status, answer.json()["code"]) == (400, "malformed_request")


async def test_a_head_without_an_end_is_cut_off(gateway: Running) -> None:
    async with connected(gateway.port) as (reader, writer):
        writer.write(b"GET /api/v1/drafts HTTP/1.1\r\nX-Endless: ")
        for _ in range(64):
            await _give(writer, b"a" * 4096)
        answer = await asyncio.wait_for(read_answer(reader), 10)
    assert answer.status == 400


async def _give(writer: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        await writer.drain()


@pytest.mark.parametrize("sent", [b"", b"GET /api/v1/drafts HTTP/1.1\r\nX-Slow:"], ids=["nothing", "half a head"])
async def test_a_client_that_never_ends_its_head_is_let_go(
    gateway: Running, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draftstore_common.kit.protocol.HEAD_TIMEOUT", 0.1)
    async with connected(gateway.port) as (reader, writer):
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_an_empty_line_after_an_answer_keeps_no_connection_open(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draftstore_common.kit.protocol.HEAD_TIMEOUT", 0.1)
    async with connected(gateway.port) as (reader, writer):
        writer.write(request("GET", "/health/live"))
        assert (await asyncio.wait_for(read_answer(reader), 10)).status == 200
        writer.write(b"\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_an_empty_line_before_the_next_request_is_skipped(gateway: Running) -> None:
    async with connected(gateway.port) as (reader, writer):
        for _ in range(3):
            writer.write(b"\r\n" + request("GET", "/health/live"))
            assert (await asyncio.wait_for(read_answer(reader), 10)).status == 200
            writer.write(b"\r\n")


async def test_a_large_body_is_not_taken_for_a_head(gateway: Running) -> None:
    key = gateway.headers(*Scope)
    async with connected(gateway.port) as (reader, writer):
        body = b"x" * 500_000
        writer.write(request("POST", "/api/v1/drafts", key | {"Content-Length": str(len(body))}, body) + b"GET /api")
        writer.write(b"/v1/drafts HTTP/1.1\r\nHost: gateway\r\n\r\n")
        statuses = [(await asyncio.wait_for(read_answer(reader), 10)).status for _ in range(2)]
    assert statuses == [200, 401]


async def test_a_request_without_a_host_is_refused(gateway: Running) -> None:
    answer = await exchange(gateway.port, b"GET /api/v1/drafts HTTP/1.1\r\n\r\n")
    assert (answer.status, answer.json()["code"]) == (400, "host_missing")


async def test_too_many_headers_are_refused(gateway: Running) -> None:
    headers = {f"X-{number}": "a" for number in range(200)}
    answer = await exchange(gateway.port, request("GET", "/api/v1/drafts", headers))
    assert (answer.status, answer.json()["code"]) == (431, "headers_too_large")


async def _oversized(gateway: Running, headers: dict[str, str], body: bytes) -> RawAnswer:
    return await exchange(gateway.port, request("POST", "/api/v1/drafts", gateway.headers(*Scope) | headers, body))


async def test_a_body_announced_too_long_is_refused_before_it_comes(gateway: Running) -> None:
    answer = await _oversized(gateway, {"Content-Length": str(JSON_LIMIT + 1)}, b"")
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert gateway.service.seen == []


async def test_a_body_that_grows_too_long_is_refused_under_way(gateway: Running) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = await _oversized(gateway, {"Transfer-Encoding": "chunked"}, chunk * 20)
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"


async def test_a_body_of_exactly_the_limit_passes(gateway: Running) -> None:
    answer = await gateway.client.post("/api/v1/drafts", content=b"x" * JSON_LIMIT, headers=gateway.headers(*Scope))
    assert answer.json()["bytes"] == JSON_LIMIT


async def test_a_client_that_waits_for_100_continue_is_refused_without_sending(gateway: Running) -> None:
    headers = {"Content-Length": "2000000000", "Expect": "100-continue"}
    answer = await _oversized(gateway, headers, b"")
    assert answer.status == 413


async def test_a_small_unread_body_does_not_cost_the_connection(gateway: Running) -> None:
    async with connected(gateway.port) as (reader, writer):
        for _ in range(2):
            writer.write(request("POST", "/nowhere", {"Content-Length": "10"}, b"0123456789"))
            answer = await asyncio.wait_for(read_answer(reader), 10)
            assert answer.status == 404


async def test_pipelined_requests_are_answered_in_order(gateway: Running) -> None:
    key = gateway.headers(*Scope)
    async with connected(gateway.port) as (reader, writer):
        writer.write(b"".join(request("GET", f"/api/v1/objects/{n}", key) for n in range(3)))
        answers = [await asyncio.wait_for(read_answer(reader), 10) for _ in range(3)]
    assert [answer.json()["raw_path"][-1] for answer in answers] == ["0", "1", "2"]


async def test_a_body_that_never_comes_is_given_up(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("draftstore_gateway.pipeline.DEFAULT_TIMEOUT", 0.2)
    answer = await _oversized(gateway, {"Content-Length": "10"}, b"0123")
    assert (answer.status, answer.json()["code"]) == (408, "request_timeout")


async def test_a_service_that_does_not_answer_in_time_is_a_503(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draftstore_gateway.pipeline.DEFAULT_TIMEOUT", 0.2)
    answer = await gateway.client.get("/api/v1/objects/silent", headers=gateway.headers(*Scope))
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    await asyncio.wait_for(gateway.service.client_left.wait(), 10)


async def test_a_websocket_is_not_opened(gateway: Running) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    answer = await exchange(gateway.port, request("GET", "/api/v1/drafts", headers))
    assert (answer.status, answer.json()["code"]) == (401, "api_key_missing")
    assert answer.headers["connection"] == "close"
