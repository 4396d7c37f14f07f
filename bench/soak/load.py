"""The mixed load: in every slice of time drafts are made, and those of the slices before go on.

Of ten drafts seven get their bytes and six are confirmed, and for three a download URL is asked for. Uploads are
mostly finished, that is what people open a form for; but one in seven that was sent is given up before the confirm,
and three in ten are never sent, so that expiry and cleaning have 40 % of all drafts to do: far more than most will see.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench.load import Load
from bench.load.requests import CREATE, confirms, download_urls, intent, post, puts
from bench.site import CONTENT, Site

TEN = 10
UPLOADED, CONFIRMED, ASKED_FOR = 7, 6, 3
SHORTEST_TTL = 60
CONNECTIONS = 32

KINDS: Mapping[str, int] = {"create": 201, "put": 200, "confirm": 200, "download-url": 200}
"""What is sent, in the order of a draft's life, and how it must be answered."""


@dataclass(frozen=True)
class Draft:
    """A draft that was made; `number` of ten says how far it will come."""

    number: int
    id: str
    name: str
    upload: dict[str, Any]


@dataclass
class Counts:
    """What was answered as it must be, and what was not, since the beginning."""

    answered: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, load: Load) -> None:
        """Add a load."""
        wanted = str(KINDS[kind])
        self.answered[kind] += load.statuses.get(wanted, 0)
        self.errors += Counter({f"{kind} {status}": n for status, n in load.statuses.items() if status != wanted})
        self.errors += Counter({f"{kind} unanswered": load.unanswered})


class Mix:
    """Sends what is next for each draft. `slice_seconds` is how long a draft waits for its next step at most."""

    def __init__(self, site: Site, counts: Counts, slice_seconds: float) -> None:
        self._site = site
        self._counts = counts
        self._waiting_ttl = max(SHORTEST_TTL, round(3 * slice_seconds))
        self._next: dict[str, list[Draft]] = {kind: [] for kind in KINDS}

    async def side_by_side(self, count: int, seconds: float) -> dict[str, Load]:
        """A slice: so many new drafts, and the next step of the older ones, each evenly over so many seconds."""
        waiting, self._next = self._next, {kind: [] for kind in KINDS}
        loads = await asyncio.gather(*(self._step(kind, waiting[kind], count, seconds) for kind in KINDS))
        return {kind: load for kind, load in zip(KINDS, loads, strict=True) if load is not None}

    async def one_by_one(self, count: int) -> float:
        """So many drafts through all their steps as fast as can be; drafts per second."""
        seconds = 0.0
        for kind in KINDS:
            waiting, self._next[kind] = self._next[kind], []
            load = await self._step(kind, waiting, count, None)
            seconds += load.seconds if load is not None else 0
        return count / seconds

    async def _step(self, kind: str, drafts: Sequence[Draft], count: int, seconds: float | None) -> Load | None:
        requests = list(self._requests(kind, drafts, count))
        if not requests:
            return None
        port = self._store_port if kind == "put" else self._site.port
        rate = len(requests) / seconds if seconds else None
        load = await self._site.bench.replay.send(
            port, requests, connections=CONNECTIONS, rate=rate, bodies=kind == "create"
        )
        self._counts.note(kind, load)
        self._go_on(kind, _made(load) if kind == "create" else drafts)
        return load

    def _requests(self, kind: str, drafts: Sequence[Draft], count: int) -> Iterator[bytes]:
        key = self._site.key
        if kind == "create":
            return (post(CREATE, intent() | self._ttl(number % TEN), key) for number in range(count // TEN * TEN))
        if kind == "put":
            return puts((draft.upload for draft in drafts), CONTENT)
        if kind == "confirm":
            return confirms((draft.id for draft in drafts), key)
        return download_urls((draft.name for draft in drafts), key)

    def _ttl(self, number: int) -> dict[str, int]:
        """What will not be confirmed lives as short as it may."""
        if number < CONFIRMED:
            return {}
        return {"ttl": self._waiting_ttl if number < UPLOADED else SHORTEST_TTL}

    def _go_on(self, kind: str, drafts: Sequence[Draft]) -> None:
        following = {
            "create": ("put", UPLOADED),
            "put": ("confirm", CONFIRMED),
            "confirm": ("download-url", ASKED_FOR),
        }
        if kind in following:
            after, of_ten = following[kind]
            self._next[after] += [draft for draft in drafts if draft.number < of_ten]

    @property
    def _store_port(self) -> int:
        port = urlsplit(self._site.stack.s3_endpoint).port
        assert port is not None  # noqa: S101  our stores have one
        return port


def _made(load: Load) -> list[Draft]:
    """The drafts that were made; what was refused is counted among the errors."""
    found = ((number, json.loads(body)) for number, body in load.bodies.items())
    return [
        Draft(number % TEN, draft["id"], draft["object_name"], draft["upload"])
        for number, draft in found
        if "upload" in draft
    ]
