"""Requests as bytes, rendered before the load begins."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any
from urllib.parse import urlsplit

CREATE = "/api/v1/drafts"
BATCH = "/api/v1/drafts/batch"
DOWNLOAD_URL = "/api/v1/download-url"

_NUMBERS = count()
"""No two drafts of a run have one name."""


def render(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """One HTTP/1.1 request on a connection that stays; `headers` has no length."""
    fields = {"Host": "127.0.0.1", **headers, **({"Content-Length": str(len(body))} if body or method == "PUT" else {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def post(target: str, body: Mapping[str, Any], key: str | None = None) -> bytes:
    """A call of the public API."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    return render("POST", target, headers, json.dumps(body).encode())


def intent() -> dict[str, Any]:
    """What a client says of a file that is new: its name, type and size."""
    return {"object_name": f"bench/{next(_NUMBERS):09}.pdf", "content_type": "application/pdf", "size": 4096}


def creates(times: int, key: str | None = None) -> Iterator[bytes]:
    """So many drafts, one request each."""
    return (post(CREATE, intent(), key) for _ in range(times))


def batches(times: int, size: int, key: str) -> Iterator[bytes]:
    """So many batches of `size` drafts."""
    return (post(BATCH, {"drafts": [intent() for _ in range(size)]}, key) for _ in range(times))


def puts(uploads: Iterable[Mapping[str, Any]], content: bytes) -> Iterator[bytes]:
    """The bytes, sent to every upload URL with the headers it wants."""
    for upload in uploads:
        url = urlsplit(upload["url"])
        headers = {name: value for name, value in upload["headers"].items() if name.lower() != "content-length"}
        yield render("PUT", f"{url.path}?{url.query}", {"Host": url.netloc, **headers}, content)


def confirms(draft_ids: Iterable[str], key: str) -> Iterator[bytes]:
    """A confirm of each draft."""
    return (post(f"{CREATE}/{draft_id}/confirm", {}, key) for draft_id in draft_ids)


def download_urls(names: Iterable[str], key: str) -> Iterator[bytes]:
    """A download URL of each name."""
    return (post(DOWNLOAD_URL, {"object_name": name}, key) for name in names)
