"""Standalone over starts, stops and kills: nothing confirmed is lost, nothing is in the way of the next start."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from draftstore_standalone.servers import ServerHome
from support.child import Child, alive, descendants
from support.leaks import leaked
from support.ports import free_port
from support.servers import Store
from support.stack import StandaloneStack, running, temporary_data_dir
from support.store_view import StoreCredentials, StoreView

MEBIBYTE = 1024 * 1024


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with temporary_data_dir() as folder:
        yield folder


@pytest.fixture
async def stack(data_dir: Path) -> AsyncIterator[StandaloneStack]:
    async with running(StandaloneStack(data_dir, "s3")) as started:
        yield started
    assert leaked(started) == []


async def test_killed_in_mid_upload_it_starts_again_with_every_confirmed_object(stack: StandaloneStack) -> None:
    contents = {f"life/{number}.bin": secrets.token_bytes(MEBIBYTE) for number in range(20)}
    admin_key, data_key = stack.admin_key, stack.data_key
    async with stack.api(data_key) as api:
        receipts = [await api.confirmed(name, content) for name, content in contents.items()]
        waiting = await api.uploaded("life/waiting.bin", b"waiting")
        cut_off = await api.draft("life/cut-off.bin")
        upload = asyncio.create_task(api.http.put(cut_off["upload"]["url"], content=endless()))
        confirm = asyncio.create_task(api.call("POST", f"/api/v1/drafts/{waiting['id']}/confirm", {}))
        await asyncio.sleep(0)  # both are on their way
        await stack.kill()
        results = await asyncio.gather(upload, confirm, return_exceptions=True)
        assert isinstance(results[0], httpx.TransportError)

    await stack.start()  # at once: whatever the kill left must not be in the way
    stack.close_store()
    assert (stack.admin_key, stack.data_key) == (admin_key, data_key)
    async with stack.api(data_key) as api:
        for receipt, (name, content) in zip(receipts, contents.items(), strict=True):
            assert await api.confirm(receipt["draft_id"]) == receipt
            assert await api.download(await api.download_url(name)) == content
            assert await stack.store.read("main", name) == content
        # The kill left that confirm's lease behind it at most; the retry gives the receipt.
        answer = await api.call("POST", f"/api/v1/drafts/{waiting['id']}/confirm", {})
        assert answer.status_code in {200, 202}, answer.text
        await stack.sql(
            "UPDATE metadata.drafts SET lease_expires_at = now() - interval '1 second' WHERE lease_expires_at > now()"
        )
        assert (await api.confirm(waiting["id"]))["size"] == 7
        assert (await api.problem("POST", f"/api/v1/drafts/{cut_off['id']}/confirm", {}))[1] == "draft_not_uploaded"
        assert (await api.put(cut_off["upload"], b"by the url of before")).status_code == 200
        assert (await api.confirm(cut_off["id"]))["size"] == len(b"by the url of before")
    async with stack.api(admin_key) as admin:
        await admin.json("GET", "/api/v1/keys")


async def test_sigterm_stops_everything_and_a_second_start_keeps_all(stack: StandaloneStack) -> None:
    async with stack.api(stack.data_key) as api:
        receipt = await api.confirmed("life/kept.bin", b"kept")
        children = descendants(stack.child.pid)
        assert len(children) >= 5, "PostgreSQL and the four servers of the store at least"
        await stack.child.stop(seconds=5)
    assert alive(children) == []
    assert not stack.endpoints_file.exists()
    assert not (stack.data_dir / "cleaner.env").exists()

    await stack.start()
    stack.close_store()
    async with stack.api(stack.data_key) as api:
        assert await api.confirm(receipt["draft_id"]) == receipt
        assert await stack.store.read("main", "life/kept.bin") == b"kept"


async def test_a_stop_does_not_wait_for_slow_clients(stack: StandaloneStack) -> None:
    host, _, port = stack.gateway_url.removeprefix("http://").partition(":")
    _, idle = await asyncio.open_connection(host, int(port))
    _, sending = await asyncio.open_connection(host, int(port))
    head = f"POST /api/v1/drafts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stack.data_key}\r\nContent-Length: 100"
    sending.write(f"{head}\r\nContent-Type: application/json\r\n\r\n{{".encode())
    await sending.drain()
    children = descendants(stack.child.pid)
    try:
        await stack.child.stop(seconds=5)
    finally:
        idle.transport.abort()
        sending.transport.abort()
    assert alive(children) == []


async def test_endpoints_appear_last_and_keys_are_private(data_dir: Path) -> None:
    stack = StandaloneStack(empty(data_dir), "s3")
    stack.endpoints_file.write_text('{"gateway_url": "http://127.0.0.1:1", "pid": 1}')  # what a kill left
    stack.begin()
    try:
        await stack.child.ready(lambda: asyncio.to_thread(says_something, stack.child))
        assert stack.endpoints.get("pid") in {None, stack.child.pid}, "the dead run's file is still there"
        await stack.child.ready(stack.is_announced)
        async with stack.api(stack.data_key) as api:  # at once: the file means that all is ready
            assert (await api.call("GET", "/health/ready")).status_code == 200
            assert (await api.call("GET", "/api/v1/drafts")).status_code == 200
        expected = {"gateway_url", "grpc_address", "s3_endpoint", "admin_key_file", "data_key_file", "pid"}
        assert stack.endpoints.keys() == expected
        for file in ("admin.key", "data.key", "cleaner.env"):
            assert (data_dir / file).stat().st_mode & 0o777 == 0o600, file
        assert stack.data_key not in stack.endpoints_file.read_text()
    finally:
        await stack.stop()
    assert stack.endpoints == {}


async def test_a_taken_port_is_named_in_one_line(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        stack = StandaloneStack(data_dir, "s3", {"HTTP_PORT": port})
        stack.begin()
        assert await stack.child.ended(seconds=20) == 1
    said = stack.child.stderr.read_text() + stack.child.stdout.read_text()
    assert len([line for line in said.splitlines() if port in line and "HTTP_PORT" in line]) == 1
    assert "Traceback" not in said
    assert not stack.endpoints_file.exists()


async def test_a_second_start_on_a_data_directory_in_use_is_refused(stack: StandaloneStack) -> None:
    second = StandaloneStack(stack.data_dir, "s3", {"HTTP_PORT": str(free_port())})
    second.child.start()
    assert await second.child.ended(seconds=20) == 1
    assert "in use" in second.child.stderr.read_text()
    async with stack.api(stack.data_key) as api:  # the first one has not been disturbed
        await api.confirmed("life/undisturbed.bin", b"x")
    assert stack.endpoints["pid"] == stack.child.pid


@pytest.mark.parametrize(
    ("number", "reached"),
    [
        (signal.SIGKILL, "standalone.lock"),
        (signal.SIGKILL, "servers/postgres/.new-*/PG_VERSION"),
        (signal.SIGKILL, "admin.key"),
        (signal.SIGTERM, "servers/postgres/.new-*/PG_VERSION"),
        (signal.SIGINT, "admin.key"),
    ],
)
async def test_ended_in_the_middle_of_its_first_start_it_starts_again(
    data_dir: Path, number: signal.Signals, reached: str
) -> None:
    stack = StandaloneStack(data_dir, "s3")
    stack.begin()
    await stack.child.ready(lambda: asyncio.to_thread(lambda: any(data_dir.glob(reached))))
    children = descendants(stack.child.pid)
    os.kill(stack.child.pid, number)
    await stack.child.ended(seconds=5)
    if number is not signal.SIGKILL:
        assert alive(children) == []
    assert not stack.endpoints_file.exists()
    async with running(stack), stack.api(stack.data_key) as api:
        await api.confirmed("life/after.bin", b"bytes")
        assert await stack.store.read("main", "life/after.bin") == b"bytes"


async def test_in_a_private_home_too_everything_is_kept_over_starts(data_dir: Path) -> None:
    """As root, whose servers run as another account that cannot enter such a folder."""
    await asyncio.to_thread(data_dir.parent.chmod, 0o700)
    stack = StandaloneStack(data_dir, "s3")
    try:
        async with running(stack), stack.api(stack.data_key) as api:
            receipt = await api.confirmed("life/home.bin", b"kept at home")
        async with running(stack), stack.api(stack.data_key) as api:
            assert await api.confirm(receipt["draft_id"]) == receipt
            assert await stack.store.read("main", "life/home.bin") == b"kept at home"
    finally:
        root = await asyncio.to_thread(lambda: ServerHome.locate(data_dir).root)
        await asyncio.to_thread(shutil.rmtree, root)


async def test_given_servers_are_used_instead_of_its_own(data_dir: Path, postgres_url: str, store: Store) -> None:
    given = {
        "DATABASE_URL": postgres_url,
        "S3_ENDPOINT_URL": store.endpoint,
        "S3_ADDRESSING_STYLE": "path",
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "BUCKET_NAME": "given-servers",
    }
    stack = StandaloneStack(data_dir, "s3", given)
    stack.begin()
    view = StoreView(StoreCredentials(store.endpoint, store.access_key, store.secret_key))
    try:
        await stack.child.ready(stack.is_announced)
        assert descendants(stack.child.pid) == {}
        async with stack.api(stack.data_key) as api:
            receipt = await api.confirmed("life/given.bin", b"bytes")
        assert receipt["final_location"] == "given-servers/life/given.bin"
        assert await view.read("given-servers", "life/given.bin") == b"bytes"
    finally:
        view.close()
        await stack.stop()


async def endless() -> AsyncIterator[bytes]:
    """An upload that is cut off, not ended."""
    while True:
        yield bytes(64 * 1024)
        await asyncio.sleep(0.001)


def empty(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def says_something(child: Child) -> bool:
    return child.stdout.stat().st_size > 0
