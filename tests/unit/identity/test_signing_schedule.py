"""When a signing key gets a successor."""

from datetime import UTC, datetime, timedelta

import pytest

from draftstore_common.kit.tokens import LEEWAY, MAX_AGE, MAX_IDLE
from draftstore_identity.service.signing_keys import REREAD
from draftstore_identity.signing import PRINCIPAL_TOKEN_TTL, SERVICE_TOKEN_TTL
from draftstore_identity.signing_schedule import KEPT_AFTER, PUBLISHED_AHEAD, WITHDRAWN_AFTER, Published, PublishedKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LIFETIME = timedelta(days=30)


def published(*ages: timedelta) -> Published:
    """Keys that began to sign so long ago, or will."""
    keys = sorted((PublishedKey(str(number), NOW - age) for number, age in enumerate(ages)), key=lambda k: k.active_at)
    return Published(tuple(reversed(keys)), NOW)


@pytest.mark.parametrize(
    ("age", "signs_at"),
    [
        (timedelta(), None),
        (LIFETIME - PUBLISHED_AHEAD - timedelta(seconds=1), None),
        (LIFETIME - PUBLISHED_AHEAD, NOW + PUBLISHED_AHEAD),
        (LIFETIME - timedelta(seconds=1), NOW + PUBLISHED_AHEAD),
        (LIFETIME * 5, NOW + PUBLISHED_AHEAD),
    ],
)
def test_the_next_key_is_published_ten_minutes_before_the_present_one_is_over(
    age: timedelta, signs_at: datetime | None
) -> None:
    assert published(age).successor_due(LIFETIME) == signs_at


def test_one_successor_is_enough() -> None:
    assert published(LIFETIME * 2, -timedelta(minutes=5)).successor_due(LIFETIME) is None


def test_without_a_key_nothing_is_due() -> None:
    assert published().successor_due(LIFETIME) is None


def test_the_latest_key_that_has_begun_signs_and_the_first_that_has_not_is_next() -> None:
    keys = published(timedelta(days=40), timedelta(days=10), -timedelta(minutes=5), -timedelta(days=30))
    assert (keys.current, keys.successor) == (keys.keys[2], keys.keys[1])


def test_no_service_meets_a_token_whose_key_it_cannot_know_or_does_not_know_any_more() -> None:
    assert PUBLISHED_AHEAD.total_seconds() > max(MAX_AGE, MAX_IDLE) + REREAD
    assert KEPT_AFTER.total_seconds() > REREAD + max(PRINCIPAL_TOKEN_TTL, SERVICE_TOKEN_TTL).total_seconds() + LEEWAY
    assert timedelta(seconds=5) < WITHDRAWN_AFTER < timedelta(seconds=30), "longer than a gateway uses a token"
