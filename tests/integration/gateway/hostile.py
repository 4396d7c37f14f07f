"""Requests no honest client sends, and what becomes of each."""

from collections.abc import Iterator
from dataclasses import dataclass

KEY = b"<key>"
"""Stands for an API key with every scope."""

GOOD = b"GET /api/v1/drafts HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer <key>\r\n\r\n"
MALFORMED = (400, "malformed_request")
MISSING = (401, "api_key_missing")
NO_KEY = (401, "api_key_malformed")
TOO_LARGE = (413, "body_too_large")
UNKNOWN = (404, "not_found")
OK = (200, None)

Expected = tuple[int, str | None]


@dataclass(frozen=True)
class Hostile:
    """Bytes on a fresh connection, the answers to them in order, and whether the connection ends then.

    `reaches`: how many requests the service gets to see.
    """

    name: str
    sent: bytes
    answers: tuple[Expected, ...]
    closed: bool = False
    reaches: int = 0


def _head(method: str, target: str, *lines: str, version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {target} {version}", "Host: gateway", *lines, "", ""]).encode("latin-1")


def _get(target: str, *lines: str) -> bytes:
    return _head("GET", target, f"Authorization: Bearer {KEY.decode()}", *lines)


def _post(*lines: str, body: bytes = b"") -> bytes:
    return _head("POST", "/api/v1/drafts", f"Authorization: Bearer {KEY.decode()}", *lines) + body


def _chunked(body: bytes, *lines: str) -> bytes:
    return _post("Transfer-Encoding: chunked", *lines, body=body)


def _framing() -> Iterator[Hostile]:
    lines = {
        "both lengths": ("Content-Length: 5\r\nTransfer-Encoding: chunked", MALFORMED),
        "both lengths, the other way round": ("Transfer-Encoding: chunked\r\nContent-Length: 5", MALFORMED),
        "two lengths": ("Content-Length: 5\r\nContent-Length: 6", MALFORMED),
        "the same length twice": ("Content-Length: 5\r\nContent-Length: 5", MALFORMED),
        "a list of lengths": ("Content-Length: 5, 5", MALFORMED),
        "a signed length": ("Content-Length: +5", MALFORMED),
        "a negative length": ("Content-Length: -5", MALFORMED),
        "a hexadecimal length": ("Content-Length: 0x5", MALFORMED),
        "a length in words": ("Content-Length: five", MALFORMED),
        "a length with a fraction": ("Content-Length: 5.0", MALFORMED),
        "an empty length": ("Content-Length:", MALFORMED),
        "a length beyond 64 bits": ("Content-Length: 99999999999999999999", MALFORMED),
        "an unknown coding": ("Transfer-Encoding: xchunked", MALFORMED),
        "identity as a coding": ("Transfer-Encoding: identity", MALFORMED),
        "chunked and then something": ("Transfer-Encoding: chunked, identity", MALFORMED),
        "chunked twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", MALFORMED),
        "chunked with a vertical tab": ("Transfer-Encoding: \x0bchunked", MALFORMED),
        "chunked in quotes": ('Transfer-Encoding: "chunked"', MALFORMED),
        "a space before the colon of a length": ("Content-Length : 5", MALFORMED),
        "a space before the colon of a coding": ("Transfer-Encoding : chunked", MALFORMED),
        "a folded coding": ("Transfer-Encoding:\r\n chunked", MALFORMED),
        "a folded line": ("X-Folded: a\r\n b: c", MALFORMED),
        "a length behind a bare line feed": ("X-A: b\nContent-Length: 5", MALFORMED),
        "a coding behind a bare carriage return": ("X-A: b\rTransfer-Encoding: chunked", MALFORMED),
    }
    for name, (line, expected) in lines.items():
        yield Hostile(name, _post(line, body=b"12345" + GOOD), (expected,), closed=True)


def _chunks() -> Iterator[Hostile]:
    broken = {
        "a chunk longer than any number": b"FFFFFFFFFFFFFFFFF\r\n",
        "a negative chunk": b"-5\r\n12345\r\n0\r\n\r\n",
        "a chunk with a prefix": b"0x5\r\n12345\r\n0\r\n\r\n",
        "a chunk with a space before it": b" 5\r\n12345\r\n0\r\n\r\n",
        "a chunk without a number": b"five\r\n12345\r\n0\r\n\r\n",
        "a chunk behind a bare line feed": b"5\n12345\r\n0\r\n\r\n",
        "a chunk that goes on after its end": b"5\r\n1234567\r\n0\r\n\r\n",
        "a chunk extension with a line feed": b"5;a\nb\r\n12345\r\n0\r\n\r\n",
        "a chunk extension without end": b"5;" + b"a" * 1_000_000,
        "trailers without end": b"0\r\nX-Trailer: " + b"a" * 1_000_000,
        "a length that comes as a trailer": b"0\r\nContent-Length: 5\r\n\r\n12345",
        "a folded trailer": b"0\r\nX-A: b\r\n c\r\n\r\n",
    }
    for name, body in broken.items():
        yield Hostile(name, _chunked(body), (MALFORMED,), closed=True)
    endless = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    yield Hostile("chunks beyond the limit", _chunked(endless * 20), (TOO_LARGE,), closed=True)
    old = _head("POST", "/api/v1/drafts", f"Authorization: Bearer {KEY.decode()}", "Transfer-Encoding: chunked")
    old = old.replace(b"HTTP/1.1", b"HTTP/1.0", 1) + b"0\r\n\r\n"
    yield Hostile("chunks in HTTP/1.0", old, ((400, "framing_ambiguous"),), closed=True)


