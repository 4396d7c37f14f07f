"""The kit: ids that sort, problems that tell, secrets that stay out of logs, settings that stop a start."""

import json
import logging
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient
from pydantic import BaseModel, Field

from draftstore_common.contracts.base import Request
from draftstore_common.contracts.names import ObjectName
from draftstore_common.kit.app import service_app
from draftstore_common.kit.context import address_or_none, remaining, request_id
from draftstore_common.kit.errors import Conflict, Problem, RelayedProblem, Unavailable
from draftstore_common.kit.ids import BASE62, following, random_base62, uuid7, uuid7_run
from draftstore_common.kit.logging import JsonFormatter
from draftstore_common.kit.redaction import redact
from draftstore_common.kit.settings import ServiceSettings, load


def test_ids_made_in_sequence_sort_in_sequence() -> None:
    ids = [uuid7() for _ in range(2000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {made.version for made in ids} == {7}
    assert {made.variant for made in ids} == {"specified in RFC 4122"}


def test_a_run_of_ids_is_said_by_its_first_and_their_number() -> None:
    run = uuid7_run(1000)
    assert following(run[0], 1000) == run == sorted(run)
    assert {made.version for made in run} == {7}
    assert run[-1] < uuid7()


def test_random_text_has_every_character_about_as_often() -> None:
    text = random_base62(62_000)
    counts = {character: text.count(character) for character in BASE62}
    assert len(text) == sum(counts.values())
    assert all(800 < count < 1200 for count in counts.values()), counts  # six standard deviations around 1,000


@pytest.mark.parametrize(
    "secret",
    [
        "ds_live_0123456789abcdefghijABCDEFGHIJ01234567",
        "Authorization: Bearer eyJhbGciOi.payload.signature",
        "https://host/b/k?X-Amz-Credential=AKIA%2F2026&X-Amz-Signature=deadbeefcafe",
        "X-Amz-Signature%3Ddeadbeefcafe",
        "postgresql://user:hunter2pass@host/db",
    ],
)
def test_a_secret_is_masked_wherever_it_stands_in_a_line(secret: str) -> None:
    hidden = ("0123456789abcdef", "eyJhbGciOi", "deadbeefcafe", "AKIA", "hunter2pass")
    record = logging.LogRecord("x", logging.INFO, "f", 1, "seen %s", (secret,), None)
    record.url = secret
    for text in (redact(f"before {secret} after"), JsonFormatter("test").format(record)):
        assert not any(part in text for part in hidden)
        assert "***" in text


def test_a_log_line_is_json_with_what_the_caller_added() -> None:
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "lost %d", (3,), None)
    record.draft_id = "d1"
    line = json.loads(JsonFormatter("drafts").format(record))
    assert (line["message"], line["level"], line["service"], line["draft_id"]) == ("lost 3", "WARNING", "drafts", "d1")


class _Settings(ServiceSettings):
    http_port: int = Field(default=1, ge=1)
    database_url: str


def test_wrong_settings_stop_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTP_PORT", "no secret 123")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SystemExit) as stopped:
        load(_Settings)
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line.count("\n") == 1
    assert "HTTP_PORT" in line
    assert "DATABASE_URL" in line
    assert "no secret" not in line


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "")
    monkeypatch.setenv("DATABASE_URL", "x")
    assert load(_Settings).http_port == 1


class _Body(Request):
    name: ObjectName
    size: int = Field(ge=0)
    parts: list[int] = []
    labels: dict[str, str] = {}


class _Seen(BaseModel):
    request_id: str
    remaining: float


router = APIRouter()


@router.post("/things")
async def make(body: _Body) -> dict[str, str]:
    return {"name": body.name}


@router.get("/context")
async def context() -> _Seen:
    return _Seen(request_id=request_id.get(), remaining=remaining())


@router.get("/fails/{how}")
async def fails(how: str) -> None:
    match how:
        case "problem":
            raise Conflict("Not now.", code="not_now")
        case "away":
            raise Unavailable(retry_after=7)
        case _:
            raise RuntimeError("ds_live_0123456789abcdefghijABCDEFGHIJ01234567")


@pytest.fixture
def app() -> FastAPI:
    async def broken() -> None:
        raise OSError("down")

    async def fine() -> None:
        return None

    made = service_app("test", lifespan=lambda _: _nothing(), routers=[router])
    made.state.ready_checks = {"database": broken, "store": fine}
    return made


