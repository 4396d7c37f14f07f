"""What something costs in calls: SQL statements as asyncpg sends them, and requests as the store gets them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

import draftstore_common.kit.database as kit
from support.proxy import Proxy

_FRAMES = {"BEGIN;", "COMMIT;", "ROLLBACK;"}


@dataclass
class Statements:
    """Everything that went to PostgreSQL through `Database`, in its order; each is one round trip."""

    sent: list[str] = field(default_factory=list)

    def note(self, query: Any) -> None:
        self.sent.append(query.query.strip())

    def clear(self) -> None:
        """Forget what was sent so far."""
        self.sent.clear()

    @property
    def round_trips(self) -> int:
        return len(self.sent)

    @property
    def transactions(self) -> int:
        """Each statement outside of a transaction is one of its own."""
        begun = sum(text.startswith("BEGIN") for text in self.sent)
        return begun + len(self._alone())

    def _alone(self) -> list[str]:
        """Right where callers do not overlap: between BEGIN and COMMIT there is one caller's work."""
        alone, inside = [], False
        for text in self.sent:
            if text.startswith("BEGIN"):
                inside = True
            elif text in _FRAMES:
                inside = False
            elif not inside:
                alone.append(text)
        return alone


@contextmanager
def counted_statements() -> Iterator[Statements]:
    """Of every `Database` that is entered from now on."""
    statements = Statements()
    prepare = kit._use_json

    async def watched(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await prepare(connection)
        connection.add_query_logger(statements.note)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kit, "_use_json", watched)
        yield statements


class Requests:
    """Requests to a store, by method, as a proxy before it sees them."""

    def __init__(self, proxy: Proxy) -> None:
        self._watches = {
            method: proxy.watch(f"{method} /".encode()) for method in ("GET", "HEAD", "PUT", "POST", "DELETE")
        }
        self._before: dict[str, int] = {}

    def clear(self) -> None:
        """Forget what was sent so far."""
        self._before = {method: watch.seen for method, watch in self._watches.items()}

    @property
    def made(self) -> dict[str, int]:
        """How many of each method that was used at all."""
        counts = {method: watch.seen - self._before.get(method, 0) for method, watch in self._watches.items()}
        return {method: count for method, count in counts.items() if count}
