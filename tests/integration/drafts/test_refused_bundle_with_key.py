"""A refused bundle leaves its Idempotency-Key free: a repeat never meets a confirmation that nobody began."""

import asyncio
import json
from typing import Any

from draftstore_common.clients.transport import Call, Reply
from support.back_end import BackEnd


async def confirm_with_key(back_end: BackEnd, key: str, draft_ids: list[str]) -> tuple[int, dict[str, Any]]:
    headers = {
        "authorization": f"Bearer {back_end.key}",
        "content-type": "application/json",
        "host": "suite",
        "idempotency-key": key,
    }
    body = json.dumps({"draft_ids": draft_ids}).encode()
    reply: Reply = await back_end.gateway.send(Call("POST", "/api/v1/confirmations", body, headers))
    return reply.status, json.loads(reply.body)


async def test_a_refused_bundle_with_a_key_names_its_offenders_every_time(back_end: BackEnd) -> None:
    good, gone = await asyncio.gather(*(back_end.upload(b"x", object_name=f"keyed/{n}") for n in range(2)))
    await back_end.get("DELETE", f"/api/v1/drafts/{gone['id']}", status=204)
    for _ in range(2):
        status, problem = await confirm_with_key(back_end, "refused-1", [good["id"], gone["id"]])
        assert (status, problem["code"]) == (409, "confirmation_refused")
        assert [(error["id"], error["code"]) for error in problem["errors"]] == [(gone["id"], "draft_discarded")]
    status, confirmation = await confirm_with_key(back_end, "mended-1", [good["id"]])
    assert (status, confirmation["state"]) == (200, "confirmed")
