"""The first check: may this request be looked at at all?

Everything two parsers could read differently is refused here, before any other part sees it: framing (RFC 9112 §6.3),
header aliases, and paths that mean something else after another round of decoding.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from draftstore_gateway.errors import CodingUnsupported, HeadersTooLarge, MalformedRequest, UriTooLong

MAX_PATH = 4096
"""Bytes. An object name of 800 bytes, all of them percent-encoded, needs 2,400."""

MAX_QUERY = 8192
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024

LENGTH = re.compile(rb"[0-9]{1,18}")
"""A Content-Length we believe."""

Pairs = Sequence[tuple[bytes, bytes]]

_NAME_CHARACTERS = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BAD_VALUE_CHARACTERS = bytes([*range(9), *range(10, 32), 127])
_PLAIN_PATH = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""What no check of a path has a word against: most of them."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NOT_VISIBLE_ASCII = re.compile(rb"[^\x21-\x7e]")

_ONCE = frozenset(
    {b"authorization", b"content-length", b"content-type", b"host", b"idempotency-key", b"range", b"transfer-encoding"}
)

_PATH_TRICKS: Mapping[str, tuple[re.Pattern[bytes], str]] = {
    "path_invalid_encoding": (_BAD_ESCAPE, "Write a literal percent sign as %25."),
    "path_nul": (re.compile(rb"%00"), "Remove the NUL byte from the path."),
    "path_encoded_slash": (re.compile(rb"%2f", re.IGNORECASE), "Write / as it is: an encoded slash is not allowed."),
    "path_backslash": (re.compile(rb"%5c|\\", re.IGNORECASE), "Use / between segments; a backslash is not allowed."),
    "path_double_slash": (re.compile(rb"//"), "Remove doubled slashes from the path."),
    "path_dot_segment": (
        re.compile(rb"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE),
        "Remove the segments . and .. from the path.",
    ),
}


def check_path(path: bytes, query: bytes) -> None:
    """Refuse a path, as it was sent, that could name two things; raises `MalformedRequest` or `UriTooLong`."""
    if len(path) > MAX_PATH or len(query) > MAX_QUERY:
        raise UriTooLong
    if not _PLAIN_PATH.fullmatch(path):
        _check_path(path)
    if query:
        _check_query(query)


def _check_query(query: bytes) -> None:
    if b"%00" in query:
        raise MalformedRequest("Remove the NUL byte from the query.", code="query_nul")
    if _NOT_VISIBLE_ASCII.search(query):
        raise MalformedRequest("Percent-encode the query.", code="query_invalid_encoding")


def _check_path(path: bytes) -> None:
    for code, (trick, advice) in _PATH_TRICKS.items():
        if trick.search(path):
            raise MalformedRequest(advice, code=code)
    if _NOT_VISIBLE_ASCII.search(path):
        raise MalformedRequest("Percent-encode the path.", code="path_invalid_encoding")
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest("Encode the path as UTF-8.", code="path_invalid_encoding") from error


def check_headers(headers: Pairs, *, http_version: str) -> None:
    """Refuse headers that another parser could read differently; raises `MalformedRequest` or `HeadersTooLarge`."""
    names = b"".join([name for name, _ in headers])
    values = b"".join([value for _, value in headers])
    if len(headers) > MAX_HEADERS or len(names) + len(values) > MAX_HEADER_BYTES:
        raise HeadersTooLarge
    fields = dict(headers)
    if names.translate(None, _NAME_CHARACTERS) or b"" in fields:
        raise MalformedRequest("Use only letters, digits and hyphens in header names.", code="header_name_invalid")
    if len(values.translate(None, _BAD_VALUE_CHARACTERS)) < len(values):
        raise MalformedRequest("Remove control characters from header values.", code="header_value_invalid")
    if not values.isascii():
        _check_texts(headers)
    if len(fields) < len(headers):
        _check_repeats(headers)
    _check_framing(fields, http_version)


def _check_texts(headers: Pairs) -> None:
    # RFC 9110 §5.5 leaves bytes above 0x7e without a meaning. As UTF-8 they have one, and reach the service unchanged.
    try:
        for _, value in headers:
            value.decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest("Encode header values as UTF-8.", code="header_value_invalid") from error


def _check_repeats(headers: Pairs) -> None:
    counts = Counter(name for name, _ in headers if name in _ONCE)
    repeated = [name.decode() for name, count in counts.items() if count > 1]
    if repeated:
        raise MalformedRequest(f"Send the header {repeated[0]} once only.", code="header_repeated")


def _check_framing(headers: Mapping[bytes, bytes], http_version: str) -> None:
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is not None and (length is not None or http_version == "1.0"):  # RFC 9112 §6.1
        raise MalformedRequest("Send Content-Length, or in HTTP/1.1 Transfer-Encoding.", code="framing_ambiguous")
    if length is not None and not LENGTH.fullmatch(length):
        raise MalformedRequest("Content-Length must be a number of bytes.", code="content_length_invalid")
    if coding is not None and coding.strip().lower() != b"chunked":
        raise MalformedRequest("The only transfer coding taken is chunked.", code="transfer_encoding_unsupported")
    if http_version == "1.1" and b"host" not in headers:
        raise MalformedRequest("Send a Host header (RFC 9112 §3.2).", code="host_missing")


def check_coding(headers: Pairs) -> None:
    """Refuse a compressed body; raises `CodingUnsupported`."""
    if any(name == b"content-encoding" and value.strip().lower() != b"identity" for name, value in headers):
        raise CodingUnsupported