class _nothing:  # noqa: N801  a context manager in its smallest form
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def ask(app: FastAPI, method: str, path: str, **more: Any) -> Any:
    transport = ASGITransport(app=app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **more)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"name": "a", "size": 1, "nmae": 2}', 422, "unknown_field"),
        (b'{"name": "a"}', 422, "missing_field"),
        (b'{"name": "a", "size": -1}', 422, "invalid_size"),
        (b'{"name": "", "size": 1}', 422, "object_name_empty"),
        (b'{"name": "a", "size": 1, "parts": [1, "x"]}', 422, "invalid_parts"),
        (b"[]", 422, "invalid_request"),
        (b'{"name": "\xff", "size": 1}', 400, "invalid_json"),
        (b"[" * 60_000, 400, "invalid_json"),
        (b'{"name": "a", "size": ' + b"9" * 5000 + b"}", 400, "invalid_json"),
        (b'{"name": "a", "size": 1, "labels": {"my key": 1}}', 422, "invalid_labels"),
    ],
)
async def test_bad_input_is_a_problem_with_the_code_of_what_is_wrong(
    app: FastAPI, content: bytes, status: int, code: str
) -> None:
    answer = await ask(app, "POST", "/things", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.json()["detail"].endswith(".")


async def test_a_small_hostile_request_gets_no_large_answer(app: FastAPI) -> None:
    body = {"name": "a", "size": 1} | {f"{number}" * 50: 1 for number in range(5000)}
    answer = await ask(app, "POST", "/things", json=body)
    assert answer.json()["code"] == "unknown_field"
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/fails/problem", 409, "not_now"),
        ("/fails/away", 503, "unavailable"),
        ("/fails/crash", 500, "internal_error"),
        ("/nowhere", 404, "not_found"),
    ],
)
async def test_every_failure_is_a_problem_document(app: FastAPI, path: str, status: int, code: str) -> None:
    answer = await ask(app, "GET", path)
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert "ds_live" not in answer.text


async def test_a_wrong_method_is_said_to_be_one(app: FastAPI) -> None:
    answer = await ask(app, "DELETE", "/things")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_an_outage_says_when_to_come_back(app: FastAPI) -> None:
    answer = await ask(app, "GET", "/fails/away")
    assert answer.headers["retry-after"] == "7"


async def test_a_request_id_is_kept_and_a_bad_one_replaced(app: FastAPI) -> None:
    kept = await ask(app, "GET", "/context", headers={"x-request-id": "abcdef-123456"})
    assert kept.json()["request_id"] == "abcdef-123456"
    replaced = await ask(app, "GET", "/context", headers={"x-request-id": "a b\tc"})
    assert replaced.json()["request_id"] == replaced.headers["x-request-id"]
    assert " " not in replaced.headers["x-request-id"]


async def test_the_callers_deadline_counts_down_here(app: FastAPI) -> None:
    answer = await ask(app, "GET", "/context", headers={"x-request-timeout": "2.5"})
    assert 0 < answer.json()["remaining"] <= 2.5


async def test_ready_names_what_is_away_and_live_depends_on_nothing(app: FastAPI) -> None:
    ready = await ask(app, "GET", "/health/ready")
    assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "unavailable", "store": "ok"})
    assert (await ask(app, "GET", "/health/live")).status_code == 200


def test_a_relayed_problem_keeps_status_code_and_words() -> None:
    original = Conflict("Wait a little.", code="not_now", retry_after=3)
    body = original.document("r1").model_dump_json().encode()
    relayed = RelayedProblem.parse(409, body, "3")
    assert (relayed.http_status, relayed.code, relayed.detail, relayed.retry_after) == (
        409,
        "not_now",
        "Wait a little.",
        3,
    )
    assert isinstance(RelayedProblem.parse(502, b"<html>", None), Problem)
    assert RelayedProblem.parse(502, b"<html>", "soon").http_status == 502


@pytest.mark.parametrize(
    ("text", "address"), [("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::1"), ("nobody", None), (None, None)]
)
def test_only_an_address_is_taken_for_one(text: str | None, address: str | None) -> None:
    assert address_or_none(text) == address
