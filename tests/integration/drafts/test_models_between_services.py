"""Services in one process hand models to each other: each is what its JSON would have brought to another process."""

from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from draftstore_common.clients.transport import AsgiTransport, Call, Reply
from draftstore_common.kit.direct import Modelled
from support.back_end import BackEnd

_send = AsgiTransport.send


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[BaseModel]]:
    """The models that went to and fro, by the paths of their calls."""
    seen: dict[str, list[BaseModel]] = {}

    async def send(transport: AsgiTransport, call: Call) -> Reply:
        reply = await _send(transport, call)
        told = [call.content, reply.content.result if isinstance(reply.content, Modelled) else None]
        seen.setdefault(call.path, []).extend(each for each in told if isinstance(each, BaseModel))
        return reply

    monkeypatch.setattr(AsgiTransport, "send", send)
    return seen


async def test_a_model_is_what_its_json_would_bring(back_end: BackEnd, passed: dict[str, list[BaseModel]]) -> None:
    await _live(back_end)
    for path, models in passed.items():
        for model in models:
            arrived = type(model).model_validate_json(model.model_dump_json(exclude_defaults=True))
            assert _comparable(arrived) == _comparable(model), path
    assert {path.removeprefix("/internal/") for path, models in passed.items() if len(models) > 1} >= {
        "drafts/create",
        "drafts/create-batch",
        "drafts/find",
        "drafts/get",
        "drafts/uploaded",
        "drafts/extend",
        "drafts/list",
        "events/list",
        "confirm/claim",
        "confirm/reserve-keys",
        "confirm/publish",
        "confirm/prepare",
        "confirmations/commit",
        "objects/list",
        "objects/get",
        "objects/head",
        "objects/copy",
        "objects/delete",
        "presign/put",
        "presign/put-batch",
        "presign/get",
        "verify",
    }


async def _live(back_end: BackEnd) -> None:
    """What a back end does in all its days."""
    declared = {"size": 5, "content_type": "text/plain", "metadata": {"a": "1"}, "subject": "s", "ttl": 600}
    draft = await back_end.upload(b"hello", object_name="passed/one.txt", **declared)
    path = f"/api/v1/drafts/{draft['id']}"
    await back_end.get("POST", "/api/v1/download-url", {"object_name": "passed/one.txt", "subject": "s"})
    await back_end.get("POST", f"{path}/extend", {"ttl": 900})
    await back_end.get("POST", f"{path}/download-url")
    await back_end.get("POST", f"{path}/confirm", {"subject": "s"})
    await back_end.get("GET", path)
    await back_end.get("GET", f"{path}/events")
    await back_end.get("GET", "/api/v1/drafts")
    await back_end.get("GET", "/api/v1/objects")
    await back_end.get("GET", "/api/v1/objects/passed/one.txt")
    entries = [{"object_name": f"passed/{number}.txt"} for number in range(3)]
    first, *_ = (await back_end.get("POST", "/api/v1/drafts/batch", {"drafts": entries}, 201))["items"]
    await back_end.put(first, b"first")
    held = await back_end.get("POST", f"/api/v1/drafts/{first['id']}/confirm", {"mode": "prepare"})
    await back_end.get("POST", f"/api/v1/confirmations/{held['id']}/commit")
    await back_end.get("DELETE", "/api/v1/objects/passed/one.txt", status=204)


def _comparable(value: Any) -> Any:
    """Instants in milliseconds, as JSON has them; everything else as it is."""
    match value:
        case BaseModel():
            return {name: _comparable(each) for name, each in value}
        case dict():
            return {name: _comparable(each) for name, each in value.items()}
        case list() | tuple():
            return [_comparable(each) for each in value]
        case datetime():
            return value.replace(microsecond=value.microsecond // 1000 * 1000)
        case _:
            return value
