"""HTTP/1.1 as every service speaks it: what uvicorn leaves open towards a hostile or broken client is closed here.

A request head must be over within `HEAD_TIMEOUT` seconds and about `HEAD_BYTES` bytes, and what cannot be parsed is
refused with a problem document like everything else.
"""

import asyncio
import json
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from draftstore_common.kit.context import REQUEST_ID_HEADER, new_request_id
from draftstore_common.kit.errors import PROBLEM_MEDIA_TYPE, InvalidRequest, problem_body

HEAD_TIMEOUT = 20.0
HEAD_BYTES = 64 * 1024


class UnreadableRequest(InvalidRequest):
    """Not HTTP, or HTTP that two servers could read differently."""

    status = 400
    code = "malformed_request"
    title = "Malformed request"
    detail = "This is not a well-formed HTTP/1.1 request. Correct its framing and send it again."


class StrictHttpProtocol(HttpToolsProtocol):
    """One connection. A head is counted from its second packet on: the first may hold the end of another request."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = False
    _began_here = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._began_here = False
        super().data_received(data)
        if self._head_timer is None and not self._answering():
            # A bare CRLF, say: it began no request, but ended uvicorn's timer for idle connections.
            self._expect_head()
        if self._in_head and not self._began_here:
            self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()
        self._began_here = True
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the parser's words are for its log
        """Refuse and close; an answer that already began is cut off instead of mixed with another."""
        self._end_head()
        cycle = self._newest_cycle()
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
            return
        self.transport.write(_refusal(self.server_state.default_headers))
        self.transport.close()

    def _newest_cycle(self) -> RequestResponseCycle | None:
        return cast("RequestResponseCycle | None", self.cycle)  # None until the first request

    def _answering(self) -> bool:
        cycle = self._newest_cycle()
        return cycle is not None and not cycle.response_complete

    def _expect_head(self) -> None:
        self._end_head()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = None
        self._head_bytes = 0
        self._in_head = False


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
