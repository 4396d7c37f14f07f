"""What must hold of drafts when everything has been tried and every process has died that should."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from draftstore_common.clients.transport import Reply
from support.installation import Installation

Draft = Mapping[str, Any]


async def confirmed_once(whole: Installation, draft: Draft, content: bytes, *answers: Reply) -> dict[str, Any]:
    """A confirm now answers the one receipt, as every 200 did before; the object is there, once, with these bytes."""
    receipt: dict[str, Any] = await whole.door.get("POST", f"/drafts/{draft['id']}/confirm")
    assert await whole.door.get("POST", f"/drafts/{draft['id']}/confirm") == receipt
    for answer in answers:
        assert answer.status != 200 or json.loads(answer.body) == receipt
    (published,) = await whole.objects_of(draft)
    assert receipt["final_location"] == published["final_location"] == f"{whole.main}/{published['storage_key']}"
    assert (receipt["size"], receipt["object_name"]) == (len(content), draft["object_name"])
    assert await whole.store.read(whole.main, published["storage_key"]) == content
    return receipt


async def nothing_is_left_but_objects(whole: Installation, drafts: Sequence[Draft]) -> None:
    """After cleaning, these drafts have no bytes left but those their objects consist of, and no key is waiting."""
    published, waiting = set(), []
    for draft in drafts:
        published |= {found["storage_key"] for found in await whole.objects_of(draft)}
        waiting += [key["state"] for key in await whole.keys_of(draft) if key["state"] not in {"published", "deleted"}]
    assert waiting == []
    drafted = {await whole.draft_key(draft) for draft in drafts}
    assert drafted.isdisjoint(await whole.store.keys(whole.draft))
    assert await _kept(whole, drafts) == published


async def ended(whole: Installation, draft: Draft, state: str) -> None:
    """The draft ended like this, without an object."""
    assert (await whole.row(draft))["state"] == state
    assert await whole.objects_of(draft) == []


async def _kept(whole: Installation, drafts: Sequence[Draft]) -> set[str]:
    """What lies in the main bucket under the names of these drafts, whoever put it there."""
    names = tuple(draft["object_name"] for draft in drafts)
    return {key for key in await whole.store.keys(whole.main) if key.startswith(names)}
