"""The typed client of storage-service."""

from draftstore_common.clients.base import ServiceClient
from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole, Request
from draftstore_common.contracts.identity import Audience


class StorageClient(ServiceClient):
    """Objects in the two buckets, and signatures for them."""

    audience = Audience.STORAGE

    async def presign_put(self, request: wire.PresignPut) -> wire.SignedRequest:
        """A URL that accepts one PUT of what was declared, and nothing else."""
        return await self._ask("/internal/presign/put", request, wire.SignedRequest)

    async def presign_puts(self, requests: list[wire.PresignPut]) -> list[wire.SignedRequest]:
        """A URL for each of up to 1,000 PUTs, in the same order; `invalid_key` (422) if any key is none."""
        asked = wire.PresignPuts(items=requests)
        return (await self._ask("/internal/presign/put-batch", asked, wire.SignedRequests)).items

    async def presign_get(self, request: wire.PresignGet) -> wire.SignedRequest:
        """A URL that reads one object."""
        return await self._ask("/internal/presign/get", request, wire.SignedRequest)

    async def head(self, role: BucketRole, key: str) -> wire.StoredObject:
        """What the store says of a key; `object_not_found` (404) if nothing is there."""
        return await self._ask("/internal/objects/head", wire.ObjectRef(role=role, key=key), wire.StoredObject)

    async def list_keys(self, request: wire.ListKeys) -> wire.ObjectListing:
        """A page of a bucket's listing: a hint of what is there, never a proof that something is not."""
        return await self._ask("/internal/objects/list", request, wire.ObjectListing)

    async def digest(self, request: wire.DigestRequest) -> wire.DigestAnswer:
        """The SHA-256 of the bytes with this ETag, for stores that keep none; takes as long as reading them."""
        return await self._ask("/internal/objects/digest", request, wire.DigestAnswer)

    async def copy(self, request: wire.CopyRequest) -> wire.CopyAnswer:
        """Copy inside the store, pinned to an ETag; `precondition_failed` (412) if the source is not that any more."""
        return await self._ask("/internal/objects/copy", request, wire.CopyAnswer)

    async def delete(self, request: wire.DeleteRequest) -> wire.DeleteAnswer:
        """Delete keys; those not named in `failures` are gone."""
        return await self._ask("/internal/objects/delete", request, wire.DeleteAnswer)

    async def abort_multipart(self, request: wire.MultipartRef) -> None:
        """Abort a multipart upload by its id; one that is no longer there counts as aborted."""
        await self._tell("/internal/multipart/abort", request)

    async def now(self) -> wire.StoreTime:
        """The store's clock."""
        return await self._ask("/internal/clock", Request(), wire.StoreTime)

    async def info(self) -> wire.StoreInfo:
        """The names of the buckets; they never change while storage-service runs."""
        return await self._ask("/internal/info", Request(), wire.StoreInfo)
