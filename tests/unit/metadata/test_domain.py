"""The table of transitions, and the keys bytes lie under."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.drafts import DraftState
from draftstore_common.contracts.names import MAX_NAME_BYTES, MAX_SEGMENT_BYTES, check_object_name
from draftstore_metadata.domain import (
    BYTES_GO,
    CLAIMED,
    LIVING,
    TAKES_BYTES,
    TRANSITIONS,
    draft_key,
    fresh_key,
    sources,
)

MAX_S3_KEY_BYTES = 1024


def test_the_table_knows_every_state_and_no_other() -> None:
    assert set(TRANSITIONS) == set(get_args(DraftState))
    assert frozenset().union(*TRANSITIONS.values()) <= set(TRANSITIONS)


def test_every_draft_either_lives_or_its_bytes_go() -> None:
    assert sorted(LIVING + BYTES_GO) == sorted(TRANSITIONS)
    assert sorted(TAKES_BYTES + CLAIMED) == sorted(LIVING)


def test_confirmed_and_purged_are_the_only_ends() -> None:
    assert {state for state, targets in TRANSITIONS.items() if not targets} == {"confirmed", "purged"}


def test_nothing_whose_bytes_are_going_can_be_confirmed() -> None:
    assert set(sources("confirmed")) == {"confirming", "prepared"}
    assert set(sources("confirming")) == {"open", "uploaded"}
    assert TRANSITIONS["purging"] == {"purged"}


def test_draft_keys_never_repeat_and_tell_nothing_but_the_tenant() -> None:
    keys = {draft_key(DEFAULT_TENANT_ID) for _ in range(1000)}
    assert len(keys) == 1000
    assert all(key.startswith(f"{DEFAULT_TENANT_ID}/") for key in keys)


_SEGMENT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), min_size=1, max_size=255)


def _valid(name: str) -> bool:
    try:
        return check_object_name(name) == name
    except ValueError:
        return False


@given(st.lists(_SEGMENT, min_size=1, max_size=4).map("/".join).filter(_valid), st.uuids())
def test_a_fresh_key_fits_every_store_however_long_the_name(name: str, tenant: object) -> None:
    plain = f"tenants/{tenant}/{'b' * 63}/{name}"
    key = fresh_key(plain)
    assert key != fresh_key(plain)
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert len(key.encode()) <= MAX_S3_KEY_BYTES
    assert all(len(segment.encode()) <= MAX_SEGMENT_BYTES for segment in key.split("/"))
    assert key.rpartition("/")[0] == plain.rpartition("/")[0]
