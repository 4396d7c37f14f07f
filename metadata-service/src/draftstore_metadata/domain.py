"""The life of a draft as data, and the keys bytes lie under. Pure: no SQL, no HTTP."""

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from draftstore_common.contracts.drafts import DraftState
from draftstore_common.contracts.names import MAX_SEGMENT_BYTES
from draftstore_common.kit.ids import random_base62

TRANSITIONS: Mapping[DraftState, frozenset[DraftState]] = MappingProxyType(
    {
        "open": frozenset({"uploaded", "confirming", "expired", "discarded"}),
        "uploaded": frozenset({"confirming", "expired", "discarded"}),
        "confirming": frozenset({"confirmed", "prepared", "uploaded", "open"}),
        "prepared": frozenset({"confirmed", "uploaded"}),
        "confirmed": frozenset(),
        "expired": frozenset({"uploaded", "open", "purging"}),
        "discarded": frozenset({"purging"}),
        "purging": frozenset({"purged"}),
        "purged": frozenset(),
    }
)
"""Every way a draft may go. Statements take their source states from here, so the database enforces this table."""

TAKES_BYTES: tuple[DraftState, ...] = ("open", "uploaded")
"""Bytes may come, and anything may be done with the draft."""

CLAIMED: tuple[DraftState, ...] = ("confirming", "prepared")
"""One attempt, or one caller's hold, owns the draft until `lease_expires_at`."""

LIVING = TAKES_BYTES + CLAIMED

BYTES_GO: tuple[DraftState, ...] = ("confirmed", "expired", "discarded", "purging", "purged")
"""The draft's bytes are to be removed, at once or once more."""

WRITE_SLACK = timedelta(minutes=15)
"""How long after its URL's deadline a PUT that began in time may still land (`write_horizon_at`)."""

RECOVERY_TTL = timedelta(minutes=10)
"""What a draft has left to live, at least, when a dead confirm attempt gives it back."""

IDEMPOTENCY_TTL = timedelta(hours=24)
"""How long an `Idempotency-Key` is remembered."""

COPY_HORIZON = timedelta(hours=1)
"""How long after a key's first deletion a copy onto it may still land, besides the time its bytes take."""

SHORT_ID = 8

DRAFT_KEY_LENGTH = 27

_DRAFT_KEY = re.compile(rf"[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}/[0-9A-Za-z]{{{DRAFT_KEY_LENGTH}}}")


def sources(target: DraftState) -> list[DraftState]:
    """The states from which a draft may become `target`."""
    return [state for state, targets in TRANSITIONS.items() if target in targets]


def warning_lead(lifetime: timedelta, longest: timedelta) -> timedelta | None:
    """How long before its end a draft is warned of: `longest`, or a quarter of a short life. None: not at all."""
    return min(longest, lifetime / 4) or None


def draft_key(tenant_id: UUID) -> str:
    """A fresh key in the draft bucket: random, so that no two attempts touch and no name can be guessed from it."""
    return f"{tenant_id}/{random_base62(DRAFT_KEY_LENGTH)}"


def is_draft_key(key: str) -> bool:
    """Whether a key of the draft bucket is of the shape of ours."""
    return _DRAFT_KEY.fullmatch(key) is not None


def fresh_key(plain: str) -> str:
    """`<plain>~<short id>`, its last segment cut where the suffix would pass what stores take."""
    suffix = f"~{random_base62(SHORT_ID)}"
    folder, slash, segment = plain.rpartition("/")
    room = MAX_SEGMENT_BYTES - len(suffix)
    return f"{folder}{slash}{segment.encode()[:room].decode(errors='ignore')}{suffix}"
