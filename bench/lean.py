"""The least a confirm can be in Python: what must be asked of the store and of the rows, and nothing decided.

For each draft three durable statements (it is claimed, with an event; its key is recorded, unique for ever; its object
is made visible, with another event), and between them HEAD, COPY (pinned to the ETag that HEAD told) and DELETE, by the
libraries and the signer the product has. Statements that meet are one, as in the product. There is no API, no key of a
caller to check, no service to call, nothing to judge, no receipt and no lease.
"""

import asyncio
from collections.abc import Sequence

import aiohttp
import asyncpg
import uvloop
from yarl import URL

from bench.harness import timed
from bench.site import Site
from draftstore_common.clients.plain_request import PlainRequest
from draftstore_common.kit.together import Together
from draftstore_storage.domain import Buckets
from draftstore_storage.signing.addresses import addresses
from draftstore_storage.signing.credentials import Credentials, StaticCredentials
from draftstore_storage.signing.headers import HeaderSigner, S3Request

LANES = 2
"""Statements under way at once, as in metadata-service."""

CONNECTIONS = 10
"""To PostgreSQL, as many as metadata-service has."""

_SCRATCH = """
    DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench;
    CREATE TABLE bench.drafts (id bigint PRIMARY KEY, state text NOT NULL);
    CREATE TABLE bench.events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, draft bigint NOT NULL, type text);
    CREATE TABLE bench.keys (key text PRIMARY KEY, draft bigint NOT NULL);
    CREATE TABLE bench.objects (name text PRIMARY KEY, draft bigint NOT NULL)"""
_ROWS = "INSERT INTO bench.drafts SELECT number, 'uploaded' FROM generate_series(0, $1::bigint - 1) AS number"
_CLAIM = """
    WITH claimed AS (UPDATE bench.drafts SET state = 'confirming' WHERE id = ANY ($1::bigint[]) RETURNING id)
    INSERT INTO bench.events (draft, type) SELECT id, 'claimed' FROM claimed"""
_RESERVE = "INSERT INTO bench.keys SELECT 'lean-' || id, id FROM unnest($1::bigint[]) AS id"
_PUBLISH = """
    WITH published AS (UPDATE bench.drafts SET state = 'confirmed' WHERE id = ANY ($1::bigint[]) RETURNING id),
    visible AS (INSERT INTO bench.objects SELECT 'lean-' || id, id FROM published)
    INSERT INTO bench.events (draft, type) SELECT id, 'confirmed' FROM published"""


async def promoted(site: Site, keys: Sequence[str], *, connections: int) -> float:
    """Drafts per second; their bytes are in the draft bucket. It runs beside us, on a loop as servers have it."""
    return await asyncio.to_thread(lambda: uvloop.run(_promoted(site, keys, connections)))


async def _promoted(site: Site, keys: Sequence[str], connections: int) -> float:
    url = site.stack.database_url
    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_keep_session) as pool:
        await pool.execute(_SCRATCH)
        await pool.execute(_ROWS, len(keys))
        async with aiohttp.ClientSession(request_class=PlainRequest, auto_decompress=False) as session:
            lean = _Lean(site, pool, session)
            waiting = iter(enumerate(keys))

            async def work() -> None:
                for number, key in waiting:
                    await lean.promote(number, key)

            with timed() as took:
                await asyncio.gather(*(work() for _ in range(connections)))
        await pool.execute("DROP SCHEMA bench CASCADE")
    return len(keys) / took()


async def _keep_session(_: object) -> None:
    """No reset, as in the product."""


class _Lean:
    """Promotes one draft at a time for each who asks."""

    def __init__(self, site: Site, pool: asyncpg.Pool, session: aiohttp.ClientSession) -> None:
        given, stack = site.stack.store_credentials, site.stack
        self._buckets = Buckets(main=stack.main_bucket, draft=stack.draft_bucket)
        self._signer = HeaderSigner(
            StaticCredentials(Credentials(given.access_key, given.secret_key)),
            addresses(given.endpoint, self._buckets, virtual_hosts=False),
            region="us-east-1",
        )
        self._pool = pool
        self._session = session
        self._claim, self._reserve, self._publish = map(self._common, (_CLAIM, _RESERVE, _PUBLISH))

    async def promote(self, number: int, key: str) -> None:
        """Claim, look, reserve, copy, publish, delete."""
        await self._claim.do(number)
        etag = await self._ask(S3Request("HEAD", "draft", key))
        await self._reserve.do(number)
        source = f"/{self._buckets.draft}/{key}"
        pinned = {"x-amz-copy-source": source, "x-amz-copy-source-if-match": etag}
        await self._ask(S3Request("PUT", "main", key, headers={**pinned, "x-amz-metadata-directive": "REPLACE"}))
        await self._publish.do(number)
        await self._ask(S3Request("DELETE", "draft", key))

    def _common(self, statement: str) -> Together[int, None]:
        async def work(numbers: Sequence[int]) -> Sequence[None]:
            await self._pool.execute(statement, numbers)
            return [None] * len(numbers)

        return Together(work, lanes=LANES, most=1000, shared=Exception)

    async def _ask(self, request: S3Request) -> str:
        """The ETag of the answer, if it has one."""
        url, headers = await self._signer.sign(request)
        async with self._session.request(request.method, URL(url, encoded=True), headers=headers) as answer:
            await answer.read()
            answer.raise_for_status()
            return answer.headers.get("ETag", "")
