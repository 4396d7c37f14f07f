"""What something costs in calls: SQL statements as asyncpg sends them, and requests as the store gets them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

import draftstore_common.kit.database as kit
from support.proxy import Proxy


@dataclass
class Statements:
    """What went to PostgreSQL through `Database`: a statement is a round trip, outside of BEGIN a transaction too."""

    round_trips: int = 0
    transactions: int = 0

    def clear(self) -> None:
        """Forget what was sent so far."""
        self.round_trips = self.transactions = 0


@dataclass
class _Line:
    """One connection, on which transactions follow each other."""

    statements: Statements
    inside: bool = False

    def note(self, query: Any) -> None:
        """Called by asyncpg after each statement."""
        text = query.query.strip()
        ends = text in {"COMMIT;", "ROLLBACK;"}
        self.statements.round_trips += 1
        self.statements.transactions += not self.inside
        self.inside = not ends and (self.inside or text.startswith("BEGIN"))


@contextmanager
def counted_statements() -> Iterator[Statements]:
    """Of every `Database` that is entered from now on."""
    statements = Statements()
    prepare = kit._use_json

    async def watched(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await prepare(connection)
        connection.add_query_logger(_Line(statements).note)

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
