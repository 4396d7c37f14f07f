"""No secret stands in any log, whatever is done wrong with it."""

import re
from urllib.parse import quote

import httpx

from draftstore_common.contracts import api_keys
from draftstore_common.kit.ids import uuid7
from support.api import Api
from support.leaks import leaked
from support.plain_http import NO_TLS
from support.rows import age_draft
from support.stack import Stack

KEY_FORM = re.compile(r"ds_(?:live|test|admin)_[0-9A-Za-z]{38}")


async def test_keys_tokens_and_signatures_are_never_logged(stack: Stack) -> None:
    key = await stack.issue_key()
    async with stack.api(key["key"]) as api:
        draft = await api.uploaded("secrets/a.txt", b"bytes", ttl=60)
        url = draft["upload"]["url"]
        # Pasted where they do not belong: into paths, queries, names, headers.
        await api.call("GET", f"/api/v1/drafts/{key['key']}")
        await api.call("GET", f"/api/v1/drafts?api_key={key['key']}")
        await api.call("GET", f"/api/v1/drafts?cursor={quote(url)}")
        await api.call("GET", f"/api/v1/objects/{quote(url, safe='')}")
        await api.call("GET", f"/api/v1/objects/{quote(key['key'])}")
        await api.call("GET", "/api/v1/drafts", headers={"X-Request-Id": key["key"]})
        await api.call("POST", "/api/v1/drafts", {"object_name": url, "metadata": {"key": key["key"]}})
        await api.call("POST", "/api/v1/drafts", {key["key"]: 1})
        await api.put(draft["upload"], b"", **{"x-amz-checksum-sha256": "nonsense"})
        await age_draft(stack, draft["id"], 61)
        await api.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {})
        await stack.clean_once()
    unknown = api_keys.make("live")
    stack.secrets.add(unknown)
    async with stack.api(unknown) as stranger:
        await stranger.problem("GET", "/api/v1/drafts")
    assert leaked(stack) == []


async def test_the_first_keys_are_said_once_and_only_by_identity(stack: Stack) -> None:
    lines = [line for path in stack.log_files() for line in path.read_text(errors="replace").splitlines()]
    said = [line for line in lines if "API Key: " in line]
    assert len(said) == {"standalone": 0, "processes": 2}[stack.mode]


async def test_the_search_finds_what_somebody_logs(stack: Stack) -> None:
    planted = stack.logs / "planted.log"
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
    for secret in (api_keys.make("live"), f"X-Amz-Signature={'0a' * 32}", token, stack.store_credentials.secret_key):
        planted.write_text(f"fine\nhere: {secret}\n")
        try:
            assert [place.rpartition(": ")[0] for place in leaked(stack)] == ["planted.log:2: here"]
        finally:
            planted.unlink()


async def test_no_secret_is_kept_where_requests_are_remembered(stack: Stack) -> None:
    key = await stack.issue_key()
    async with stack.api(key["key"]) as api:
        for path, body in (
            ("/api/v1/drafts", {"object_name": "secrets/kept.txt"}),
            ("/api/v1/upload-url", {"object_name": "secrets/kept.txt"}),
            ("/api/v1/confirmations", {"draft_ids": [str(uuid7())]}),
        ):
            await api.call("POST", path, body, headers={"Idempotency-Key": key["key"]})
    tables = await stack.sql(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE tablename IN ('idempotency_keys', 'audit', 'changes', 'keys')"
    )
    assert len(tables) >= 4
    for table in tables:
        rows = await stack.sql(f"SELECT to_jsonb(t)::text AS row FROM {table['name']} t")  # noqa: S608
        text = "\n".join(row["row"] for row in rows)
        assert [found for found in KEY_FORM.findall(text) if api_keys.is_well_formed(found)] == []
        assert "X-Amz-Signature" not in text
        assert "eyJ" not in text


async def test_a_problem_does_not_repeat_a_secret_it_was_sent(stack: Stack, api: Api) -> None:
    secret = api_keys.make("live")
    for method, path, body in (
        ("POST", "/api/v1/drafts", {secret: 1}),
        ("POST", "/api/v1/drafts", {"object_name": secret, "size": secret}),
        ("POST", "/api/v1/drafts", {"object_name": "a", "metadata": {secret: 1}}),
        ("GET", f"/api/v1/drafts?cursor={secret}", None),
        ("GET", f"/api/v1/drafts?{secret}=1&limit=x", None),
        ("GET", f"/api/v1/drafts/{secret}", None),
        ("GET", f"/api/v1/objects/{secret}", None),
        ("GET", f"/{secret}", None),
    ):
        answer = await api.call(method, path, body)
        assert answer.is_error
        assert secret not in answer.text
    assert leaked(stack) == []


async def test_internal_routes_are_not_reachable_from_outside(stack: Stack) -> None:
    async with httpx.AsyncClient(verify=NO_TLS, base_url=stack.gateway_url, trust_env=False) as http:
        for path in ("/internal/drafts", "/internal/presign-put", "/internal/v1/verify", "//internal/verify"):
            assert (await http.post(path, json={})).status_code in {400, 401, 404}
