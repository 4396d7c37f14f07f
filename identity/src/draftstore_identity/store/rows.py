"""What the parts of the store share: questions over one connection."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection


class Rows:
    """Rows as one connection sees them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def _row(self, query: Select[*tuple[Any, ...]]) -> RowMapping | None:
        return (await self._connection.execute(query)).mappings().first()

    async def _rows(self, query: Select[*tuple[Any, ...]]) -> Sequence[RowMapping]:
        return (await self._connection.execute(query)).mappings().all()

    async def _true(self, which: ColumnElement[bool]) -> bool:
        return bool(await self._connection.scalar(select(exists().where(which))))
