"""A flood leaves a trace and no flood of traces."""

from draftstore_common.kit import throttle
from draftstore_common.kit.throttle import Throttle


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_pass_and_the_rest_is_held_back_until_the_window_is_over() -> None:
    clock = Clock()
    limited = Throttle(2, 60, clock=clock)
    assert [limited.admit("a") for _ in range(4)] == [0, 0, None, None]
    clock.now += 59
    assert limited.admit("a") is None
    clock.now += 1
    assert [limited.admit("a") for _ in range(3)] == [3, 0, None]


def test_each_name_has_a_window_of_its_own() -> None:
    limited = Throttle(1, 60, clock=Clock())
    assert [limited.admit(name) for name in ("a", "b", "a", "b")] == [0, 0, None, None]


def test_what_was_held_back_is_told_once_however_long_ago_it_was() -> None:
    clock = Clock()
    limited = Throttle(1, 60, clock=clock)
    assert [limited.admit("a") for _ in range(3)] == [0, None, None]
    clock.now += 10_000
    assert limited.admit("a") == 2
    clock.now += 10_000
    assert limited.admit("a") == 0


def test_names_made_up_by_the_thousand_take_no_more_room() -> None:
    limited = Throttle(1, 60, clock=Clock())
    assert limited.admit("kept") == 0
    for number in range(throttle.CAPACITY - 1):
        limited.admit(str(number))
    assert limited.admit("kept") is None
    limited.admit("one more")
    assert len(limited._windows) == throttle.CAPACITY
    assert limited.admit("kept") is None, "what is in use stays"
    assert limited.admit("0") == 0, "what was unused for longest went"