def _headers() -> Iterator[Hostile]:
    refused = {
        "a name with an underscore": ("X_Request_Id: a", "header_name_invalid"),
        "a length with an underscore": ("Content_Length: 5", "header_name_invalid"),
        "a coding with an underscore": ("Transfer_Encoding: chunked", "header_name_invalid"),
        "a name with dots": ("X.Forwarded.For: 1.2.3.4", "header_name_invalid"),
        "a name with a quote": ("X'A: b", "header_name_invalid"),
        "a value in Latin-1": ("X-A: \xe4", "header_value_invalid"),
        "two hosts": ("Host: another", "header_repeated"),
        "two keys": ("Authorization: Bearer another", "header_repeated"),
        "two idempotency keys": ("Idempotency-Key: a\r\nIdempotency-Key: b", "header_repeated"),
        "two ranges": ("Range: bytes=0-1\r\nRange: bytes=1-2", "header_repeated"),
        "two content types": ("Content-Type: application/json\r\nContent-Type: text/html", "header_repeated"),
        "an unknown coding before chunked": ("Transfer-Encoding: gzip, chunked", "transfer_encoding_unsupported"),
    }
    for name, (line, code) in refused.items():
        yield Hostile(name, _get("/api/v1/drafts", line), ((400, code),))
    unreadable = {
        "a NUL in a value": "X-A: a\x00b",
        "a control character in a value": "X-A: a\x01b",
        "a NUL in a name": "X\x00A: b",
        "a space in a name": "X A: b",
        "a name in Latin-1": "X-\xc4: b",
        "no name": ": b",
        "no colon": "X-A",
    }
    for name, line in unreadable.items():
        yield Hostile(name, _get("/api/v1/drafts", line), (MALFORMED,), closed=True)
    many = [f"X-{number}: a" for number in range(200)]
    yield Hostile("two hundred headers", _get("/api/v1/drafts", *many), ((431, "headers_too_large"),))
    yield Hostile("a long header", _get("/api/v1/drafts", "X-A: " + "a" * 40_000), ((431, "headers_too_large"),))
    yield Hostile("a header without end", _get("/", "X-A: " + "a" * 2_000_000), (MALFORMED,), closed=True)


def _request_lines() -> Iterator[Hostile]:
    unreadable = {
        "an unknown method": b"HELLO / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a method in lower case": b"get / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "an unknown version": b"GET / HTTP/9.9\r\nHost: gateway\r\n\r\n",
        "a version in lower case": b"GET / http/1.1\r\nHost: gateway\r\n\r\n",
        "another protocol": b"GET / ICY/1.1\r\nHost: gateway\r\n\r\n",
        "a space in the path": b"GET /a b HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a tab for a space": b"GET\t/ HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a path that is no ASCII": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a NUL in the path": b"GET /a\x00b HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a path without a slash": b"GET api/v1/drafts HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a fragment": b"GET /api/v1/drafts#a HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "the URL of another host": b"GET http://evil.example/api/v1/drafts HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a URL with a user": b"GET http://gateway@evil.example/ HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "the URL of another scheme": b"GET file:///etc/passwd HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n" + GOOD,
        "the server as a whole": b"OPTIONS * HTTP/1.1\r\nHost: gateway\r\n\r\n",
        "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "a space before the first header": b"GET / HTTP/1.1\r\n X-A: b\r\nHost: gateway\r\n\r\n",
    }
    for name, sent in unreadable.items():
        yield Hostile(name, sent, (MALFORMED,), closed=True)
    yield Hostile("no host", b"GET /api/v1/drafts HTTP/1.1\r\n\r\n", ((400, "host_missing"),))
    yield Hostile("HTTP/1.0 at nothing", b"GET /nothing HTTP/1.0\r\n\r\n", (UNKNOWN,), closed=True)
    for method in ("TRACE", "OPTIONS", "PROPFIND", "PATCH", "M-SEARCH"):
        sent = _head(method, "/api/v1/drafts", f"Authorization: Bearer {KEY.decode()}")
        yield Hostile(f"the method {method}", sent, ((405, "method_not_allowed"),))


