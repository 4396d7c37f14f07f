"""When which key signs: a new one is published long before it signs, an old one long after.

    published        signs                        published no more
    |---- AHEAD -----|---------- lifetime --------|---- KEPT ----|
                                  the next:  |-- AHEAD --|---------- …

So at every instant each service knows the key of every token it can meet, however late it fetched the public keys
(`kit.tokens.MAX_IDLE`), and no token is refused because the key changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

PUBLISHED_AHEAD = timedelta(minutes=10)
"""How long a key is published before it signs."""

KEPT_AFTER = timedelta(minutes=10)
"""How long a key is published after its successor signs: longer than an instance takes to notice, and than any of its
tokens lives then."""

WITHDRAWN_AFTER = timedelta(seconds=10)
"""The same for a key that may be in wrong hands: longer than a gateway uses a token (its other users get themselves
new ones)."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key whose tokens are accepted, and since or from when it signs."""

    kid: str
    active_at: datetime


@dataclass(frozen=True, slots=True)
class Published:
    """All keys whose tokens are accepted, the latest to sign first, as PostgreSQL saw them at `now`."""

    keys: Sequence[PublishedKey]
    now: datetime

    @property
    def current(self) -> PublishedKey | None:
        """The key that signs."""
        return next((key for key in self.keys if key.active_at <= self.now), None)

    @property
    def successor(self) -> PublishedKey | None:
        """The key that will sign next."""
        return next((key for key in reversed(self.keys) if key.active_at > self.now), None)

    def successor_due(self, lifetime: timedelta) -> datetime | None:
        """When a key that is to be published now signs; None while that is not due."""
        if self.current is None or self.successor is not None:
            return None
        over = self.current.active_at + lifetime
        return max(over, self.earliest) if over <= self.earliest else None

    @property
    def earliest(self) -> datetime:
        """When a key that is published now may sign."""
        return self.now + PUBLISHED_AHEAD
