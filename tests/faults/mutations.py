"""What the confirm protocol stands on, and the promise that breaks without it.

Each entry takes one safeguard out of the product's source. The test it names must then fail, by an assertion: so the
test watches that safeguard, and the safeguard is what keeps the promise.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """A safeguard, its text as it stands once in a file, what stands there without it, and the test that notices."""

    safeguard: str
    file: str
    original: str
    mutated: str
    test: str


METADATA = "metadata-service/src/draftstore_metadata"
STORAGE = "storage-service/src/draftstore_storage"

MUTATIONS = [
    Mutation(
        safeguard="a draft moves only from a state that allows it (compare-and-set)",
        file=f"{METADATA}/store/rows.py",
        original="AND d.id = $2 AND d.state IN ({as_list(sources(target))}) AND ({where})",
        mutated="AND d.id = $2 AND ({where})",
        test="test_one_holder.py::test_a_discard_during_a_confirm_is_refused",
    ),
    Mutation(
        safeguard="an attempt is recovered only when its lease is over",
        file=f"{METADATA}/service.py",
        original="""case "confirming" if row["lease_expires_at"] > row["now"]:""",
        mutated="""case "confirming" if row["lease_expires_at"] < row["now"]:""",
        test="test_one_holder.py::test_an_attempt_whose_lease_lasts_is_not_taken_over",
    ),
    Mutation(
        safeguard="only the holder of the newest fencing number publishes",
        file=f"{METADATA}/store/confirm.py",
        original="WHERE d.tenant_id = $1 AND d.id = $2 AND d.state = 'confirming' AND d.fence = $3 FOR UPDATE",
        mutated="WHERE d.tenant_id = $1 AND d.id = $2 AND d.state = 'confirming' AND d.fence >= $3 FOR UPDATE",
        test="test_one_holder.py::test_a_stale_holder_can_neither_publish_nor_give_back_what_another_holds[same bytes]",
    ),
    Mutation(
        safeguard="a copy is pinned to the ETag that was judged",
        file=f"{STORAGE}/backends/s3/objects.py",
        original="""            "CopySourceIfMatch": f'"{if_match}"',\n""",
        mutated="",
        test="test_slow_puts.py::test_bytes_that_change_between_judgement_and_copy_are_not_published[seaweedfs]",
    ),
    Mutation(
        safeguard="a key of the main bucket is written once: other bytes of a draft get another",
        file=f"{METADATA}/store/confirm.py",
        original="WHERE draft_id = $1 AND source_etag = $2 AND state = 'reserved'",
        mutated="WHERE draft_id = $1 AND $2 <> '' AND state = 'reserved'",
        test="test_crash_points.py::test_the_late_copy_of_other_bytes_lands_where_nobody_looks_and_is_removed",
    ),
    Mutation(
        safeguard="metadata is replaced by what was judged",
        file=f"{STORAGE}/backends/s3/objects.py",
        original='"MetadataDirective": "REPLACE"',
        mutated='"MetadataDirective": "COPY"',
        test="test_slow_puts.py::test_metadata_that_came_with_the_bytes_is_not_published_either[seaweedfs]",
    ),
    Mutation(
        safeguard="draft bytes are deleted again after the write horizon",
        file=f"{METADATA}/store/due.py",
        original="purge_due_at = CASE WHEN old.final THEN NULL ELSE d.write_horizon_at END",
        mutated="purge_due_at = NULL",
        test="test_slow_puts.py::test_a_slow_put_that_lands_after_purge_is_removed_again_at_the_write_horizon"
        "[seaweedfs-discarded]",
    ),
    Mutation(
        safeguard="garbage in the main bucket is deleted again after the longest a copy may take",
        file=f"{METADATA}/store/due.py",
        original="r.final FROM metadata.object_keys k",
        mutated="true AS final FROM metadata.object_keys k",
        test="test_crash_points.py::test_the_late_copy_of_other_bytes_lands_where_nobody_looks_and_is_removed",
    ),
]
