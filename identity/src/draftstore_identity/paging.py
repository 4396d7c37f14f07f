"""Lists by keyset: a page begins after the id the one before ended with, so nothing is skipped or doubled."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from draftstore_identity.errors import InvalidCursor


class _HasId(Protocol):
    @property
    def id(self) -> UUID: ...


Item = TypeVar("Item", bound=_HasId)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most `limit` items, those after `before` in an order of falling ids."""

    limit: int
    before: UUID | None


def page(limit: int, cursor: str | None) -> Page:
    """The page a caller asks for; raises `InvalidCursor`."""
    return Page(limit, None if cursor is None else _decoded(cursor))


def page_of(found: Sequence[Item], limit: int) -> tuple[list[Item], str | None]:
    """The page, and the cursor of the next, from one item more than the page holds."""
    items = list(found[:limit])
    return items, _encoded(items[-1].id) if len(found) > limit else None


def _encoded(last: UUID) -> str:
    return urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _decoded(cursor: str) -> UUID:
    try:
        return UUID(bytes=urlsafe_b64decode(f"{cursor}=="))
    except ValueError as error:
        raise InvalidCursor from error
