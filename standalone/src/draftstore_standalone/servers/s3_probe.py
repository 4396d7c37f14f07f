"""Whether an S3 endpoint really takes an object: an open port says little about a store of several servers."""

from types import TracebackType
from typing import Self

import aiohttp
from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

_BUCKET = "draftstore-readiness"
_KEY = "probe"
_BODY = b"ready?"  # an empty object needs no volume, and would prove nothing
_SECONDS = 5.0
_REGION = "us-east-1"


class S3Probe:
    """Writes one object into a bucket of its own and removes both again."""

    def __init__(self, endpoint: str, *, access_key: str, secret_key: str) -> None:
        self._endpoint = endpoint
        self._signer = S3SigV4Auth(Credentials(access_key, secret_key), "s3", _REGION)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS))

    async def stores_an_object(self) -> bool:
        """Whether a signed PUT is accepted now."""
        try:
            created = await self._send("PUT", _BUCKET)
            stored = created in {200, 409} and await self._send("PUT", f"{_BUCKET}/{_KEY}", _BODY) == 200
            if stored:
                await self._send("DELETE", f"{_BUCKET}/{_KEY}")
                await self._send("DELETE", _BUCKET)
        except (aiohttp.ClientError, TimeoutError):
            return False
        return stored

    async def _send(self, method: str, path: str, body: bytes = b"") -> int:
        request = AWSRequest(method=method, url=f"{self._endpoint}/{path}", data=body)
        self._signer.add_auth(request)
        headers = dict(request.headers)
        async with self._session.request(method, request.url, data=body, headers=headers) as response:
            return response.status

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
