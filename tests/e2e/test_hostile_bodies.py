"""Bodies made to hurt a parser are refused by the services behind the gateway, and nobody falls over."""

import gzip
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from support.raw_http import exchange, request
from support.stack import Stack

UNREADABLE = (400, "invalid_json")
NO_OBJECT = (422, "invalid_request")
UNKNOWN_FIELD = (422, "unknown_field")


@dataclass(frozen=True)
class HostileBody:
    """A body for a route, and the answer to it."""

    name: str
    body: bytes
    answer: tuple[int, str]
    route: str = "/api/v1/drafts"
    content_type: str = "application/json"


def _named(**more: object) -> bytes:
    return json.dumps({"object_name": "a", **more}).encode()


def _nested(depth: int) -> bytes:
    return b'{"object_name":"a","metadata":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


BODIES = [
    HostileBody("lists within lists", b"[" * 500_000, UNREADABLE),
    HostileBody("lists within lists, closed", b"[" * 250_000 + b"]" * 250_000, UNREADABLE),
    HostileBody("objects within objects", _nested(100_000), UNREADABLE),
    HostileBody("objects a few hundred deep", _nested(300), (422, "invalid_metadata")),
    HostileBody("a number of half a million digits", b'{"object_name":"a","size":' + b"9" * 500_000 + b"}", UNREADABLE),
    HostileBody("a number beyond every float", b'{"object_name":"a","size":1e99999}', (422, "invalid_size")),
    HostileBody("no number at all", b'{"object_name":"a","size":NaN}', (422, "invalid_size")),
    HostileBody("bytes that are no UTF-8", b'{"object_name":"\xff\xfe"}', UNREADABLE),
    HostileBody("half a character", b'{"object_name":"\\ud800"}', (422, "object_name_control_character")),
    HostileBody("a NUL in a name", b'{"object_name":"a\\u0000"}', (422, "object_name_control_character")),
    HostileBody("a compressed body that does not say so", gzip.compress(_named()), UNREADABLE),
    HostileBody("seventy thousand unknown fields", _named(**{f"{n}": 1 for n in range(70_000)}), UNKNOWN_FIELD),
    HostileBody(
        "three hundred thousand drafts",
        b'{"drafts":[' + b"{}," * 300_000 + b"{}]}",
        (422, "missing_field"),
        route="/api/v1/confirmations",
    ),
    HostileBody("a form", b"object_name=a", NO_OBJECT, content_type="application/x-www-form-urlencoded"),
    HostileBody("a page", _named(), NO_OBJECT, content_type="text/html"),
    HostileBody("nothing", b"", (422, "missing_field")),
    HostileBody("a list", b"[]", NO_OBJECT),
    HostileBody("null", b"null", NO_OBJECT),
    HostileBody("two documents", _named() + _named(), UNREADABLE),
    HostileBody("half a document", _named()[:-1], UNREADABLE),
]


@pytest.mark.parametrize("hostile", BODIES, ids=lambda hostile: hostile.name)
async def test_a_hostile_body_gets_its_refusal(stack: Stack, hostile: HostileBody) -> None:
    port = urlsplit(stack.gateway_url).port
    assert port is not None
    headers = {
        "Authorization": f"Bearer {stack.data_key}",
        "Content-Type": hostile.content_type,
        "Content-Length": str(len(hostile.body)),
    }
    answer = await exchange(port, request("POST", hostile.route, headers, hostile.body))
    assert (answer.status, answer.json()["code"]) == hostile.answer
    assert len(answer.body) < 8192
