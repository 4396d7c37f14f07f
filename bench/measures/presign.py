"""Presigning a PUT with a declared length and type, beside botocore; both must sign the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any
from unittest.mock import patch

from botocore.config import Config  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

from bench.harness import Bench, in_turn, timed
from bench.results import Figures
from draftstore_common.contracts.storage import PresignPut
from draftstore_storage.domain import Buckets
from draftstore_storage.signing.credentials import Credentials, StaticCredentials
from draftstore_storage.signing.presigner import Presigner

ENDPOINT = "http://127.0.0.1:9000"
TIMES = 20_000
TIMES_BOTOCORE = 1000
CHECKED = 200

_NUMBERS = count()
_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@asynccontextmanager
async def here(bench: Bench) -> AsyncIterator[Bench]:
    """This process will do."""
    yield bench


def _botocore() -> Any:
    session = Session()
    session.set_credentials("AKEXAMPLE", "a-secret")
    config = Config(
        signature_version="s3v4", s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
    )
    return session.create_client("s3", region_name="us-east-1", endpoint_url=ENDPOINT, config=config)


def _presigner(**more: Any) -> Presigner:
    buckets = Buckets(main="main", draft="main-draft")
    credentials = StaticCredentials(Credentials("AKEXAMPLE", "a-secret"))
    return Presigner(credentials, buckets, region="us-east-1", endpoint=ENDPOINT, virtual_hosts=False, **more)


def _wanted(key: str) -> PresignPut:
    return PresignPut(key=key, expires_in=3600, size=4096, content_type="application/pdf")


def _by_botocore(client: Any, key: str) -> str:
    wanted = {"Bucket": "main-draft", "Key": key, "ContentLength": 4096, "ContentType": "application/pdf"}
    return str(client.generate_presigned_url("put_object", Params=wanted, ExpiresIn=3600))


async def _check(client: Any) -> None:
    """Raise unless both give the same URL at the same second; the order of its parameters means nothing."""
    ours = _presigner(clock=lambda: _NOW)
    with patch("botocore.auth.get_current_datetime", return_value=_NOW):
        for number in range(CHECKED):
            key = f"tenant/ä {number}+~.pdf"
            urls = (await ours.put(_wanted(key))).url, _by_botocore(client, key)
            first, second = (sorted(url.replace("?", "&", 1).split("&")) for url in urls)
            if first != second:
                raise RuntimeError(f"different URLs: {urls}")


async def measure(bench: Bench) -> list[Figures]:
    """URLs per second, of new keys each time; what is asked for is made before the clock starts."""
    client, presigner = _botocore(), _presigner()
    await _check(client)

    async def ours() -> float:
        wanted = [_wanted(f"tenant/{next(_NUMBERS)}") for _ in range(TIMES)]
        with timed() as took:
            for each in wanted:
                await presigner.put(each)
        return TIMES / took()

    async def theirs() -> float:
        keys = [f"tenant/{next(_NUMBERS)}" for _ in range(TIMES_BOTOCORE)]
        with timed() as took:
            for key in keys:
                _by_botocore(client, key)
        return TIMES_BOTOCORE / took()

    await theirs()
    own, other = await in_turn(bench.scale.rounds, ours, theirs)
    bench.say(f"presign: {own[-1]:,.0f}/s, botocore {other[-1]:,.0f}/s")
    return [Figures("presign", own, other, {"urls_compared": CHECKED})]
