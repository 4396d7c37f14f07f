"""The lines of the table: what is measured, against what, and what is wanted."""

from dataclasses import dataclass
from typing import Literal

Bound = Literal["at least", "at most"]


@dataclass(frozen=True)
class Target:
    """A bound of a line's ratio to its reference, or of its value where `of` says so."""

    bound: Bound
    amount: float
    of: Literal["ratio", "value"] = "ratio"

    def met(self, figure: float) -> bool:
        """Whether the figure keeps the bound."""
        return figure >= self.amount if self.bound == "at least" else figure <= self.amount

    def text(self, unit: str) -> str:
        """As the table shows it."""
        sign = "≥" if self.bound == "at least" else "≤"
        return f"{sign} {self.amount:g} {'×' if self.of == 'ratio' else unit}"


@dataclass(frozen=True)
class Line:
    """A line: `unit` holds for the value and for its reference."""

    name: str
    title: str
    unit: str
    reference: str
    target: Target


LINES = (
    Line(
        "create",
        "create one draft through the gateway, 64 connections, one suite process",
        "requests/s",
        "a FastAPI JSON echo on the same uvicorn",
        Target("at least", 0.35),
    ),
    Line(
        "create-processes",
        "the same, services as separate processes",
        "requests/s",
        "the same echo",
        Target("at least", 0.15),
    ),
    Line(
        "batch",
        "`POST /api/v1/drafts/batch` of 100",
        "drafts/s",
        "multi-row INSERT of the same rows (drafts and events) by asyncpg",
        Target("at least", 0.2),
    ),
    Line(
        "confirm",
        "confirm of 4 KiB drafts, 32 connections",
        "drafts/s",
        "HEAD, COPY, DELETE on the same store by the compiled client",
        Target("at least", 0.8),
    ),
    Line(
        "download-url",
        "download URL by name, 64 connections",
        "requests/s",
        "the same echo",
        Target("at least", 0.5),
    ),
    Line(
        "create-p99",
        "create at half of its saturation rate, open model: p99",
        "ms",
        "the echo at the same rate",
        Target("at most", 15, of="value"),
    ),
    Line(
        "clean",
        "clean 10,000 expired drafts",
        "drafts/s",
        "DeleteObjects of as many keys, raw",
        Target("at least", 0.7),
    ),
    Line(
        "clean-among-rows",
        "clean 1,000 expired among 2,000,000 live rows",
        "s",
        "the same among 10,000",
        Target("at most", 1.15),
    ),
    Line(
        "clean-among-objects",
        "clean 1,000 expired among 100,000 live objects",
        "drafts/s",
        "list the bucket and delete by age, with boto3",
        Target("at least", 20),
    ),
    Line(
        "gateway",
        "the gateway's own cost of a proxied request",
        "µs CPU",
        "a bare ASGI proxy on the same client library",
        Target("at most", 1.5),
    ),
    Line(
        "presign",
        "presign a PUT, byte-equal to botocore",
        "URLs/s",
        "botocore",
        Target("at least", 20),
    ),
    Line(
        "start",
        "standalone: start on warm data until ready",
        "s",
        "`weed server -s3`, on an empty folder",
        Target("at most", 1.5),
    ),
    Line(
        "memory-idle",
        "standalone: resident memory of the suite process, idle",
        "MiB",
        "—",
        Target("at most", 180, of="value"),
    ),
    Line(
        "memory-growth",
        "the same after 100,000 requests",
        "MiB",
        "after the first tenth of them",
        Target("at most", 1.03),
    ),
)

BY_NAME = {line.name: line for line in LINES}
NAMES = tuple(BY_NAME)
