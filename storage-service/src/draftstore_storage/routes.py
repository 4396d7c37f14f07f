"""The internal routes: parsed, answered, nothing decided. Only services get in, and each only where it has business."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from draftstore_common.access import only
from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import Request as Empty
from draftstore_common.contracts.identity import ServiceName
from draftstore_common.kit.direct import DirectRoute
from draftstore_storage.context import Context
from draftstore_storage.service import StorageService

drafts = APIRouter(
    route_class=DirectRoute, prefix="/internal", dependencies=[Depends(only(ServiceName.DRAFTS))], tags=["drafts"]
)
cleaning = APIRouter(
    route_class=DirectRoute,
    prefix="/internal",
    dependencies=[Depends(only(ServiceName.DRAFTS, ServiceName.CLEANER))],
    tags=["cleaning"],
)
reconciling = APIRouter(
    route_class=DirectRoute, prefix="/internal", dependencies=[Depends(only(ServiceName.CLEANER))], tags=["reconciling"]
)


async def _service(request: Request) -> StorageService:
    context: Context = request.app.state.context
    return context.service


Service = Annotated[StorageService, Depends(_service)]


@drafts.post("/presign/put")
async def presign_put(body: wire.PresignPut, service: Service) -> wire.SignedRequest:
    """A URL for one PUT of what was declared."""
    return await service.presign_put(body)


@drafts.post("/presign/put-batch")
async def presign_puts(body: wire.PresignPuts, service: Service) -> wire.SignedRequests:
    """A URL for each PUT, in the same order."""
    return await service.presign_puts(body)


@drafts.post("/presign/form")
async def presign_form(body: wire.PresignForm, service: Service) -> wire.SignedRequest:
    """A form for one POST within the declared sizes."""
    return await service.presign_form(body)


@drafts.post("/presign/part")
async def presign_part(body: wire.PresignPart, service: Service) -> wire.SignedRequest:
    """A URL for one part."""
    return await service.presign_part(body)


@drafts.post("/presign/get")
async def presign_get(body: wire.PresignGet, service: Service) -> wire.SignedRequest:
    """A URL that reads one object."""
    return await service.presign_get(body)


@cleaning.post("/objects/head")
async def head(body: wire.ObjectRef, service: Service) -> wire.StoredObject:
    """What the store says of a key."""
    return await service.head(body)


@reconciling.post("/objects/list")
async def list_keys(body: wire.ListKeys, service: Service) -> wire.ObjectListing:
    """A page of a bucket's listing."""
    return await service.list_keys(body)


@drafts.post("/objects/digest")
async def digest(body: wire.DigestRequest, service: Service) -> wire.DigestAnswer:
    """The SHA-256 of the bytes with this ETag, read for it."""
    return await service.digest(body)


@drafts.post("/objects/copy")
async def copy(body: wire.CopyRequest, service: Service) -> wire.CopyAnswer:
    """Copy exactly the bytes with this ETag."""
    return await service.copy(body)


@cleaning.post("/objects/delete")
async def delete(body: wire.DeleteRequest, service: Service) -> wire.DeleteAnswer:
    """Delete keys of one bucket."""
    return await service.delete(body)


@drafts.post("/multipart/create")
async def create_multipart(body: wire.CreateMultipart, service: Service) -> wire.MultipartCreated:
    """Begin a multipart upload of a draft."""
    return await service.create_multipart(body)


@drafts.post("/multipart/list-parts")
async def list_parts(body: wire.MultipartRef, service: Service) -> wire.PartList:
    """Every part that has arrived."""
    return await service.list_parts(body)


@drafts.post("/multipart/complete")
async def complete_multipart(body: wire.CompleteMultipart, service: Service) -> wire.CompletedMultipart:
    """Make the draft's object of its parts."""
    return await service.complete_multipart(body)


@cleaning.post("/multipart/abort", status_code=204)
async def abort_multipart(body: wire.MultipartRef, service: Service) -> None:
    """Give a multipart upload up."""
    await service.abort_multipart(body)


@cleaning.post("/clock")
async def clock(_: Empty, service: Service) -> wire.StoreTime:
    """The store's clock."""
    return await service.now()


@cleaning.post("/info")
async def info(_: Empty, service: Service) -> wire.StoreInfo:
    """The store's names."""
    return service.info()
