"""The proxy of the fault tests does what they rely on: passes everything, and fails as a network does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from support.proxy import PIECE, Proxy
from support.tcp_server import tcp_server

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write(b"end")


@pytest_asyncio.fixture(loop_scope="session")
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy in front of a server that sends back what it gets, and `end` at the end."""
    async with tcp_server(_echo) as port, Proxy(f"http://127.0.0.1:{port}/ignored") as made:
        yield made


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_bytes_and_ends_are_passed_both_ways(proxy: Proxy) -> None:
    content = bytes(range(256)) * 40_000
    async with connected(proxy) as (reader, writer):
        writer.write(content)
        writer.write_eof()
        assert await reader.read() == content + b"end"


async def test_a_cut_resets_connections_and_refuses_new_ones_until_it_is_mended(proxy: Proxy) -> None:
    async with connected(proxy) as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.restore()
    async with connected(proxy) as (reader, writer):
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"


async def test_a_black_hole_keeps_bytes_and_can_be_cut(proxy: Proxy) -> None:
    proxy.blackhole()
    async with connected(proxy) as (reader, writer), connected(proxy) as (other, _):
        writer.write(b"kept")
        waiting = asyncio.create_task(reader.readexactly(4))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        await proxy.restore()
        assert await waiting == b"kept"
        proxy.blackhole()
        writer.write(b"lost")
        proxy.cut()
        for side in (reader, other):
            with pytest.raises(ConnectionResetError):
                await side.read()


async def test_a_slow_proxy_changes_no_byte(proxy: Proxy) -> None:
    proxy.slow(delay=0.001, bytes_per_second=200_000)
    async with connected(proxy) as (reader, writer):
        writer.write(b"0123456789" * 500)
        writer.write_eof()
        assert await reader.read() == b"0123456789" * 500 + b"end"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_sent_bytes_are_counted_whatever_their_case_and_wherever_they_are_cut(proxy: Proxy, size: int) -> None:
    watch, single, other = proxy.watch(b"X-Copy: "), proxy.watch(b"~"), proxy.watch(b"never sent")
    text = b"~X-COPY: a\r\nx-copy: b\r\nX-CopX-Copy: c~"
    async with connected(proxy) as (reader, writer):
        for start in range(0, len(text), size):
            writer.write(text[start : start + size])
            await reader.readexactly(min(size, len(text) - start))  # so that each piece travels alone
    assert (watch.seen, single.seen, other.seen) == (3, 2, 0)


async def test_answers_can_be_lost_from_the_moment_something_was_sent(proxy: Proxy) -> None:
    watch = proxy.watch(b"COMMIT", proxy.lose_answers)
    async with connected(proxy) as (reader, writer):
        writer.write(b"BEGIN")
        assert await reader.readexactly(5) == b"BEGIN"
        writer.write(b"commit")
        waiting = asyncio.create_task(reader.readexactly(6))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        assert watch.seen == 1
        await proxy.restore()
        assert await waiting == b"commit"
