"""Time, as collaborators see it. PostgreSQL's clock decides about rows; this one serves tokens, caches and URLs."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, aware, in UTC."""


def utc_now() -> datetime:
    """The system's present instant in UTC."""
    return datetime.now(UTC)
