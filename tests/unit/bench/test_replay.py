"""The client that makes the load: what it reports is what happened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bench.load import LoadError, Replay
from bench.load.requests import render

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[bytes], Awaitable[bytes]]


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    return Replay(tmp_path)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """A server that answers each request without a body as `answer` says, or hangs up when it says nothing."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while said := await answer(await reader.readuntil(b"\r\n\r\n")):
                writer.write(said)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def gets(count: int) -> list[bytes]:
    return [render("GET", f"/{number}", {}) for number in range(count)]


async def test_every_request_is_sent_once_and_answers_are_known_by_its_number(replay: Replay) -> None:
    async def path(request: bytes) -> bytes:
        name = request.split()[1]
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name)

    async with serving(path) as port:
        load = (await replay.send(port, gets(50), connections=4, bodies=True)).all_are(200)
    assert load.requests == 50
    assert load.bodies == {number: b"/%d" % number for number in range(50)}


async def test_requests_of_a_chain_follow_each_other(replay: Replay) -> None:
    seen: list[int] = []

    async def note(request: bytes) -> bytes:
        seen.append(int(request.split()[1][1:]))
        return OK

    async with serving(note) as port:
        await replay.send(port, gets(30), connections=5, chain=3)
    assert sorted(seen) == list(range(30))
    places = {number: place for place, number in enumerate(seen)}
    assert all(places[first] < places[first + 1] < places[first + 2] for first in range(0, 30, 3))


async def test_an_answer_in_chunks_and_one_without_a_body_are_whole(replay: Replay) -> None:
    async def say(request: bytes) -> bytes:
        if request.startswith(b"HEAD"):
            return b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    requests = [render("GET", "/", {}), render("HEAD", "/", {}), render("GET", "/", {})]
    async with serving(say) as port:
        load = (await replay.send(port, requests, connections=1, bodies=True)).all_are(200)
    assert load.requests == 3
    assert load.bodies[1] == b""


async def test_at_a_fixed_rate_a_request_counts_from_when_it_was_due(replay: Replay) -> None:
    """One connection, 10 ms an answer, a hundred a second too many: what waited is not left out."""

    async def slowly(_: bytes) -> bytes:
        await asyncio.sleep(0.01)
        return OK

    async with serving(slowly) as port:
        load = await replay.send(port, gets(1), connections=1, seconds=0.1, rate=1000, again=True)
    assert load.requests == 100
    assert load.p99 >= 98 * 10 - 98  # the 99th is answered after 990 ms, and was due after 98


async def test_an_answer_with_another_status_is_told_of(replay: Replay) -> None:
    async def refuse(_: bytes) -> bytes:
        return b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"

    async with serving(refuse) as port:
        load = await replay.send(port, gets(3), connections=1)
    with pytest.raises(LoadError, match="3 x 429"):
        load.all_are(200)


async def test_a_request_without_an_answer_is_told_of(replay: Replay) -> None:
    async def hang_up_on_the_third(request: bytes) -> bytes:
        return b"" if request.startswith(b"GET /2 ") else OK

    async with serving(hang_up_on_the_third) as port:
        load = await replay.send(port, gets(5), connections=1)
    assert (load.requests, load.unanswered) == (4, 1)
    with pytest.raises(LoadError, match="1 missing"):
        load.all_are(200)
