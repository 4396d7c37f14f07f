"""A verdict serves until it is too old or a change to its key or tenant was heard of, whatever comes first."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from draftstore_common.contracts.identity import Audience, Change, Principal, Verdict
from draftstore_common.kit.ids import uuid7
from draftstore_gateway import verdict_cache
from draftstore_gateway.verdict_cache import VERDICT_TTL, VERIFY_TIMEOUT, Judged, VerdictCache

SECRET = (b"digest", Audience.DRAFTS)
OTHER = (b"another", Audience.DRAFTS)
KEY, TENANT = uuid7(), uuid7()


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _verdict(sequence: int, *, key_id: UUID = KEY, token_lives: float = 60) -> Verdict:
    return Verdict(
        principal=Principal(tenant_id=TENANT, key_id=key_id, lineage=key_id, kind="data"),
        token="a token",
        token_expires_at=datetime.now(UTC) + timedelta(seconds=token_lives),
        sequence=sequence,
    )


def _holding(verdict: Verdict) -> VerdictCache:
    cache = VerdictCache()
    cache.put(SECRET, Judged(verdict, cache.begin()))
    return cache


def _change(sequence: int, subject_id: UUID) -> Change:
    return Change(sequence=sequence, subject="tenant" if subject_id == TENANT else "key", subject_id=subject_id)


def test_a_verdict_serves_its_secret_and_audience_and_no_other() -> None:
    cache = _holding(_verdict(5))
    assert cache.get(SECRET) is not None
    assert cache.get(OTHER) is None
    assert cache.get((SECRET[0], Audience.IDENTITY)) is None


def test_a_verdict_is_too_old_after_its_time_counted_from_before_the_question() -> None:
    clock = _Clock()
    cache = VerdictCache(clock=clock)
    question = cache.begin()
    clock.now += 3
    cache.put(SECRET, Judged(_verdict(5), question))
    clock.now = question.asked_at + VERDICT_TTL - 0.001
    assert cache.get(SECRET) is not None
    clock.now = question.asked_at + VERDICT_TTL
    assert cache.get(SECRET) is None


def test_the_age_of_a_verdict_leaves_a_second_of_the_published_bound() -> None:
    assert max(VERDICT_TTL, VERIFY_TIMEOUT) <= 4


def test_an_answer_that_came_too_late_is_not_usable() -> None:
    clock = _Clock()
    cache = VerdictCache(clock=clock)
    judged = Judged(_verdict(5), cache.begin())
    assert cache.usable(judged)
    clock.now += VERIFY_TIMEOUT
    assert not cache.usable(judged)


@pytest.mark.parametrize("subject", [KEY, TENANT], ids=["its key", "its tenant"])
def test_a_later_change_ends_a_verdict_and_an_earlier_one_does_not(subject: UUID) -> None:
    cache = _holding(_verdict(5))
    cache.note([_change(5, subject)])
    assert cache.get(SECRET) is not None
    cache.note([_change(6, subject)])
    assert cache.get(SECRET) is None


def test_an_older_change_that_is_told_again_undoes_nothing() -> None:
    cache = _holding(_verdict(5))
    cache.note([_change(6, KEY), _change(4, KEY)])
    assert cache.get(SECRET) is None


def test_a_change_to_another_key_ends_nothing() -> None:
    cache = _holding(_verdict(5))
    cache.note([_change(6, uuid7())])
    assert cache.get(SECRET) is not None


@pytest.mark.parametrize("subject", [KEY, TENANT], ids=["its key", "its tenant"])
def test_an_answer_overtaken_by_a_change_is_not_usable(subject: UUID) -> None:
    cache = VerdictCache()
    question = cache.begin()
    cache.note([_change(6, subject)])
    assert not cache.usable(Judged(_verdict(5), question))
    assert cache.usable(Judged(_verdict(6), question))


def test_changes_that_are_forgotten_end_every_verdict_older_than_they(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_cache, "SUBJECTS", 2)
    cache = _holding(_verdict(5))
    cache.note([_change(6, KEY), _change(7, uuid7()), _change(8, uuid7())])
    assert not cache.usable(Judged(_verdict(5), cache.begin()))
    assert cache.usable(Judged(_verdict(6), cache.begin()))
    assert not cache.usable(Judged(_verdict(5, key_id=uuid7()), cache.begin()))


def test_a_key_that_changes_often_is_one_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_cache, "SUBJECTS", 2)
    cache = _holding(_verdict(5))
    other = uuid7()
    cache.note([_change(number, other) for number in range(6, 20)])
    assert cache.get(SECRET) is not None


def test_a_restart_ends_every_verdict_and_every_question_under_way() -> None:
    cache = _holding(_verdict(5))
    under_way = cache.begin()
    cache.restart(3)  # an older copy of the database: its numbers begin again below those we know
    assert cache.get(SECRET) is None
    assert not cache.usable(Judged(_verdict(9), under_way))
    assert cache.usable(Judged(_verdict(3), cache.begin()))
    assert not cache.usable(Judged(_verdict(2), cache.begin()))


def test_a_token_about_to_expire_is_not_handed_on() -> None:
    assert _holding(_verdict(5, token_lives=verdict_cache.TOKEN_MARGIN - 1)).get(SECRET) is None
