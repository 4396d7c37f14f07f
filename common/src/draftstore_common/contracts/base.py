"""The two bases of every wire model, and the types they share."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

DEFAULT_TENANT_ID = UUID("00000000-0000-7000-8000-000000000000")
"""The tenant every fresh installation has. Its bucket `main` lies without a prefix in the main bucket."""

MAIN = "main"
"""The public bucket every tenant has."""

BucketRole = Literal["draft", "main"]
"""The two buckets of the store, named by what they are for."""


MAX_MEMBERS = 25
"""Fields that are looked at. No request has as many; every unknown one would be an error of its own, and a megabyte of
them half a second of the service's only thread."""


def at_most(count: int) -> BeforeValidator:
    """Refuse a list or an object of more members before looking at one, for the same reason."""

    def check(sent: Any) -> Any:
        if isinstance(sent, list | dict) and len(sent) > count:
            raise ValueError(f"more than {count} members")
        return sent

    return BeforeValidator(check)


class Request(BaseModel):
    """What a caller sends. An unknown field is refused: a misspelt option must not pass as the default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_members(cls, sent: Any) -> Any:
        if isinstance(sent, dict) and len(sent) > MAX_MEMBERS:
            raise PydanticCustomError("extra_forbidden", "more fields than any request has")
        return sent


class Answer(BaseModel):
    """What a service answers. Unknown fields are ignored: an older caller must survive a newer service."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def example(**fields: JsonValue) -> ConfigDict:
    """The configuration of a model that shows how it is sent: for readers of the document, and for tests made of it."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def broken_rule(code: str, message: str) -> PydanticCustomError:
    """A validation error whose type is one of our stable codes; `message` says what to do."""
    return PydanticCustomError(code, message.replace("{", "(").replace("}", ")"), {"rule": "ours"})


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:  # midnight of the year 1, east of Greenwich
        raise ValueError("in UTC it lies outside the years 1 to 9999") from error


@lru_cache(1024)
def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"  # instead of +00:00


Instant = Annotated[
    AwareDatetime, AfterValidator(_in_utc), PlainSerializer(_rfc3339, return_type=str, when_used="json")
]
"""A point in time; on the wire RFC 3339 in UTC with milliseconds."""

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_BASE64_SHA256 = re.compile(r"[A-Za-z0-9+/]{43}=")


def _canonical_sha256(value: str) -> str:
    if _BASE64_SHA256.fullmatch(value):
        return b64decode(value).hex()
    if _HEX_SHA256.fullmatch(value.lower()):
        return value.lower()
    raise broken_rule("invalid_checksum", "Send the SHA-256 as 64 hexadecimal digits or as base64")


Sha256 = Annotated[
    str,
    AfterValidator(_canonical_sha256),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({_HEX_SHA256.pattern}|{_BASE64_SHA256.pattern})$",
            "description": "a SHA-256: 64 hexadecimal digits, or base64",
        }
    ),
]
"""A SHA-256 digest, 64 lower-case hexadecimal digits; base64, as S3 headers carry it, is accepted on input."""

Cursor = Annotated[str, Field(max_length=512, description="`next_cursor` of the page before; none for the first")]
"""An opaque place in a list, made by the service that answered it."""
