"""A TCP proxy in front of a server: passes bytes on, and can be cut, slowed, made a black hole, and asked what it saw.

A presigned URL or a signed request names the host it was signed for: whoever is to come through the proxy takes its
address for the server's, signs for it, and the server, which checks the `Host` header it gets, agrees.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from support.tcp_server import TcpServer

HOST = "127.0.0.1"
PIECE = 64 * 1024
SMOOTH = 20
"""Pieces per second when bytes are counted out, so that a slow connection trickles instead of stuttering."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Watch:
    """How often clients sent some bytes, whatever their case and wherever the network cut them.

    `act` is called each time, just before they are passed on.
    """

    needle: bytes
    act: Callable[[], None] | None = None
    seen: int = 0


class Proxy:
    """Listens on a free port of the loopback interface, which stays its own until it is left.

    `target` is `host:port` or a URL with a port. Faults hold for every connection, old and new, until `restore`.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target if "//" in target else f"//{target}")
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._held = socket.socket()
        self._server = TcpServer(self._pass_on)
        self._listening = False
        self._links: set[_Link] = set()
        self._requests, self._answers = asyncio.Event(), asyncio.Event()
        self._requests.set()
        self._answers.set()
        self._watches: list[Watch] = []
        self._delay = 0.0
        self._rate: float | None = None

    async def __aenter__(self) -> Self:
        # Bound but never listening: the port is refused while we do not listen, and nobody else gets it.
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((HOST, 0))
        await self._listen()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.cut()
        await self._server.close()
        self._held.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._held.getsockname()[1])

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The address as an endpoint over plain HTTP."""
        return f"http://{self.address}"

    def watch(self, needle: bytes, act: Callable[[], None] | None = None) -> Watch:
        """Count these bytes from now on, in what clients send, as it is passed on."""
        watch = Watch(needle.lower(), act)
        self._watches.append(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        """Count no longer."""
        self._watches.remove(watch)

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._server.refuse()
        self._listening = False
        self.reset()

    def reset(self) -> None:
        """Reset every connection; new ones are welcome."""
        for link in list(self._links):
            link.reset()

    def blackhole(self) -> None:
        """Take connections and bytes, and pass nothing on, either way."""
        self._requests.clear()
        self._answers.clear()

    def lose_answers(self) -> None:
        """Pass on what clients send, and nothing of what the server answers."""
        self._answers.clear()

    def slow(self, *, delay: float = 0.0, bytes_per_second: float | None = None) -> None:
        """Hold every piece back for `delay` seconds, and pass at most so many bytes per second and direction."""
        self._delay, self._rate = delay, bytes_per_second

    async def restore(self) -> None:
        """End every fault. Connections that were not reset go on, with the bytes that were held back."""
        self.slow()
        self._requests.set()
        self._answers.set()
        if not self._listening:
            await self._listen()

    async def may_pass(self, piece: bytes, *, request: bool) -> None:
        """Return when a piece may go on."""
        pause = self._delay + (0.0 if self._rate is None else len(piece) / self._rate)
        if pause:
            await asyncio.sleep(pause)
        await (self._requests if request else self._answers).wait()

    @property
    def piece_size(self) -> int:
        """How many bytes are passed at a time."""
        return PIECE if self._rate is None else max(1, min(PIECE, int(self._rate / SMOOTH)))

    @property
    def watches(self) -> Iterable[Watch]:
        """What is counted."""
        return self._watches

    async def _listen(self) -> None:
        await self._server.listen(self.port)
        self._listening = True

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._listening:
            return _reset(writer)  # it had come before the cut, and is served only now
        link = _Link(self, writer)
        self._links.add(link)
        try:
            await link.run(reader, *self._target)
        finally:
            self._links.discard(link)


class _Link:
    """One client's connection, and the one to the server behind it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._writers = [client]
        self._pumps: list[asyncio.Task[None]] = []
        self._was_reset = False

    async def run(self, from_client: asyncio.StreamReader, host: str, port: int) -> None:
        """Pass bytes both ways until both sides have ended; if one fails, so does the other."""
        try:
            await self._connect(from_client, host, port)
            await asyncio.gather(*self._pumps)
            await self._close()
        except BaseException as error:
            self.reset()
            if not isinstance(error, OSError | asyncio.CancelledError):
                raise

    def reset(self) -> None:
        """End both connections with a reset, whatever is under way on them."""
        self._was_reset = True
        for writer in self._writers:
            _reset(writer)
        for pump in self._pumps:
            pump.cancel()

    async def _connect(self, from_client: asyncio.StreamReader, host: str, port: int) -> None:
        from_server, server = await asyncio.open_connection(host, port)
        (client,) = self._writers
        self._writers.append(server)
        if self._was_reset:
            raise ConnectionResetError
        up = self._pump(from_client, server, request=True)
        down = self._pump(from_server, client, request=False)
        self._pumps = [asyncio.create_task(up), asyncio.create_task(down)]

    async def _close(self) -> None:
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            await writer.wait_closed()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, request: bool) -> None:
        tail = b""
        while piece := await source.read(self._proxy.piece_size):
            await self._proxy.may_pass(piece, request=request)
            if request:
                tail = _count(self._proxy.watches, tail, piece)
            sink.write(piece)
            await sink.drain()
        sink.write_eof()


def _count(watches: Iterable[Watch], tail: bytes, piece: bytes) -> bytes:
    """Count what begins in `tail` (what came before, at most a piece) or later; the tail for the next piece."""
    seen = tail + piece.lower()
    for watch in watches:
        kept = min(len(tail), len(watch.needle) - 1)
        found = seen.count(watch.needle, len(tail) - kept)
        watch.seen += found
        if found and watch.act is not None:
            watch.act()
    longest = max((len(watch.needle) for watch in watches), default=1) - 1
    return seen[-longest:] if longest else b""


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
