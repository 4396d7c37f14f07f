"""Bytes that rows stand for and the store does not have are found, by asking for each of them."""

import json
import logging
from dataclasses import replace

import pytest

from draftstore_cleaner.reconcile.findings import Finding
from draftstore_common.clients.transport import Reply
from draftstore_common.kit.errors import Problem
from support.reconciling import HEAD, LIST, OWED, Reconciling, after


async def test_a_confirmed_object_without_its_bytes_is_an_alarm(
    reconciling: Reconciling, caplog: pytest.LogCaptureFixture
) -> None:
    draft = await reconciling.confirmed("lost/missing.txt", b"12345")
    await reconciling.remove("main", "lost/missing.txt")
    outcome = await reconciling.run()
    (finding,) = outcome.findings
    assert (finding.finding, finding.action, finding.key) == ("object_missing", "reported", "lost/missing.txt")
    assert (finding.object_name, str(finding.draft_id), finding.size) == ("lost/missing.txt", draft["id"], 5)
    assert outcome.summary.alarming
    assert [record.levelno for record in caplog.records if record.levelno >= logging.ERROR] == [logging.ERROR]


@pytest.mark.parametrize("content", [b"54321", b"longer than before"])
async def test_an_object_whose_bytes_are_others_is_an_alarm(reconciling: Reconciling, content: bytes) -> None:
    await reconciling.confirmed("lost/differs.txt", b"12345")
    await reconciling.write("main", "lost/differs.txt", content)
    outcome = await reconciling.run()
    assert outcome.of("lost/differs.txt") == ("object_differs", "reported")
    assert outcome.summary.alarming
    assert await reconciling.holds("main", "lost/differs.txt")


async def test_an_uploaded_draft_whose_bytes_vanished_is_reported(reconciling: Reconciling) -> None:
    vanished, sent_again = await reconciling.draft(name="v.txt"), await reconciling.draft(name="w.txt")
    await reconciling.remove("draft", vanished["key"])
    await reconciling.write("draft", sent_again["key"], b"the client may do that")
    outcome = await reconciling.run()
    assert outcome.of(vanished["key"]) == ("draft_bytes_missing", "reported")
    assert len(outcome.findings) == 1
    assert outcome.summary.alarming


async def test_an_overdue_draft_owes_nobody_its_bytes(reconciling: Reconciling) -> None:
    draft = await reconciling.draft()
    await reconciling.remove("draft", draft["key"])
    await reconciling.sql("UPDATE metadata.drafts SET expires_at = now() WHERE id = $1", draft["id"])
    assert (await reconciling.run()).findings == []


async def test_an_object_that_is_in_no_listing_is_not_missing(reconciling: Reconciling) -> None:
    await reconciling.confirmed("hidden.txt")

    async def empty(reply: Reply) -> Reply:
        return replace(reply, content=b'{"items": []}')

    assert (await reconciling.run({LIST: empty})).findings == []


async def test_a_store_that_is_away_loses_nothing(reconciling: Reconciling) -> None:
    await reconciling.confirmed("away.txt")

    async def away(_: Reply) -> Reply:
        problem = {"title": "away", "status": 503, "detail": "away", "code": "storage_unavailable"}
        return Reply(503, {}, json.dumps(problem).encode())

    findings: list[Finding] = []
    with pytest.raises(Problem, match="storage_unavailable"):
        await reconciling.run({HEAD: away}, tell=findings.append)
    assert findings == []
    assert (await reconciling.run(restart=False)).summary.completed


async def test_an_object_deleted_while_it_was_looked_for_is_not_missing(reconciling: Reconciling) -> None:
    await reconciling.confirmed("deleted-meanwhile.txt")

    async def delete() -> None:
        await reconciling.back_end.get("DELETE", "/api/v1/objects/deleted-meanwhile.txt", status=204)
        await reconciling.remove("main", "deleted-meanwhile.txt")

    assert (await reconciling.run({OWED: after(delete)})).findings == []


async def test_a_draft_confirmed_while_it_was_looked_for_is_not_missing(reconciling: Reconciling) -> None:
    draft = await reconciling.draft(name="confirmed-meanwhile.txt")
    confirm = f"/api/v1/drafts/{draft['id']}/confirm"
    of_drafts = after(lambda: reconciling.back_end.get("POST", confirm), nth=2)
    assert (await reconciling.run({OWED: of_drafts})).findings == []
    assert not await reconciling.holds("draft", draft["key"])
