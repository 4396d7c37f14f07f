"""Object names: 1–800 bytes of UTF-8 in NFC, segments of at most 255 bytes between single slashes.

The limits leave room in S3's 1,024-byte keys for the tenant's prefix, and are those of the file systems some
stores keep objects on (255 bytes a segment). Every broken rule has a code of its own.
"""

import re
from typing import Annotated
from unicodedata import normalize

from pydantic import AfterValidator, WithJsonSchema

from draftstore_common.contracts.base import broken_rule

MAX_NAME_BYTES = 800
MAX_SEGMENT_BYTES = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_BIDI = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ORDINARY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,254})*")
"""Names of which nothing but the whole length is left to check, as most are."""


def check_object_name(name: str) -> str:
    """The name in NFC, if it may name an object; else a validation error whose type is a stable code."""
    if len(name) <= MAX_NAME_BYTES and _ORDINARY.fullmatch(name):
        return name
    if not name:
        raise broken_rule("object_name_empty", "Give the object a name of 1 to 800 bytes")
    _check_characters(name)
    name = normalize("NFC", name)
    if len(name.encode()) > MAX_NAME_BYTES:
        raise broken_rule("object_name_too_long", f"Shorten the name to at most {MAX_NAME_BYTES} bytes of UTF-8")
    _check_segments(name.split("/"))
    return name


def _check_characters(name: str) -> None:
    if _CONTROL.search(name) or _SURROGATE.search(name):
        raise broken_rule("object_name_control_character", "Remove control characters and line ends from the name")
    if _BIDI.search(name):
        raise broken_rule("object_name_bidi_character", "Remove invisible text-direction characters from the name")
    if "\\" in name:
        raise broken_rule("object_name_backslash", "Use / between segments; a backslash is not allowed")


def check_plain_text(value: str) -> str:
    """The text, if it has no control characters: PostgreSQL takes no NUL, and logs and headers no line ends."""
    if _CONTROL.search(value) or _SURROGATE.search(value):
        raise broken_rule("control_character", "Remove control characters and line ends from this text")
    return value


PlainText = Annotated[str, AfterValidator(check_plain_text)]
"""Text that may go into a row, a log line or a header."""


NamePrefix = Annotated[str, AfterValidator(check_plain_text), AfterValidator(lambda text: normalize("NFC", text))]
"""The beginning of object names, in NFC as they are."""


def _check_segments(segments: list[str]) -> None:
    if any(segment == "" for segment in segments):
        raise broken_rule("object_name_slash", "Remove leading, trailing and doubled slashes from the name")
    if any(segment in {".", ".."} for segment in segments):
        raise broken_rule("object_name_dot_segment", "Remove the segments . and .. from the name")
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        text = f"Shorten each segment between slashes to at most {MAX_SEGMENT_BYTES} bytes"
        raise broken_rule("object_name_segment_too_long", text)


ObjectName = Annotated[
    str,
    AfterValidator(check_object_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_BYTES,
            "pattern": r"^[^/\\\u0000-\u001f\u007f-\u009f]+(/[^/\\\u0000-\u001f\u007f-\u009f]+)*$",
            "description": "1 to 800 bytes of UTF-8 in NFC; segments of at most 255 bytes between single slashes",
        }
    ),
]
"""A valid object name, in NFC."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_bucket_name(name: str) -> str:
    """The name, if S3 would take it as a bucket name."""
    if not _BUCKET.fullmatch(name) or ".." in name:
        raise broken_rule("invalid_bucket", "Name a bucket with 3 to 63 lower-case letters, digits, dots and hyphens")
    return name


PublicBucket = Annotated[
    str,
    AfterValidator(check_bucket_name),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_BUCKET.pattern}$", "description": "a bucket; `main` is always there"}
    ),
]
"""The name of a public bucket, by the naming rules of S3."""
