"""What the confirm protocol stands on, and the promise that breaks without it.

Each entry takes one safeguard out of a package's source. The test it names must then fail, by an assertion: so the
test watches that safeguard, and the safeguard is what keeps the promise.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that stands exactly once in a file of a package, and what stands there in the mutant."""

    file: str
    original: str
    mutated: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A safeguard, the edits that take it out of a package wherever it stands, and the test that notices."""

    safeguard: str
    package: str
    edits: tuple[Edit, ...]
    test: str


METADATA = "metadata-service/src/draftstore_metadata"
STORAGE = "storage-service/src/draftstore_storage"

MUTATIONS = [
    Mutation(
        safeguard="compare-and-set: a draft moves only from a state that allows it",
        package=METADATA,
        edits=(Edit("store/rows.py", "AND d.state IN ({as_list(sources(target))}) AND ({where})", "AND ({where})"),),
        test="test_one_holder.py::test_a_discard_during_a_confirm_is_refused",
    ),
    Mutation(
        safeguard="lease: an attempt is recovered only when its time is over",
        package=METADATA,
        edits=(
            Edit(
                "claiming.py",
                'case "confirming" | "prepared" if row["lease_expires_at"] <= row["now"]:',
                'case "confirming" | "prepared":',
            ),
            Edit(
                "store/claims.py",
                'where=f"d.state IN {CLAIMED} AND d.lease_expires_at <= now()"',
                'where=f"d.state IN {CLAIMED}"',
            ),
        ),
        test="test_one_holder.py::test_an_attempt_whose_lease_lasts_is_not_taken_over",
    ),
    Mutation(
        safeguard="fence: only the holder of the newest number publishes",
        package=METADATA,
        edits=(
            Edit("store/keys.py", "ON g.draft_id = d.id AND g.fence = d.fence", "ON g.draft_id = d.id"),
            Edit("store/publish.py", 'where="d.fence = g.fence"', 'where="true"'),
        ),
        test="test_one_holder.py::test_a_stale_holder_can_neither_publish_nor_give_back_what_another_holds[same bytes]",
    ),
    Mutation(
        safeguard="ETag pin: a copy is of the bytes that were judged",
        package=STORAGE,
        edits=(Edit("backends/rest/objects.py", """        "x-amz-copy-source-if-match": f'"{if_match}"',\n""", ""),),
        test="test_slow_puts.py::test_bytes_that_change_between_judgement_and_copy_are_not_published[seaweedfs]",
    ),
    Mutation(
        safeguard="write-once key: other bytes of a draft go to another key",
        package=METADATA,
        edits=(Edit("store/keys.py", " AND k.source_etag = held.etag", ""),),
        test="test_crash_points.py::test_the_late_copy_of_other_bytes_lands_where_nobody_looks_and_is_removed",
    ),
    Mutation(
        safeguard="metadata REPLACE: what an uploader slipped in is not published",
        package=STORAGE,
        edits=(
            Edit(
                "backends/rest/objects.py",
                '"x-amz-metadata-directive": "REPLACE"',
                '"x-amz-metadata-directive": "COPY"',
            ),
        ),
        test="test_slow_puts.py::test_metadata_that_came_with_the_bytes_is_not_published_either[seaweedfs]",
    ),
    Mutation(
        safeguard="second delete: draft bytes are deleted again after the write horizon",
        package=METADATA,
        edits=(
            Edit(
                "store/due.py",
                "purge_due_at = CASE WHEN old.final THEN NULL ELSE d.write_horizon_at END",
                "purge_due_at = NULL",
            ),
        ),
        test="test_slow_puts.py::test_a_slow_put_that_lands_after_purge_is_removed_again_at_the_write_horizon"
        "[seaweedfs-discarded]",
    ),
    Mutation(
        safeguard="second delete: garbage is deleted again after the longest a copy may take",
        package=METADATA,
        edits=(
            Edit(
                "store/due.py",
                "SELECT k.id, r.final\n        FROM",
                "SELECT k.id, true AS final\n        FROM",
            ),
        ),
        test="test_crash_points.py::test_the_late_copy_of_other_bytes_lands_where_nobody_looks_and_is_removed",
    ),
    Mutation(
        safeguard="a confirmation that has ended stays ended",
        package=METADATA,
        edits=(
            Edit(
                "store/confirmations.py",
                "WHERE tenant_id = $1 AND id = $2 AND state = $3 RETURNING id",
                "WHERE tenant_id = $1 AND id = $2 AND $3 <> '' RETURNING id",
            ),
        ),
        test="test_bundles.py::test_what_callers_were_told_is_over_is_not_confirmed_afterwards",
    ),
]
