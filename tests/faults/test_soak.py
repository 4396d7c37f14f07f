"""A bounded part of the long run (`make soak`): the same clients, the same harm, the same audit."""

from pathlib import Path

from faults.soak.plan import Plan
from faults.soak.run import soak

RACES = 400


async def test_nothing_is_lost_doubled_leaked_stuck_or_half_done_while_everything_is_killed(data_dir: Path) -> None:
    plan = Plan(races=RACES, seconds=300, seed=3, workers=32, pause=(1.0, 2.0))
    report = await soak(plan, data_dir, print)
    assert not report.failed, f"{report.problems()}\n{report.markdown()}"
    ends = report.ledger.races
    assert ends["confirmed"] > 0
    assert ends["draft_expired"] > 0, "nothing was raced"
    assert report.ledger.faults.total() >= 5, report.ledger.faults
