"""How long and how hard."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """A run ends when there were so many races, or after so many seconds at the latest.

    `pause` is how long nothing goes wrong between two faults: seconds, from and to.
    """

    races: int
    seconds: float
    seed: int
    workers: int = 48
    pause: tuple[float, float] = (3.0, 7.0)
