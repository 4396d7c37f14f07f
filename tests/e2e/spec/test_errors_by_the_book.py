"""What is promised of every answer: one form of errors, an id, no secret said back, and a true document."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from openapi_spec_validator import validate

from support.api import Api, problem_of
from support.clients import Clients, at_once, issue, unique
from support.raw_http import connected, exchange, read_answer, request

KEYS = "/api/v1/keys"
DRAFTS = "/api/v1/drafts"
ORIGIN = "https://app.example"
MISSING = "01a1f935-6ae0-76e9-8f73-000000000000"
CODES = set(re.findall(r'<a id="([a-z_]+)">', (Path(__file__).parents[3] / "docs" / "errors.md").read_text()))
REFUSED_JSON = ["", "{", "null", "[]", '"x"', "1", '{"name": "a",}', "{'name': 'a'}", "\x00", '{"name": NaN}']


async def test_problems_of_all_kinds_have_one_form_and_a_documented_code(
    admin: Api, clients: Clients, nobody: Api
) -> None:
    owner = await clients.of((await issue(admin))["key"])
    body = {"name": "x", "scopes": ["drafts:read"]}
    answers = [
        await nobody.call("GET", "/"),
        await nobody.call("GET", "/api/v1/nothing"),
        await nobody.call("GET", "/api/v2/drafts"),
        await nobody.call("PUT", DRAFTS),
        await nobody.call("GET", DRAFTS),
        await nobody.call("GET", "/health/nothing"),
        await nobody.call("POST", "/openapi.json"),
        await nobody.call("GET", "/internal/verify"),
        await owner.call("GET", "/api/v1/nothing"),
        await owner.call("PATCH", DRAFTS, {}),
        await owner.call("GET", f"{DRAFTS}/{MISSING}"),
        await owner.call("GET", f"{DRAFTS}/not-an-id"),
        await owner.call("POST", DRAFTS, content=b"{"),
        await owner.call("POST", DRAFTS, {"object_name": "../x"}),
        await owner.call("POST", DRAFTS, {}),
        await owner.call("GET", KEYS),
        await admin.call("GET", DRAFTS),
        await admin.call("GET", f"{KEYS}/not-an-id"),
        await admin.call("POST", KEYS, body | {"scopes": ["everything"]}),
        await admin.call("GET", f"{KEYS}/%2e%2e/x"),
        await admin.call("GET", f"{KEYS}/a%2Fb"),
        await admin.call("GET", f"{KEYS}/%00"),
        await admin.call("GET", f"{KEYS}/%zz"),
    ]
    for answer in answers:
        what = f"{answer.request.method} {answer.request.url}: {answer.text}"
        assert 400 <= answer.status_code < 500, what
        _, code = problem_of(answer)
        assert code in CODES or code.startswith("invalid_"), what
        assert answer.json()["type"] == f"urn:draftstore:problem:{code}", what
        assert "traceback" not in answer.text.lower(), what


async def test_what_is_not_authenticated_says_how_to(clients: Clients) -> None:
    for secret in (None, "nonsense", "ds_live_" + "0" * 38):
        answer = await (await clients.of(secret)).call("GET", DRAFTS)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_of_wrong_checksum_is_malformed_and_an_unknown_one_unknown(admin: Api, clients: Clients) -> None:
    secret = (await issue(admin))["key"]
    mistyped = secret[:10] + ("a" if secret[10] != "a" else "b") + secret[11:]
    assert await (await clients.of(mistyped)).problem("GET", DRAFTS) == (401, "api_key_malformed")
    assert await (await clients.of(secret[:-1])).problem("GET", DRAFTS) == (401, "api_key_malformed")


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "Token", ""])
async def test_only_bearer_carries_a_key(admin: Api, nobody: Api, scheme: str) -> None:
    secret = (await issue(admin))["key"]
    answer = await nobody.call("GET", f"{KEYS}/self", headers={"Authorization": f"{scheme} {secret}".strip()})
    # The scheme is case-insensitive (RFC 9110 §11.1).
    assert answer.status_code == (200 if scheme == "bearer" else 401)
    assert secret not in answer.text


async def test_a_key_in_the_address_is_no_credential(admin: Api, nobody: Api) -> None:
    secret = (await issue(admin))["key"]
    for query in (f"api_key={secret}", f"key={secret}", f"access_token={secret}"):
        assert (await nobody.problem("GET", f"{KEYS}/self?{query}"))[0] in {401, 422}


async def test_another_method_is_told_which_there_are(admin: Api, nobody: Api) -> None:
    for path, known in ((DRAFTS, {"GET", "POST"}), (KEYS, {"GET", "POST"}), ("/api/v1/audit", {"GET"})):
        for caller in (admin, nobody):
            answer = await caller.call("PUT", path)
            assert problem_of(answer) == (405, "method_not_allowed")
            allowed = {method.strip() for method in answer.headers["allow"].split(",")}
            assert known <= allowed <= known | {"HEAD", "OPTIONS"}


@pytest.mark.parametrize("body", REFUSED_JSON)
async def test_a_body_that_is_no_json_object_is_refused(admin: Api, body: str) -> None:
    answer = await admin.call("POST", KEYS, content=body.encode(), headers={"Content-Type": "application/json"})
    status, code = problem_of(answer)
    assert (status, code) == (400, "invalid_json") or status == 422


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", None])
async def test_a_body_of_another_type_makes_nothing(admin: Api, clients: Clients, media_type: str | None) -> None:
    """A form of another site can send these without asking: were they read, it could act with what it knows."""
    tenant = await clients.tenant(admin)
    body = f'{{"name": "x", "scopes": ["drafts:read"], "tenant_id": "{tenant}"}}'
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = await admin.call("POST", KEYS, content=body.encode(), headers=headers)
    assert problem_of(answer)[0] in {400, 415, 422}
    assert (await admin.json("GET", f"{KEYS}?tenant_id={tenant}"))["items"] == []


async def test_deep_json_is_refused_and_harms_nobody(admin: Api) -> None:
    deep = b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = await admin.call("POST", KEYS, content=deep, headers={"Content-Type": "application/json"})
    assert problem_of(answer)[0] in {400, 413, 422}


async def test_a_request_id_is_minted_for_every_request(admin: Api, nobody: Api) -> None:
    claimed = "00000000deadbeef"
    answers = [await nobody.call("GET", path, headers={"X-Request-Id": claimed}) for path in ("/x", DRAFTS)]
    answers += [await admin.call("GET", KEYS, headers={"X-Request-Id": claimed}) for _ in range(3)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert claimed not in ids


async def test_several_mistakes_are_all_named(admin: Api) -> None:
    answer = await admin.call("POST", KEYS, {"name": "", "scopes": ["x"], "cidrs": ["300.0.0.0/8"], "tenant_id": 1})
    problem = answer.json()
    assert problem_of(answer)[0] == 422
    assert {error["field"].split(".")[0] for error in problem["errors"]} >= {"name", "scopes", "cidrs", "tenant_id"}
    assert problem["code"] == problem["errors"][0]["code"]
    for error in problem["errors"]:
        assert error.keys() >= {"field", "code", "detail"}


async def test_what_was_sent_is_never_said_back_where_it_could_be_a_secret(admin: Api) -> None:
    secret = (await issue(admin))["key"]
    answers = [
        await admin.call("POST", KEYS, {"name": secret, "scopes": [secret], secret: 1}),
        await admin.call("POST", f"{KEYS}/import", {"name": "x", "scopes": ["drafts:read"], "hash": secret}),
        await admin.call("POST", f"{KEYS}/import", {"name": "x", "scopes": ["drafts:read"], "hash": [secret]}),
        await admin.call("GET", f"{KEYS}/{secret}"),
        await admin.call("GET", f"{KEYS}?cursor={secret}&tenant_id={secret}"),
        await admin.call("GET", f"/api/v1/audit?actor={secret}&since={secret}"),
        await admin.call("GET", f"/{secret}"),
        await admin.call(secret[:20], KEYS),
        await admin.call("POST", KEYS, content=f'{{"name": "{secret}'.encode()),
    ]
    for answer in answers:
        assert answer.status_code >= 400, answer.text
        assert secret not in answer.text, f"{answer.request.method} {answer.request.url}"


async def test_a_secret_in_the_wrong_place_reaches_no_log(admin: Api, clients: Clients, nobody: Api) -> None:
    """Not percent-encoded, and not of a request that was given up half way."""
    secret = (await issue(admin))["key"]
    encoded = "".join(f"%{ord(character):02X}" for character in secret)
    headers = {"Referer": f"https://x/{secret}", "User-Agent": secret, "Cookie": secret, "Idempotency-Key": secret}
    for caller in (admin, nobody):
        for place in (secret, encoded):
            for path in (f"/{place}", f"{KEYS}/{place}", f"{KEYS}?cursor={place}", f"/api/v1/objects/{place}"):
                assert (await caller.call("GET", path, headers=headers)).status_code >= 400
    await admin.call("POST", KEYS, {"name": "x", "scopes": ["drafts:read"]}, headers={"Idempotency-Key": secret})
    async with connected(urlsplit(clients.stack.gateway_url).port or 0) as (_, writer):
        writer.write(request("POST", f"{DRAFTS}?key={secret}", {"Authorization": f"Bearer {secret}"})[:-2])
        await writer.drain()
    for log in clients.stack.log_files():
        written = log.read_text(errors="replace")
        assert secret not in written, log.name
        assert encoded not in written, log.name


async def test_what_is_kept_of_idempotency_keys_and_on_record_has_no_secret(admin: Api, clients: Clients) -> None:
    made = await issue(admin, tenant_id=await clients.tenant(admin, access_audit="full"))
    owner = await clients.of(made["key"])
    headers = {"Idempotency-Key": unique("draft")}
    answer = await owner.call("POST", DRAFTS, {"object_name": "kept"}, headers=headers)
    upload = answer.json()["upload"]
    assert (await owner.put(upload, b"x")).status_code == 200
    download = await owner.download_url("kept")
    headers = {"Idempotency-Key": unique("key")}
    another = await admin.call("POST", KEYS, {"name": "x", "scopes": ["drafts:read"]}, headers=headers)
    secrets = [made["key"], another.json()["key"]]
    secrets += [re.findall("X-Amz-Signature=([0-9a-f]+)", url)[0] for url in (upload["url"], download)]
    for table in ("identity.idempotency_keys", "identity.audit", "metadata.idempotency_keys", "metadata.events"):
        rows = await clients.stack.sql(f"SELECT kept::text AS kept FROM {table} AS kept")  # noqa: S608
        assert rows, table
        text = "".join(row["kept"] for row in rows)
        assert not [secret for secret in secrets if secret in text], table


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(admin: Api, clients: Clients) -> None:
    secret = (await issue(admin))["key"]
    port = urlsplit(clients.stack.gateway_url).port or 0
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", "Content-Length": str(2**40)}
    answer = await exchange(port, request("POST", DRAFTS, headers))
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


async def test_a_refusal_of_head_has_the_headers_of_one_and_no_body(admin: Api, clients: Clients) -> None:
    secret = (await issue(admin, scopes=["objects:read"]))["key"]
    port = urlsplit(clients.stack.gateway_url).port or 0
    headers = {"Authorization": f"Bearer {secret}", "X-Forwarded-For": clients.address}
    head = request("HEAD", f"/api/v1/objects/{unique('nothing')}", headers)
    async with connected(port) as (reader, writer):
        writer.write(head + request("GET", "/health/live", {"Connection": "close"}))
        first = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        assert first.startswith("http/1.1 404")
        assert "content-type: application/problem+json" in first
        assert (await read_answer(reader)).json()["status"] == "ok", "what follows is the next answer"


async def test_head_of_an_object_is_get_without_its_body(admin: Api, clients: Clients) -> None:
    scopes = ["drafts:write", "drafts:confirm", "objects:read"]
    owner = await clients.of((await issue(admin, scopes=scopes))["key"])
    name = unique("head")
    await owner.confirmed(name, b"12345")
    got, head = [await owner.call(method, f"/api/v1/objects/{name}") for method in ("GET", "HEAD")]
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    varying = {"date", "x-request-id", "ratelimit"}
    shapes = [{n: v for n, v in answer.headers.items() if n not in varying} for answer in (got, head)]
    assert {name: value for name, value in shapes[1].items() if name in shapes[0]} == shapes[1]


async def test_scripts_of_the_origins_set_may_call_and_others_may_not(admin: Api, nobody: Api) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
    allowed = await nobody.call("OPTIONS", DRAFTS, headers={"Origin": ORIGIN, **asked})
    assert allowed.status_code in {200, 204}
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    for origin in ("https://evil.example", f"{ORIGIN}.evil.example", "http://app.example", "null", f"{ORIGIN}:8443"):
        refused = await nobody.call("OPTIONS", DRAFTS, headers={"Origin": origin, **asked})
        assert "access-control-allow-origin" not in refused.headers, origin
        answer = await admin.call("GET", KEYS, headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers, origin


async def test_a_script_may_read_what_it_needs_of_an_answer_errors_too(admin: Api, nobody: Api) -> None:
    for caller in (admin, nobody):
        answer = await caller.call("GET", KEYS, headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers
        assert "origin" in answer.headers["vary"].lower()
        exposed = answer.headers["access-control-expose-headers"].lower()
        for name in ("retry-after", "ratelimit", "x-request-id"):
            assert name in exposed


async def test_without_the_setting_no_script_may_call(clients: Clients, second_gateway: str) -> None:
    stranger = await clients.of(None, url=second_gateway)
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    for answer in (
        await stranger.call("OPTIONS", DRAFTS, headers=asked),
        await stranger.call("GET", DRAFTS, headers=asked),
    ):
        assert answer.status_code >= 400
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def document(nobody: Api) -> dict[str, Any]:
    found: dict[str, Any] = await nobody.json("GET", "/openapi.json")
    return found


async def test_the_document_is_valid_and_shows_nothing_internal(nobody: Api) -> None:
    shown = await document(nobody)
    validate(shown)
    assert not [path for path in shown["paths"] if "internal" in path]
    for path in (KEYS, f"{KEYS}/self", f"{KEYS}/import", "/api/v1/tenants", "/api/v1/audit", DRAFTS, "/api/v1/objects"):
        assert path in shown["paths"], "identity's and draft-service's routes are in one document"


async def test_what_the_document_shows_is_there_and_closed_to_strangers(clients: Clients) -> None:
    shown = await document(await clients.of(None))
    calls = [
        (method.upper(), re.sub(r"\{object_name\}", "x", re.sub(r"\{\w+_id\}", MISSING, path)), operation)
        for path, operations in shown["paths"].items()
        for method, operation in operations.items()
    ]
    stranger = await clients.of(None)
    answers = await at_once(len(calls), lambda number: stranger.call(*calls[number][:2]))
    for (method, path, operation), answer in zip(calls, answers, strict=True):
        is_open = operation["security"] == []
        assert answer.status_code == (422 if is_open else 401), f"{method} {path}: {answer.text}"
        assert str(answer.status_code) in operation["responses"], f"{method} {path}"
    assert [path for _, path, operation in calls if operation["security"] == []] == [f"{KEYS}/revoke-leaked"]


@pytest.mark.parametrize(
    "path", ["/internal/verify", "/internal/changes", "/internal/access-events", "/internal/tokens", "/Internal/verify"]
)
async def test_nothing_internal_is_reached_through_the_gateway(admin: Api, nobody: Api, path: str) -> None:
    for caller in (admin, nobody):
        for method in ("GET", "POST"):
            assert (await caller.problem(method, path, {}))[0] in {404, 405}


async def test_spoofed_internal_headers_give_nobody_anything(admin: Api, clients: Clients, nobody: Api) -> None:
    tenant = await clients.tenant(admin)
    made = await issue(admin)
    spoofed = {
        "X-Tenant-Id": tenant,
        "X-Principal": "admin",
        "X-Draftstore-Token": "x.y.z",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
        "X-Request-Timeout": "0.000001",
    }
    told = await (await clients.of(made["key"])).call("GET", f"{KEYS}/self", headers=spoofed)
    assert told.status_code == 200, told.text
    assert told.json()["tenant_id"] == made["tenant_id"]
    assert (await nobody.call("GET", f"{KEYS}/self", headers=spoofed)).status_code == 401


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X.Forwarded.For", "Author_ization", "a b"])
async def test_header_names_two_servers_could_read_differently_are_refused(clients: Clients, name: str) -> None:
    port = urlsplit(clients.stack.gateway_url).port or 0
    answer = await exchange(port, request("GET", DRAFTS, {name: "1", "X-Forwarded-For": clients.address}))
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_operators_see_whether_it_lives(nobody: Api) -> None:
    for path in ("/health/live", "/health/ready", "/health", "/metrics", "/docs"):
        assert (await nobody.call("GET", path)).status_code == 200, path


async def test_identitys_and_the_gateways_answers_say_the_same_of_a_missing_scope(admin: Api, clients: Clients) -> None:
    owner = await clients.of((await issue(admin, scopes=["drafts:write"]))["key"])
    told: list[httpx.Response] = [await owner.call("GET", path) for path in (DRAFTS, KEYS)]
    for answer in told:
        assert problem_of(answer) == (403, "scope_missing")
        assert answer.json().keys() == told[0].json().keys()
