"""The brake that stops a run when the clocks that say what is old disagree."""

from datetime import datetime


class ClockSkewError(Exception):
    """The clocks of PostgreSQL and the store disagree so much that no age can be trusted."""


def refuse_skew(database: datetime, store: datetime, *, limit: int) -> None:
    """Raise `ClockSkewError` if the two clocks differ by more than `limit` seconds."""
    skew = abs((database - store).total_seconds())
    if skew > limit:
        text = f"PostgreSQL and the store differ by {skew:.0f} s. Nothing was deleted: correct the clocks first."
        raise ClockSkewError(text)
