"""Which keys are safe on every store, and how a large copy is cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draftstore_storage.domain import MAX_PARTS, check_key, copy_ranges, full_sha256
from draftstore_storage.errors import InvalidKey

GIB = 1024**3


@pytest.mark.parametrize("key", ["a", "a/b", "a b+~ü/名.txt", "s" * 255, "/".join(["s" * 203] * 5), "...", "a..b", " "])
def test_a_key_every_store_keeps_apart_is_accepted(key: str) -> None:
    assert check_key("draft", key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/.",
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "\ud800",
        "s" * 256,
        "ü" * 128,
        "/".join(["s" * 204] * 5 + ["s"]),
        "a/${filename}",
    ],
)
def test_a_key_that_some_store_would_fold_or_refuse_is_invalid(key: str) -> None:
    with pytest.raises(InvalidKey):
        check_key("draft", key)


@settings(deadline=None)
@given(size=st.integers(1, 60 * 1024 * GIB), part_size=st.integers(5 * 1024**2, 5 * GIB))
def test_ranges_cover_every_byte_once_in_at_most_ten_thousand_parts(size: int, part_size: int) -> None:
    ranges = list(copy_ranges(size, part_size))
    assert len(ranges) <= MAX_PARTS
    assert (ranges[0].first, ranges[-1].last) == (0, size - 1)
    assert all(after.first == before.last + 1 for before, after in pairwise(ranges))


def test_the_last_range_ends_with_the_last_byte() -> None:
    assert [str(piece) for piece in copy_ranges(25, 10)] == ["bytes=0-9", "bytes=10-19", "bytes=20-24"]


def test_a_checksum_of_checksums_is_not_taken_for_the_objects() -> None:
    whole = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    assert full_sha256(whole) == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert full_sha256(f"{whole}-3") is None
    assert full_sha256(None) is None
