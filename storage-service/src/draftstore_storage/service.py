"""What storage-service does: keys checked, the right call made, success logged. No HTTP, no SDK."""

import logging
from contextlib import aclosing
from hashlib import sha256

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.errors import chain
from draftstore_storage.backends.copying import Copier
from draftstore_storage.backends.protocols import Store, Upload
from draftstore_storage.domain import Buckets, check_key
from draftstore_storage.errors import BucketNotFound, InvalidKey, StoreError, Unavailable

log = logging.getLogger(__name__)


class StorageService:
    """Objects in the two buckets, and signatures for them. Raises the errors of `draftstore_storage.errors`."""

    def __init__(self, store: Store, copier: Copier, names: Buckets, store_id: str) -> None:
        self._store = store
        self._copier = copier
        self._names = names
        self._store_id = store_id

    async def presign_put(self, request: wire.PresignPut) -> wire.SignedRequest:
        """A URL for one PUT of what was declared."""
        check_key("draft", request.key)
        return await self._store.urls.put(request)

    async def presign_puts(self, request: wire.PresignPuts) -> wire.SignedRequests:
        """A URL for each PUT, in the same order; none if a key is not one."""
        return wire.SignedRequests(items=[await self.presign_put(item) for item in request.items])

    async def presign_form(self, request: wire.PresignForm) -> wire.SignedRequest:
        """A form for one POST within the declared sizes."""
        check_key("draft", request.key)
        return await self._store.urls.form(request)

    async def presign_part(self, request: wire.PresignPart) -> wire.SignedRequest:
        """A URL for one part."""
        check_key("draft", request.key)
        return await self._store.urls.part(request)

    async def presign_get(self, request: wire.PresignGet) -> wire.SignedRequest:
        """A URL that reads one object."""
        check_key(request.role, request.key)
        return await self._store.urls.get(request)

    async def head(self, ref: wire.ObjectRef) -> wire.StoredObject:
        """What the store says of a key."""
        check_key(ref.role, ref.key)
        return await self._store.objects.head(ref.role, ref.key)

    async def list_keys(self, request: wire.ListKeys) -> wire.ObjectListing:
        """A page of a bucket's listing."""
        return await self._store.buckets.list(request.role, after=request.after, limit=request.limit)

    async def digest(self, request: wire.DigestRequest) -> wire.DigestAnswer:
        """The SHA-256 of exactly the bytes with this ETag, by reading them: one piece in memory at a time."""
        ref = request.object
        check_key(ref.role, ref.key)
        digest = sha256()
        async with aclosing(self._store.objects.get(ref.role, ref.key, if_match=request.if_match)) as pieces:
            async for piece in pieces:
                digest.update(piece)
        return wire.DigestAnswer(checksum_sha256=digest.hexdigest())

    async def copy(self, request: wire.CopyRequest) -> wire.CopyAnswer:
        """Copy exactly the bytes with this ETag."""
        for ref in (request.source, request.target):
            check_key(ref.role, ref.key)
        etag = await self._copier.copy(request)
        log.info("copied", extra={"from": request.source.role, "to": request.target.role, "bytes": request.size})
        return wire.CopyAnswer(etag=etag)

    async def delete(self, request: wire.DeleteRequest) -> wire.DeleteAnswer:
        """Delete keys of one bucket. One that could never name an object is a failure of its own, not of the others."""
        good = [key for key in request.keys if _names_an_object(request.role, key)]
        bad = set(request.keys).difference(good)
        failures = [wire.DeleteFailure(key=key, reason=InvalidKey.code) for key in bad]
        failures += await self._delete(request.role, good)
        extra = {"role": request.role, "count": len(request.keys) - len(failures), "failures": len(failures)}
        log.info("deleted", extra=extra)
        return wire.DeleteAnswer(failures=failures)

    async def _delete(self, role: BucketRole, keys: list[str]) -> list[wire.DeleteFailure]:
        match keys:
            case []:
                return []
            case [key]:
                return await self._delete_alone(role, key)
            case _:
                return await self._store.objects.delete_many(role, keys)

    async def _delete_alone(self, role: BucketRole, key: str) -> list[wire.DeleteFailure]:
        """As in a batch: a key that the store refuses to delete does not hold up what its caller does beside it."""
        try:
            await self._store.objects.delete(role, key)
        except (BucketNotFound, Unavailable):
            raise
        except StoreError as error:
            log.warning("not deleted", extra={"role": role, "causes": chain(error)})
            return [wire.DeleteFailure(key=key, reason=error.code)]
        return []

    async def create_multipart(self, request: wire.CreateMultipart) -> wire.MultipartCreated:
        """Begin a multipart upload of a draft."""
        check_key("draft", request.key)
        upload_id = await self._store.multipart.create("draft", request.key, request.headers, request.checksum)
        return wire.MultipartCreated(upload_id=upload_id)

    async def list_parts(self, ref: wire.MultipartRef) -> wire.PartList:
        """Every part that has arrived."""
        return wire.PartList(parts=await self._store.multipart.list_parts(_upload(ref)))

    async def complete_multipart(self, request: wire.CompleteMultipart) -> wire.CompletedMultipart:
        """Make the draft's object of its parts."""
        etag = await self._store.multipart.complete(_upload(request), request.parts)
        log.info("completed", extra={"role": "draft", "parts": len(request.parts)})
        return wire.CompletedMultipart(etag=etag)

    async def abort_multipart(self, ref: wire.MultipartRef) -> None:
        """Give a multipart upload up."""
        await self._store.multipart.abort(_upload(ref))

    async def now(self) -> wire.StoreTime:
        """The store's clock."""
        return wire.StoreTime(now=(await self._store.buckets.probe("draft")).now)

    def info(self) -> wire.StoreInfo:
        """The store's names."""
        return wire.StoreInfo(main_bucket=self._names.main, draft_bucket=self._names.draft, store_id=self._store_id)


def _upload(ref: wire.MultipartRef) -> Upload:
    return Upload("draft", check_key("draft", ref.key), ref.upload_id)


def _names_an_object(role: BucketRole, key: str) -> bool:
    try:
        check_key(role, key)
    except InvalidKey:
        return False
    return True
