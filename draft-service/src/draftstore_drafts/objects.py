"""Confirmed objects: list, look, delete."""

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import MAIN
from draftstore_common.contracts.drafts import Object, ObjectPage
from draftstore_common.contracts.identity import Principal
from draftstore_common.problems import ObjectNotFound
from draftstore_drafts.domain import may_touch, public_object
from draftstore_drafts.errors import ObjectNameNotAllowed
from draftstore_drafts.service import actor


class ObjectService:
    """Objects of the caller's bucket `main`. A name outside the key's prefixes is not found, and not deleted (403)."""

    def __init__(self, metadata: MetadataClient, *, url_grace: int) -> None:
        self._metadata = metadata
        self._url_grace = url_grace

    async def list(self, principal: Principal, prefix: str, cursor: str | None, limit: int) -> ObjectPage:
        """A page in the order of names. A key with name prefixes lists under one of them."""
        if not may_touch(principal, prefix):
            raise ObjectNameNotAllowed
        page = await self._metadata.list_objects(
            wire.ListObjects(tenant_id=principal.tenant_id, bucket=MAIN, prefix=prefix, cursor=cursor, limit=limit)
        )
        return ObjectPage(items=[public_object(found) for found in page.items], next_cursor=page.next_cursor)

    async def get(self, principal: Principal, object_name: str) -> Object:
        """One object by its name."""
        if not may_touch(principal, object_name):
            raise ObjectNotFound
        ref = wire.NameRef(tenant_id=principal.tenant_id, bucket=MAIN, object_name=object_name)
        return public_object(await self._metadata.get_object(ref))

    async def delete(self, principal: Principal, object_name: str) -> None:
        """Delete by name; the row decides at once, the bytes follow when URLs already given out have expired."""
        if not may_touch(principal, object_name):
            raise ObjectNameNotAllowed
        await self._metadata.delete_object(
            wire.DeleteObject(
                tenant_id=principal.tenant_id,
                bucket=MAIN,
                object_name=object_name,
                actor=actor(principal),
                url_grace=self._url_grace,
            )
        )
