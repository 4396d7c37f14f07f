"""Repeats are few, and every request earns a part of one."""

from draftstore_gateway.upstreams.retries import RESERVE, WINDOW, RetryBudget


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _taken(budget: RetryBudget, attempts: int = 100) -> int:
    return sum(budget.take() for _ in range(attempts))


def test_a_quiet_gateway_has_a_reserve() -> None:
    assert _taken(RetryBudget(Clock())) == RESERVE


def test_five_requests_earn_one_repeat() -> None:
    budget = RetryBudget(Clock())
    for _ in range(50):
        budget.note()
    assert _taken(budget) == RESERVE + 10


def test_what_was_earned_and_spent_is_forgotten_after_the_window() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(50):
        budget.note()
    assert _taken(budget) == RESERVE + 10
    clock.now += WINDOW
    assert _taken(budget) == RESERVE


def test_requests_of_the_whole_window_count() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(WINDOW):
        for _ in range(10):
            budget.note()
        clock.now += 0.99
    assert _taken(budget) == RESERVE + 20
