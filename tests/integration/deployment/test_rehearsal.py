"""docker-compose.yml brings up a working installation, as far as that can be known without containers."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from support import flow
from support.api import Api
from support.dockerfile import Rehearsal
from support.rows import age_draft, draft_key, state_of
from support.stack import running, temporary_data_dir
from support.stack_compose import ComposeStack

DAY = 24 * 3600
SIGTERM_STATUS = -15


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with temporary_data_dir() as folder:
        yield folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(data_dir: Path, images: Rehearsal, variables: Mapping[str, str]) -> AsyncIterator[ComposeStack]:
    """Every service of the file, started in its order, each when its health check said yes. It cleans every second."""
    async with running(ComposeStack(data_dir, images, {**variables, "CLEANER_INTERVAL": "1"})) as compose:
        yield compose


@pytest_asyncio.fixture(loop_scope="session")
async def api(stack: ComposeStack) -> AsyncIterator[Api]:
    """A back end with the first data key, which identity printed."""
    async with stack.api(stack.data_key) as back_end:
        yield back_end


async def test_a_file_goes_through_both_stages(stack: ComposeStack, api: Api) -> None:
    receipt = await flow.by_name(stack, api, "compose/report.pdf", b"both stages")
    assert receipt["final_location"] == "main/compose/report.pdf"


async def test_signed_urls_point_at_the_published_port_of_the_store(stack: ComposeStack, api: Api) -> None:
    draft = await api.draft("compose/reachable.txt")
    assert draft["upload"]["url"].startswith(f"http://localhost:{stack.environment['STORE_PORT']}/")


async def test_the_scheduled_cleaner_removes_what_expired(stack: ComposeStack, api: Api) -> None:
    draft = await api.uploaded("compose/forgotten.txt", b"never confirmed")
    key = await draft_key(stack, draft["id"])
    await age_draft(stack, draft["id"], 2 * DAY)

    async def gone() -> bool:
        return await stack.store.head(stack.draft_bucket, key) is None

    await stack.containers["cleaner"].ready(gone)
    assert await state_of(stack, draft["id"]) in {"purging", "purged"}


async def test_the_first_admin_key_works(stack: ComposeStack) -> None:
    assert (await stack.issue_key(scopes=["drafts:read"]))["key"].startswith("ds_live_")


async def test_rate_limits_are_counted_in_redis(stack: ComposeStack, api: Api) -> None:
    await api.json("GET", "/api/v1/drafts")
    async with Redis.from_url(stack.redis_url) as redis:
        assert await redis.dbsize() > 0


async def test_no_secret_of_the_installation_is_in_a_log(stack: ComposeStack, variables: Mapping[str, str]) -> None:
    texts = {path.name: path.read_text() for path in stack.logs.iterdir()}
    secrets = [stack.environment[name] for name in variables if name != "SERVICE_KEYS"]
    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []


async def test_a_health_check_says_no_when_its_service_is_away(stack: ComposeStack) -> None:
    container = stack.containers["storage-service"]
    await container.kill()
    assert not await container.is_healthy()
    await container.up()


async def test_every_service_ends_by_itself_when_it_is_told_to(stack: ComposeStack) -> None:
    statuses = await stack.down()
    assert {name: status for name, status in statuses.items() if status not in {0, SIGTERM_STATUS}} == {}
    assert statuses["cleaner"] == 0
