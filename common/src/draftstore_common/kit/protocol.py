"""HTTP/1.1 as every service speaks it: what uvicorn leaves open towards a hostile or broken client is closed here.

A request head must be over within `HEAD_TIMEOUT` seconds and about `HEAD_BYTES` bytes, what cannot be parsed is refused
with a problem document like everything else, trailers are no headers, and a client that takes nothing is let go.
"""

import asyncio
import json
import re
import socket
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from draftstore_common.kit.context import DRAINING, REQUEST_ID_HEADER, new_request_id
from draftstore_common.kit.errors import PROBLEM_MEDIA_TYPE, InvalidRequest, problem_body
from draftstore_common.kit.one_write import OneWrite

HEAD_TIMEOUT = 20.0
HEAD_BYTES = 64 * 1024
"""Bytes in a row that may bring neither a request's beginning nor a part of its body: a head, trailers, extensions."""

TAKE_TIMEOUT = 60.0
"""Seconds in which a client may take nothing of what was sent to it (TCP_USER_TIMEOUT, tcp(7))."""

_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(?:[/?][^#]*)?", re.IGNORECASE)


class UnreadableRequest(InvalidRequest):
    """Not HTTP, or HTTP that two servers could read differently."""

    status = 400
    code = "malformed_request"
    title = "Malformed request"
    detail = "This is not a well-formed HTTP/1.1 request. Correct its framing and send it again."


class StrictHttpProtocol(HttpToolsProtocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None
    _idle_bytes = 0
    _progressed = False
    _in_head = False
    _closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _let_go_of_who_takes_nothing(transport)
        draining: asyncio.Event | None = self.app_state.get(DRAINING)
        self._closing = draining is not None and draining.is_set()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def close_after_answer(self) -> None:
        """The next answer that begins is the last of this connection, and says so."""
        self._closing = True
        cycle = self._newest_cycle()
        if cycle is not None and not cycle.response_started:
            cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        self._progressed = False
        super().data_received(data)
        if self._head_timer is None and (self._in_head or not self._answering()):
            # A head that is not here yet; or a bare CRLF, say, which ended uvicorn's timer for idle connections.
            self._expect_head()
        self._idle_bytes = 0 if self._progressed else self._idle_bytes + len(data)
        if self._idle_bytes > HEAD_BYTES:
            self.send_400_response("Too many bytes that say nothing.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stop_head_timer()  # begins anew in `data_received` if the head is not here in full, as most are
        self._progressed = True
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, and leave out a trailer: whoever checks headers never saw it (RFC 9110 §6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end_head()
        if not _is_for(self.url, [value for name, value in self.headers if name == b"host"]):
            raise ValueError("target")  # the parser's callback error, answered by `send_400_response`
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":  # to whose answer there is no body that its head could wait for
            self.cycle.transport = cast("asyncio.Transport", OneWrite(self.transport, self.loop))
        if self._closing or self.parser.should_upgrade():
            # What follows an upgrade that was not granted is not parsed any more.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._progressed = True
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the parser's words are for its log
        """Refuse and close, after the answers that are still due: a refusal never takes the place of another."""
        self._end_head()
        cycle = self._newest_cycle()
        if cycle is not None and not cycle.response_complete:
            self._end_after(cycle)
        else:
            self._refuse()

    def _end_after(self, cycle: RequestResponseCycle) -> None:
        if not cycle.more_body:  # the request is whole, what came after it was not
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if cycle.response_started or self.pipeline:
            self.transport.abort()
            return
        cycle.disconnected = True  # so that whatever works on it sends nothing behind the refusal
        cycle.message_event.set()
        self._refuse()

    def _refuse(self) -> None:
        self.transport.write(_refusal(self.server_state.default_headers))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing of an upgrade nobody offers: anybody can ask for one."""

    def _newest_cycle(self) -> RequestResponseCycle | None:
        return cast("RequestResponseCycle | None", self.cycle)  # None until the first request

    def _answering(self) -> bool:
        cycle = self._newest_cycle()
        return cycle is not None and not cycle.response_complete

    def _expect_head(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _end_head(self) -> None:
        self._stop_head_timer()
        self._in_head = False

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = None


def _let_go_of_who_takes_nothing(transport: asyncio.Transport) -> None:
    """Have the kernel end the connection: a close waits for the client to take what was sent, for ever if need be."""
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TAKE_TIMEOUT * 1000))


def _is_for(target: bytes, hosts: list[bytes]) -> bool:
    """Whether a request target is a path, or a URL of the host the Host header names (RFC 9112 §3.2)."""
    if target.startswith(b"/"):
        return b"#" not in target
    absolute = _ABSOLUTE.fullmatch(target)
    return absolute is not None and [absolute[1].lower()] == [host.strip().lower() for host in hosts]


def _refusal(default_headers: list[tuple[bytes, bytes]]) -> bytes:
    request_id = new_request_id()
    body = json.dumps(problem_body(UnreadableRequest(), request_id)).encode()
    lines = [
        b"HTTP/1.1 400 Bad Request",
        *(name + b": " + value for name, value in default_headers),
        b"content-type: " + PROBLEM_MEDIA_TYPE.encode(),
        b"content-length: " + str(len(body)).encode(),
        REQUEST_ID_HEADER.encode() + b": " + request_id.encode(),
        b"connection: close",
    ]
    return b"\r\n".join([*lines, b"", body])
