"""The way of one file through the product, checked at every step."""

from typing import Any

from support.api import Api
from support.rows import draft_key
from support.stack_base import Stack


async def by_name(stack: Stack, api: Api, name: str, content: bytes) -> dict[str, Any]:
    """upload-url → PUT → preview → confirm → HEAD at the store; the receipt.

    The name must be new: its first bytes get the plain key.
    """
    asked = {"object_name": name}
    upload = await api.json("POST", "/api/v1/upload-url", asked)
    assert upload["object_name"] == name
    assert (await api.put(upload, content)).status_code == 200
    waiting = await draft_key(stack, upload["draft_id"])
    assert await stack.store.head(stack.draft_bucket, waiting) is not None

    preview = await api.json("POST", "/api/v1/download-url", asked)
    assert preview["stage"] == "draft"
    assert await api.download(preview["download_url"]) == content
    assert await stack.store.head(stack.main_bucket, name) is None

    receipt = await api.json("POST", "/api/v1/confirm-upload", asked)
    assert receipt["success"] is True
    assert receipt["final_location"] == f"{stack.main_bucket}/{name}"
    assert (receipt["draft_id"], receipt["size"]) == (upload["draft_id"], len(content))

    found = await stack.store.head(stack.main_bucket, name)
    assert found is not None
    assert found.size == len(content)
    assert await stack.store.head(stack.draft_bucket, waiting) is None
    return dict(receipt)
