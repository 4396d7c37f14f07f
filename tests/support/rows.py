"""Time passes for rows: tests move rows, not clocks."""

from typing import Any

from support.stack_base import Stack


async def age_draft(stack: Stack, draft_id: str, seconds: int) -> None:
    """Let a draft be older by so many seconds, as if all of its instants had been that much earlier."""
    await _age(stack, "drafts", "id", draft_id, seconds)


async def age_keys_of(stack: Stack, draft_id: str, seconds: int) -> None:
    """The same for the keys that confirming a draft made in the main bucket."""
    await _age(stack, "object_keys", "draft_id", draft_id, seconds)


async def state_of(stack: Stack, draft_id: str) -> str:
    """The state in the row, past every service."""
    return str((await row_of(stack, draft_id))["state"])


async def row_of(stack: Stack, draft_id: str) -> dict[str, Any]:
    """A draft's row."""
    (row,) = await stack.sql("SELECT * FROM metadata.drafts WHERE id = $1", draft_id)
    return dict(row)


async def draft_key(stack: Stack, draft_id: str) -> str:
    """Where a draft's bytes wait in the draft bucket."""
    return str((await row_of(stack, draft_id))["storage_key"])


async def _age(stack: Stack, table: str, column: str, row_id: str, seconds: int) -> None:
    instants = await stack.sql(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'metadata' AND table_name = $1 AND data_type = 'timestamp with time zone'",
        table,
    )
    moved = ", ".join(f"{name} = {name} - make_interval(secs => $2)" for (name,) in instants)
    await stack.sql(f"UPDATE metadata.{table} SET {moved} WHERE {column} = $1", row_id, seconds)  # noqa: S608  constants
