"""Which measurement makes which lines, and where it happens. What happens in one place happens there in order."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from bench.harness import Bench
from bench.measures import batch, clean, confirm, gateway, hot, memory, presign, start
from bench.results import Figures
from bench.site import site


@dataclass(frozen=True)
class Step:
    """A measurement and the lines it makes."""

    lines: tuple[str, ...]
    measure: Callable[[Any], Awaitable[list[Figures]]]


@dataclass(frozen=True)
class Group:
    """Steps that share what `place` opens."""

    place: Callable[[Bench], AbstractAsyncContextManager[Any]]
    steps: tuple[Step, ...]


PLAN = (
    Group(presign.here, (Step(("presign",), presign.measure), Step(("start",), start.measure))),
    Group(gateway.proxies, (Step(("gateway",), gateway.measure),)),
    Group(
        site,
        (
            Step(("memory-idle", "memory-growth"), memory.measure),
            Step(("create", "download-url"), hot.create_and_download),
            Step(("create-p99",), hot.create_at_half),
            Step(("batch",), batch.measure),
            Step(("confirm",), confirm.measure),
        ),
    ),
    Group(lambda bench: site(bench, "processes"), (Step(("create-processes",), hot.create_apart),)),
    Group(
        clean.places,
        (
            Step(("clean",), clean.beside_deletes),
            Step(("clean-among-rows",), clean.among_rows),
            Step(("clean-among-objects",), clean.among_objects),
        ),
    ),
)
