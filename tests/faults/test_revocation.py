"""The published bound: a revoked key is admitted for at most a second more, and five where the feed is cut.

A small version of `make bench-revocation`, which measures it over a thousand revocations.
"""

from pathlib import Path

import pytest

from support.revocation_measure import Plan, measure
from support.revocation_site import revocation_site
from support.servers import make_postgres


@pytest.fixture
def folder(data_dir: Path) -> Path:
    """Where the processes keep their logs."""
    return data_dir.parent


async def test_with_the_feed_a_revoked_key_works_for_at_most_a_second(data_dir: Path, folder: Path) -> None:
    async with make_postgres(data_dir) as postgres, revocation_site(postgres, folder, feed=True) as site:
        measured = await measure(site, Plan(revocations=60, at_once=10, watch=1.5))
    assert len(measured.seconds) == 60
    assert max(measured.seconds) <= 1
    assert set(measured.others) == {200}


async def test_with_the_feed_cut_a_revoked_key_works_for_at_most_five_seconds(data_dir: Path, folder: Path) -> None:
    async with make_postgres(data_dir) as postgres, revocation_site(postgres, folder, feed=False) as site:
        measured = await measure(site, Plan(revocations=20, at_once=20, watch=5.5, pace=0.15))
    assert len(measured.seconds) == 20
    assert 1 < max(measured.seconds) <= 5, "a cut feed makes a difference"
    assert set(measured.others) == {200}