def _paths() -> Iterator[Hostile]:
    tricks = {
        "/api/v1/objects/a%2Fb": "path_encoded_slash",
        "/api/v1/objects/..%2f..%2finternal%2fverify": "path_encoded_slash",
        "/api/v1/objects/../keys": "path_dot_segment",
        "/api/v1/../../internal/verify": "path_dot_segment",
        "/api/v1/objects/%2e%2e/keys": "path_dot_segment",
        "/api/v1/objects/.%2E/keys": "path_dot_segment",
        "/api/v1/objects/a/.": "path_dot_segment",
        "//evil.example/api/v1/drafts": "path_double_slash",
        "/api/v1/objects//a": "path_double_slash",
        "/api/v1/objects/a%00.png": "path_nul",
        "/api/v1/objects/..%5Ckeys": "path_backslash",
        "/api/v1/objects/a\\..\\b": "path_backslash",
        "/api/v1/objects/a%zz": "path_invalid_encoding",
        "/api/v1/objects/a%u002e": "path_invalid_encoding",
        "/api/v1/objects/a%": "path_invalid_encoding",
        "/api/v1/objects/%c0%ae%c0%ae/keys": "path_invalid_encoding",
        "/api/v1/objects/%ed%a0%80": "path_invalid_encoding",
        "/api/v1/drafts?cursor=a%00": "query_nul",
    }
    for target, code in tricks.items():
        yield Hostile(f"the path {target}", _get(target), ((400, code),))
    for target in (
        "/internal/verify",
        "/API/v1/drafts",
        "/%61pi/v1/drafts",
        "/api/v1/%2564rafts",
        "/api/v1/drafts;x=y",
        "/api/v1/drafts/a/..;/keys",
        "/health/live%20",
        "/.well-known/jwks.json",
    ):
        yield Hostile(f"the path {target}", _get(target), (UNKNOWN,))
    yield Hostile("a long path", _get("/api/v1/objects/" + "a" * 5000), ((414, "uri_too_long"),))
    yield Hostile("a long query", _get("/api/v1/drafts?cursor=" + "a" * 9000), ((414, "uri_too_long"),))


def _credentials() -> Iterator[Hostile]:
    def with_value(value: str) -> bytes:
        return _head("GET", "/api/v1/drafts", f"Authorization: {value}")

    yield Hostile("no key", _head("GET", "/api/v1/drafts"), (MISSING,))
    yield Hostile("a key in the query", _head("GET", f"/api/v1/drafts?api_key={KEY.decode()}"), (MISSING,))
    yield Hostile("a key in a cookie", _head("GET", "/api/v1/drafts", f"Cookie: key={KEY.decode()}"), (MISSING,))
    malformed = {
        "another scheme": f"Basic {KEY.decode()}",
        "no scheme": KEY.decode(),
        "an endless key": "Bearer " + "a" * 20_000,
        "a token of ours": "Bearer eyJhbGciOiJub25lIiwidHlwIjoic2VydmljZSJ9.eyJzdWIiOiJnYXRld2F5In0.",
        "a key with a wrong checksum": "Bearer ds_live_" + "a" * 38,
        "two keys in one": f"Bearer {KEY.decode()}, Bearer {KEY.decode()}",
    }
    for name, value in malformed.items():
        yield Hostile(name, with_value(value), (NO_KEY,))
    spoofed = _head("GET", "/api/v1/drafts", "X-Tenant-Id: a", "X-Scopes: drafts:read", "X-Forwarded-User: admin")
    yield Hostile("internal headers in the place of a key", spoofed, (MISSING,))


def _bodies() -> Iterator[Hostile]:
    length = f"Content-Length: {2**40}"
    yield Hostile("a body announced too long", _post(length), (TOO_LARGE,), closed=True)
    asking = _post(length, "Expect: 100-continue")
    yield Hostile("a body announced too long by who asks first", asking, (TOO_LARGE,), closed=True)
    bomb = _post("Content-Encoding: gzip", "Content-Length: 5", body=b"12345")
    yield Hostile("a compressed body", bomb, ((415, "content_encoding_unsupported"),))


def _sequences() -> Iterator[Hostile]:
    bad = b"GET / HTTP/9.9\r\n\r\n"
    yield Hostile("a good request behind a broken one", bad + GOOD, (MALFORMED,), closed=True)
    yield Hostile("a broken request behind a good one", GOOD + bad, (OK,), closed=True, reaches=1)
    yield Hostile("a good request behind a refused one", _head("GET", "/nothing") + GOOD, (UNKNOWN, OK), reaches=1)
    closing = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    yield Hostile("a request behind the last one", closing + GOOD, (OK,), closed=True, reaches=1)
    upgrades = {"websocket": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "h2c": "HTTP2-Settings: AAMAAABkAAQAoAAA"}
    for protocol, more in upgrades.items():
        asking = ("Connection: Upgrade", f"Upgrade: {protocol}", more)
        sent = _get("/api/v1/drafts", *asking) + GOOD
        yield Hostile(f"a request behind an upgrade to {protocol}", sent, (OK,), closed=True, reaches=1)
        sent = _head("GET", "/api/v1/drafts", *asking)
        yield Hostile(f"an upgrade to {protocol} without a key", sent, (MISSING,), closed=True)
    trailers = b"0\r\nX-Forwarded-For: 6.6.6.6\r\nIdempotency-Key: late\r\n\r\n"
    yield Hostile("headers that come as trailers", _chunked(trailers), (OK,), reaches=1)


HOSTILE: tuple[Hostile, ...] = (
    *_framing(),
    *_chunks(),
    *_headers(),
    *_request_lines(),
    *_paths(),
    *_credentials(),
    *_bodies(),
    *_sequences(),
)
