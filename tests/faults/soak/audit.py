"""The verdict: what was acknowledged against what is there. Pure, so that its own tests can show it fail.

lost      an acknowledged receipt whose object is missing or has other bytes, and that no later operation explains;
          bytes the store acknowledged, and a confirm did not find; an event the feed skipped
doubled   a draft with two receipts, two published keys, two ends; a name published twice without a will to replace;
          an event the feed told twice
leaked    a key in the draft bucket, or one in the main bucket that no object row names
stuck     a draft in a state that is no end, a key nobody will remove, a request without a final answer
half      a bundle of which some drafts are visible and some are not
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Literal

from faults.soak.ledger import DraftFacts, Ledger, Put
from faults.soak.snapshot import Content, DraftRow, ObjectRow, Snapshot

Kind = Literal["lost", "doubled", "leaked", "stuck", "half"]
KINDS: tuple[Kind, ...] = ("lost", "doubled", "leaked", "stuck", "half")

Findings = dict[Kind, list[str]]

_ENDS = frozenset({"confirmed", "purged"})
_ENDED_OTHERWISE = frozenset({"draft_expired", "draft_discarded"})


def audit(ledger: Ledger, found: Snapshot) -> Findings:
    """Every violation, each as a sentence that names the ids concerned."""
    return {
        "lost": [
            *_lost_receipts(ledger, found),
            *_wrong_bytes(ledger, found),
            *_lost_uploads(ledger),
            *_skipped(ledger, found),
            *ledger.lost,
        ],
        "doubled": [
            *_two_receipts(ledger, found),
            *_two_ends(ledger),
            *_two_keys(found),
            *_names(ledger, found),
            *(
                f"the feed told event {event} twice"
                for event, count in Counter(ledger.events_read).items()
                if count > 1
            ),
            *ledger.doubled,
        ],
        "leaked": [*_leaked(found)],
        "stuck": [*_stuck(found), *ledger.unsettled],
        "half": [*_half(ledger, found)],
    }


def _lost_receipts(ledger: Ledger, found: Snapshot) -> Iterator[str]:
    replaced_last = _last_replacements(ledger, found)
    for draft in ledger.drafts.values():
        row = found.drafts.get(draft.id)
        if draft.receipts and (row is None or row.receipt is None):
            yield f"draft {draft.id} has an acknowledged receipt, its row is {row.state if row else 'gone'}"
        if row is None or row.receipt is None or _is_there(found.objects.get(draft.object_name), row):
            continue
        since = _confirmed_at(row)
        if ledger.may_have_deleted(draft.object_name, since) or replaced_last.get(draft.object_name, 0) >= since:
            continue
        yield f"the object {draft.object_name} of draft {draft.id} is gone, and nobody deleted or replaced it"


def _is_there(found: ObjectRow | None, draft: DraftRow) -> bool:
    return found is not None and found.draft_id == draft.id


def _last_replacements(ledger: Ledger, found: Snapshot) -> dict[str, float]:
    """When a name was last taken by a draft whose client wanted to replace."""
    last: dict[str, float] = defaultdict(float)
    for draft in ledger.drafts.values():
        row = found.drafts.get(draft.id)
        if draft.may_replace and row is not None and row.receipt is not None:
            last[draft.object_name] = max(last[draft.object_name], _confirmed_at(row))
    return last


def _wrong_bytes(ledger: Ledger, found: Snapshot) -> Iterator[str]:
    for row in found.objects.values():
        content = found.contents.get(row.storage_key)
        draft = ledger.drafts.get(row.draft_id)
        if content is None:
            yield f"the object {row.object_name} of draft {row.draft_id} has no bytes at {row.storage_key}"
        elif draft is None:
            yield f"the object {row.object_name} is of draft {row.draft_id}, which nobody made"
        elif not any(_agrees(put, content, row) for put in draft.publishable()):
            yield f"the object {row.object_name} of draft {row.draft_id} has bytes that were not meant: {content}"
        elif not _as_promised(found.drafts[row.draft_id], row):
            yield f"the object {row.object_name} of draft {row.draft_id} is not what its receipt says"


def _agrees(put: Put, content: Content, row: ObjectRow) -> bool:
    """Whether these are the bytes there, of the size that was judged, with the ETag the store acknowledged."""
    return put.sha256 == content.sha256 and put.etag in {None, row.etag} and content.size == row.size


def _as_promised(draft: DraftRow, row: ObjectRow) -> bool:
    promised = draft.receipt or {}
    shown = (row.final_location, row.etag, row.size, row.object_name)
    return shown == tuple(promised.get(name) for name in ("final_location", "etag", "size", "object_name"))


def _lost_uploads(ledger: Ledger) -> Iterator[str]:
    for draft in ledger.drafts.values():
        before = any(put.acknowledged and put.ended_at <= draft.first_confirm_at for put in draft.puts)
        if before and "draft_not_uploaded" in draft.refusals:
            yield f"the bytes of draft {draft.id} were acknowledged, and its confirm did not find them"


def _skipped(ledger: Ledger, found: Snapshot) -> Iterator[str]:
    yield from (f"the feed skipped event {event}" for event in sorted(found.events - set(ledger.events_read)))


def _two_receipts(ledger: Ledger, found: Snapshot) -> Iterator[str]:
    for draft in ledger.drafts.values():
        row = found.drafts.get(draft.id)
        known = [receipt for receipt in (row.receipt if row else None,) if receipt is not None]
        different = [receipt for receipt in draft.receipts if receipt not in known]
        if len(known) + len(different) > 1:
            yield f"draft {draft.id} has different receipts: {[*known, *different]}"
    yield from (f"draft {draft_id} was confirmed twice, its events say" for draft_id in found.confirmed_twice)


def _two_ends(ledger: Ledger) -> Iterator[str]:
    for draft in ledger.drafts.values():
        told = _ENDED_OTHERWISE.intersection(draft.refusals) | ({draft.given_up_by} if draft.given_up_by else set())
        if draft.receipts and told:
            yield f"draft {draft.id} was confirmed, and its client was also told of {sorted(told)}"


def _two_keys(found: Snapshot) -> Iterator[str]:
    published = Counter(key.draft_id for key in found.keys if key.state == "published")
    yield from (f"draft {draft_id} has {count} published keys" for draft_id, count in published.items() if count > 1)


def _names(ledger: Ledger, found: Snapshot) -> Iterator[str]:
    """Names that drafts without a will to replace published one after another, with no delete between them."""
    by_name: dict[str, list[tuple[float, DraftFacts]]] = defaultdict(list)
    for draft in ledger.drafts.values():
        row = found.drafts.get(draft.id)
        if row is not None and row.receipt is not None:
            by_name[draft.object_name].append((_confirmed_at(row), draft))
    for name, published in by_name.items():
        for (before, _), (_, draft) in pairwise(sorted(published, key=lambda each: each[0])):
            if not draft.may_replace and not ledger.may_have_deleted(name, before):
                yield f"draft {draft.id} was published as {name}, which was taken, without leave to replace it"


def _leaked(found: Snapshot) -> Iterator[str]:
    yield from (f"the draft bucket still holds {key}" for key in found.draft_bucket)
    named = {row.storage_key for row in found.objects.values()}
    owners = {key.storage_key: f"{key.state}, draft {key.draft_id}" for key in found.keys}
    for key in found.main_bucket:
        if key not in named:
            yield f"the main bucket holds {key} ({owners.get(key, 'no live row of a key')}), which no object names"


def _stuck(found: Snapshot) -> Iterator[str]:
    for draft in found.drafts.values():
        if draft.state not in _ENDS or draft.due:
            yield f"draft {draft.id} is {draft.state}{' and due' if draft.due else ''} after all"
    yield from (f"confirmation {row} never ended" for row in found.open_confirmations)
    named = {row.storage_key for row in found.objects.values()}
    for key in found.keys:
        if key.state != "published" or key.storage_key not in named:
            yield f"the key {key.storage_key} of draft {key.draft_id} stays {key.state}, and nothing will remove it"


def _half(ledger: Ledger, found: Snapshot) -> Iterator[str]:
    for bundle in ledger.bundles:
        rows = [found.drafts[draft_id] for draft_id in bundle.draft_ids]
        instants = {_confirmed_at(row) if row.receipt is not None else None for row in rows}
        if len(instants) > 1:
            told = ", ".join(f"{row.id} {row.state}" for row in rows)
            yield f"a bundle became visible in parts: {told}"


def _confirmed_at(row: DraftRow) -> float:
    assert row.receipt is not None
    return datetime.fromisoformat(row.receipt["confirmed_at"]).timestamp()
