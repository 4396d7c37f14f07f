"""How much of the machine others used meanwhile: figures of a machine that is shared are not worth much."""

import os
from collections.abc import Callable
from pathlib import Path

TOO_MUCH = 0.1
"""Of all cores. Beyond it no target is called met or missed."""

_TICKS = os.sysconf("SC_CLK_TCK")


def watched() -> Callable[[], float]:
    """Asks for the share of all cores' time that others used since now.

    Ours is what this process used and what it waited for, so ask when everything it started has ended.
    """
    busy, total, own = _machine_and_own()

    def share() -> float:
        busy_now, total_now, own_now = _machine_and_own()
        others = (busy_now - busy) - (own_now - own)
        return round(max(0.0, others / max(total_now - total, 1 / _TICKS)), 3)

    return share


def _machine_and_own() -> tuple[float, float, float]:
    """Seconds of all cores that were busy, and all seconds (proc_stat(5)); seconds of ours."""
    fields = [int(field) / _TICKS for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields), sum(os.times()[:4])
