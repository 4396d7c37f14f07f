"""A walk through a bucket that sees every key once, on stores that lose their way each in a manner of their own.

Places are keys (`StartAfter`), not continuation tokens: those are opaque, and may expire before the next run.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from draftstore_common.contracts import storage as wire


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the store, as it is; `server` is what its software calls itself."""

    items: list[wire.ListedObject]
    truncated: bool
    token: str | None
    server: str


Fetch = Callable[[str, str, int], Awaitable[Page]]
"""Asks the store for keys with a prefix, after a key, up to so many."""


async def listing(fetch: Fetch, after: str, limit: int) -> wire.ObjectListing:
    """Up to `limit` keys behind `after`, and where the next page begins."""
    page = await fetch("", after, limit)
    if "/" in after and "minio" in page.server.lower():
        items = await _behind(fetch, after, limit)
        return wire.ObjectListing(items=items, next_after=items[-1].key if items else None)
    return wire.ObjectListing(items=page.items, next_after=await _next_after(fetch, page, limit))


async def _next_after(fetch: Fetch, page: Page, limit: int) -> str | None:
    """The last key; or the folder of its name, where the store lists that right behind it; None at the end.

    SeaweedFS lists `a`, `a/b`, `a-b`. Behind `a` its token says `a/`, but a full page behind which only `a/` follows it
    calls complete; and `StartAfter=a` would skip the whole folder.
    """
    if not page.items:
        return None
    last = page.items[-1].key
    if page.truncated:
        return f"{last}/" if page.token == f"{last}/" else last
    if len(page.items) < limit:
        return None
    return f"{last}/" if (await fetch(f"{last}/", "", 1)).items else None


async def _behind(fetch: Fetch, after: str, limit: int) -> list[wire.ListedObject]:
    """What follows a key by the order of bytes: folder by folder, from the innermost outwards.

    MinIO, beginning after `a/x`, counts all of `a-b/` against the limit before it leaves it out of the answer: with
    enough keys there, it skips the rest of `a/`, or says that nothing follows. Within a folder it does not.
    """
    while True:
        folder = after.rpartition("/")[0]
        page = await fetch(f"{folder}/" if folder else "", after, limit)
        if page.items or not folder:
            return page.items
        after = f"{folder}0"  # "0" is the character behind "/": no key lies between the folder's last and this one
        exactly = await fetch(after, "", 1)
        if exactly.items and exactly.items[0].key == after:
            return exactly.items
