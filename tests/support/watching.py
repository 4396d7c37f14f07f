"""What one request costs behind the gateway: every call between services and every SQL statement, by its request id.

Statements are those of the services of this process, whichever library sends them.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from draftstore_common.clients.transport import AsgiTransport, Call, Reply
from draftstore_common.kit.context import request_id

Steps = dict[str, list[str]]

WARMING = ("/internal/verify", "/internal/service-token", "/.well-known/jwks.json")
"""Calls that fill caches: a request that made one is not like the next."""


@contextlib.contextmanager
def watched() -> Iterator[Steps]:
    """Steps by request id, in their order, as long as the block lasts."""
    steps: Steps = defaultdict(list)
    send = AsgiTransport.send

    async def sending(self: AsgiTransport, call: Call) -> Reply:
        steps[request_id.get()].append(f"{call.method} {call.path}")
        return await send(self, call)

    def noting(run: Any, query_of: Callable[..., str]) -> Any:
        def noted(self: Any, *arguments: Any, **options: Any) -> Any:
            steps[request_id.get()].append(" ".join(query_of(self, *arguments).split()))
            return run(self, *arguments, **options)

        return noted

    with contextlib.ExitStack() as patches:
        patches.enter_context(patch.object(AsgiTransport, "send", sending))
        for kind, name, query_of in _STATEMENTS:
            patches.enter_context(patch.object(kind, name, noting(getattr(kind, name), query_of)))
        yield steps


_STATEMENTS: tuple[tuple[type, str, Callable[..., str]], ...] = (
    (asyncpg.Connection, "_do_execute", lambda _, query, *__: query),
    (asyncpg.Connection, "execute", lambda _, query, *__: query),
    (PreparedStatement, "_PreparedStatement__do_execute", lambda statement, *_: statement.get_query()),
)
"""Where every statement passes: asyncpg's own ways, and the one SQLAlchemy takes."""


def warmed(steps: list[str]) -> bool:
    """Whether a request filled a cache on its way."""
    return any(step.endswith(WARMING) for step in steps)
