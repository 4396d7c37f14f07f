"""The proof at the end of a start: the README's four steps over real HTTP, as any client would take them."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

Say = Callable[[str], None]

_SIZE = 64 * 1024


class TourFailedError(RuntimeError):
    """A step of the tour did not do what the README says."""


@dataclass(frozen=True, slots=True)
class Tour:
    """One walk: upload-url, PUT, preview, confirm."""

    session: aiohttp.ClientSession
    gateway_url: str
    key: str
    say: Say

    async def walk(self) -> None:
        """Take every step, say each with its time; raise `TourFailedError` at the first that fails."""
        name, content = f"welcome/{secrets.token_hex(4)}.bin", secrets.token_bytes(_SIZE)
        upload = await self._timed("upload-url", self._ask("upload-url", object_name=name))
        await self._timed(f"PUT {_SIZE // 1024} KiB to the store", self._put(upload, content))
        ids = {"object_name": name, "draft_id": upload["draft_id"]}
        preview = await self._timed("download-url (preview)", self._ask("download-url", **ids))
        await self._timed("GET, byte for byte", self._compare(preview["download_url"], content))
        receipt = await self._timed("confirm-upload", self._ask("confirm-upload", **ids))
        self.say(f"  confirmed as {receipt['final_location']}, and deleted again")
        await self._delete(name)

    async def _timed(self, step: str, work: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        try:
            result = await work
        except aiohttp.ClientError as error:
            raise TourFailedError(f"{step}: {error}") from error
        self.say(f"  {step:<28} {(time.perf_counter() - began) * 1000:7.1f} ms")
        return result

    async def _ask(self, route: str, **body: str) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.session.post(f"{self.gateway_url}/api/v1/{route}", json=body, headers=headers) as answer:
            if answer.status != 200:
                raise TourFailedError(f"{route} answered {answer.status}: {await answer.text()}")
            return await answer.json()

    async def _put(self, upload: dict[str, Any], content: bytes) -> None:
        async with self.session.put(upload["upload_url"], data=content, headers=upload["headers"]) as answer:
            if answer.status != 200:
                raise TourFailedError(f"the store answered the PUT with {answer.status}")

    async def _delete(self, name: str) -> None:
        url, headers = f"{self.gateway_url}/api/v1/objects/{name}", {"Authorization": f"Bearer {self.key}"}
        async with self.session.delete(url, headers=headers) as answer:
            if answer.status != 204:
                raise TourFailedError(f"deleting {name} answered {answer.status}: {await answer.text()}")

    async def _compare(self, url: str, content: bytes) -> None:
        async with self.session.get(url) as answer:
            if await answer.read() != content:
                raise TourFailedError("the store gave other bytes than it was given")
