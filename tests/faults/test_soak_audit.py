"""The audit of the long run sees every kind of damage: each is done here to a system that has none."""

from dataclasses import replace
from typing import Any

from faults.soak.audit import KINDS, Kind, audit
from faults.soak.ledger import NEVER, Bundle, DraftFacts, Ledger, Put, Request
from faults.soak.snapshot import Content, DraftRow, KeyRow, ObjectRow, Snapshot

NAME = "reports/march.pdf"
SENT = "5e" * 32


def receipt_of(draft_id: str, *, second: int = 30, key: str = NAME) -> dict[str, Any]:
    return {
        "draft_id": draft_id,
        "object_name": NAME,
        "final_location": f"main/{key}",
        "size": 5,
        "etag": "e-tag",
        "confirmed_at": f"2026-01-01T12:00:{second}.000Z",
    }


def one_confirmed() -> tuple[Ledger, Snapshot]:
    """A draft that was confirmed, and everything as it should be."""
    draft = DraftFacts("d1", NAME, first_confirm_at=20.0)
    draft.puts.append(Put(SENT, started_at=10.0, ended_at=11.0, etag="e-tag"))
    draft.add_receipt(receipt_of("d1"))
    found = Snapshot(
        drafts={"d1": DraftRow("d1", NAME, "confirmed", receipt_of("d1"), due=False)},
        objects={NAME: ObjectRow(NAME, "d1", NAME, f"main/{NAME}", 5, "e-tag")},
        keys=[KeyRow(NAME, "d1", "published")],
        confirmed_twice=[],
        open_confirmations=[],
        events=frozenset({1, 2}),
        draft_bucket=[],
        main_bucket=[NAME],
        contents={NAME: Content(SENT, 5)},
    )
    return Ledger(drafts={"d1": draft}, events_read=[1, 2]), found


def verdict(ledger: Ledger, found: Snapshot) -> dict[Kind, int]:
    """How many violations of each kind, those of which there are none left out."""
    return {kind: len(texts) for kind, texts in audit(ledger, found).items() if texts}


def second_confirmed(ledger: Ledger, found: Snapshot, *, may_replace: bool) -> Snapshot:
    """Another draft took the name twenty seconds later."""
    draft = DraftFacts("d2", NAME, may_replace=may_replace)
    draft.puts.append(Put("2e" * 32, started_at=40.0, ended_at=41.0, etag="e-tag"))
    ledger.drafts["d2"] = draft
    key, receipt = f"{NAME}~2", receipt_of("d2", second=50, key=f"{NAME}~2")
    return replace(
        found,
        drafts=found.drafts | {"d2": DraftRow("d2", NAME, "confirmed", receipt, due=False)},
        objects={NAME: ObjectRow(NAME, "d2", key, f"main/{key}", 5, "e-tag")},
        keys=[KeyRow(key, "d2", "published")],
        main_bucket=[key],
        contents={key: Content("2e" * 32, 5)},
    )


def test_a_system_without_damage_has_no_findings() -> None:
    ledger, found = one_confirmed()
    assert set(audit(ledger, found)) == set(KINDS)
    assert verdict(ledger, found) == {}


def test_bytes_that_are_gone_are_lost() -> None:
    ledger, found = one_confirmed()
    assert verdict(ledger, replace(found, contents={}, main_bucket=[])) == {"lost": 1}


def test_bytes_of_another_size_than_the_judged_are_lost() -> None:
    ledger, found = one_confirmed()
    assert verdict(ledger, replace(found, contents={NAME: Content(SENT, 6)})) == {"lost": 1}


def test_bytes_the_client_replaced_before_it_confirmed_are_not_what_it_meant() -> None:
    ledger, found = one_confirmed()
    ledger.drafts["d1"].puts.append(Put("0d" * 32, started_at=12.0, ended_at=13.0, etag="other"))
    assert verdict(ledger, found) == {"lost": 1}


def test_bytes_that_may_have_landed_late_may_be_published() -> None:
    ledger, found = one_confirmed()
    (put,) = ledger.drafts["d1"].puts
    put.ended_at = NEVER
    ledger.drafts["d1"].puts.append(Put("0d" * 32, started_at=12.0, ended_at=13.0, etag="other"))
    assert verdict(ledger, found) == {}


def test_other_bytes_than_the_etag_it_was_bound_to_are_lost() -> None:
    ledger, found = one_confirmed()
    ledger.drafts["d1"].bound_to = "another"
    assert verdict(ledger, found) == {"lost": 1}


def test_an_acknowledged_receipt_without_a_confirmed_row_is_lost() -> None:
    ledger, found = one_confirmed()
    rows = {"d1": DraftRow("d1", NAME, "purged", None, due=False)}
    assert verdict(ledger, replace(found, drafts=rows))["lost"] == 2  # the receipt, and an object nobody promised


