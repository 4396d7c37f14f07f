"""A reader of the event feed, who must miss nothing, whatever commits while it reads."""

import asyncio

from faults.soak.client import Client
from faults.soak.load import a_door

PAGE = 1000


class Feed:
    """Reads on from where it was."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._after: str | None = None
        self.seen: list[int] = []
        """The ids of all events it was told of, in the order it was."""

    async def follow(self, enough: asyncio.Event) -> None:
        """Read until it is enough, now and then."""
        while not enough.is_set():
            await self.read_to_its_end()
            await asyncio.sleep(1)

    async def read_to_its_end(self) -> None:
        """Read until nothing more is there."""
        while await self._page():
            pass

    async def _page(self) -> bool:
        after = "" if self._after is None else f"&after={self._after}"
        answer = await self._client.settled("GET", f"/api/v1/events?limit={PAGE}{after}", door=a_door())
        assert answer.status == 200, answer
        self.seen += [int(item["id"]) for item in answer.body["items"]]
        self._after = answer.body["next_cursor"] or self._after
        return bool(answer.body["items"])