def test_an_object_nobody_deleted_is_lost() -> None:
    ledger, found = one_confirmed()
    assert verdict(ledger, replace(found, objects={}, keys=[], main_bucket=[], contents={})) == {"lost": 1}


def test_an_object_deleted_after_its_confirm_is_not_lost_and_one_deleted_before_is() -> None:
    ledger, found = one_confirmed()
    gone = replace(found, objects={}, keys=[], main_bucket=[], contents={})
    ledger.deletes[NAME] = [Request(started_at=1.0, ended_at=2.0)]
    assert verdict(ledger, gone) == {"lost": 1}
    ledger.deletes[NAME].append(Request(started_at=1.0))
    assert verdict(ledger, gone) == {}


def test_an_acknowledged_upload_that_a_confirm_does_not_find_is_lost() -> None:
    ledger, found = one_confirmed()
    draft = DraftFacts("d2", "other", first_confirm_at=20.0, refusals=["draft_not_uploaded"])
    draft.puts.append(Put(SENT, started_at=10.0, ended_at=11.0, etag="e-tag"))
    ledger.drafts["d2"] = draft
    assert verdict(ledger, found) == {"lost": 1}


def test_a_replacement_with_leave_explains_an_object_that_is_gone_and_one_without_is_a_double() -> None:
    ledger, found = one_confirmed()
    assert verdict(ledger, second_confirmed(ledger, found, may_replace=True)) == {}
    assert verdict(ledger, second_confirmed(ledger, found, may_replace=False)) == {"lost": 1, "doubled": 1}


def test_two_receipts_are_a_double() -> None:
    ledger, found = one_confirmed()
    ledger.drafts["d1"].add_receipt(receipt_of("d1", second=31))
    assert verdict(ledger, found) == {"doubled": 1}


def test_a_receipt_beside_an_expiry_or_a_discard_is_a_double() -> None:
    ledger, found = one_confirmed()
    ledger.drafts["d1"].refusals.append("draft_expired")
    assert verdict(ledger, found) == {"doubled": 1}
    ledger.drafts["d1"].refusals.clear()
    ledger.drafts["d1"].given_up_by = "an acknowledged discard"
    assert verdict(ledger, found) == {"doubled": 1}


def test_two_published_keys_and_two_confirmed_events_are_doubles() -> None:
    ledger, found = one_confirmed()
    keys = [*found.keys, KeyRow(f"{NAME}~2", "d1", "published")]
    assert verdict(ledger, replace(found, keys=keys))["doubled"] == 1
    assert verdict(ledger, replace(found, confirmed_twice=["d1"])) == {"doubled": 1}


def test_keys_nobody_names_are_leaked() -> None:
    ledger, found = one_confirmed()
    assert verdict(ledger, replace(found, draft_bucket=["t/1"])) == {"leaked": 1}
    assert verdict(ledger, replace(found, main_bucket=[NAME, f"{NAME}~2"])) == {"leaked": 1}


def test_a_bundle_of_which_a_part_is_visible_is_half_done() -> None:
    ledger, found = one_confirmed()
    gone = DraftRow("d2", "other", "purged", None, due=False)
    ledger.bundles.append(Bundle(["d1", "d2"]))
    assert verdict(ledger, replace(found, drafts=found.drafts | {"d2": gone})) == {"half": 1}


def test_a_bundle_that_became_visible_piece_by_piece_is_half_done() -> None:
    ledger, found = one_confirmed()
    two = second_confirmed(ledger, found, may_replace=True)
    ledger.bundles.append(Bundle(["d1", "d2"]))
    assert verdict(ledger, two) == {"half": 1}


def test_an_event_the_feed_skipped_is_lost_and_one_it_told_twice_is_a_double() -> None:
    ledger, found = one_confirmed()
    ledger.events_read[:] = [2, 2]
    assert verdict(ledger, found) == {"lost": 1, "doubled": 1}


def test_what_a_client_noticed_itself_counts() -> None:
    ledger, found = one_confirmed()
    ledger.lost.append("a commit before its deadline was refused")
    ledger.doubled.append("committed and rolled back")
    assert verdict(ledger, found) == {"lost": 1, "doubled": 1}


def test_what_never_ends_is_stuck() -> None:
    ledger, found = one_confirmed()
    waiting = DraftRow("d2", "other", "confirming", None, due=True)
    assert verdict(ledger, replace(found, drafts=found.drafts | {"d2": waiting})) == {"stuck": 1}
    assert verdict(ledger, replace(found, keys=[*found.keys, KeyRow("k", "d2", "garbage")])) == {"stuck": 1}
    assert verdict(ledger, replace(found, open_confirmations=["c1"])) == {"stuck": 1}
    ledger.unsettled.append("no final answer: confirm")
    assert verdict(ledger, found) == {"stuck": 1}
