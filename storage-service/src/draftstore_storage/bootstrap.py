"""Making the buckets ready, and refusing to start on buckets that would break a promise."""

import asyncio
import logging
from collections.abc import Sequence

from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import CannotStart, chain
from draftstore_storage.backends.protocols import BucketBackend, Probe, Store
from draftstore_storage.errors import BucketNotFound, Denied, StoreError, Unavailable

log = logging.getLogger(__name__)

ROLES: tuple[BucketRole, BucketRole] = ("draft", "main")

STORE_START_TIMEOUT = 60.0
"""Seconds that a store started at the same time gets to answer."""


async def prepare(store: Store, *, origins: Sequence[str], patience: float) -> None:
    """Both buckets exist afterwards, nothing deleted from the draft bucket stays, and browsers may use it.

    Upload URLs are guarded where the store is MinIO (`signing.presigner.GUARDS`).

    Waits up to `patience` seconds for the store. Raises `CannotStart` if it does not answer by then, refuses our
    credentials, or if the draft bucket has versioning, replication or object lock.
    """
    # In a task of its own, so that the deadlines set inside do not become the caller's.
    await asyncio.create_task(_prepare(store, origins, patience))


async def _prepare(store: Store, origins: Sequence[str], patience: float) -> None:
    buckets = store.buckets
    try:
        await _wait_for_store(buckets, patience)
        set_timeout(patience)
        found = [await _ensure(buckets, role) for role in ROLES]
        await _refuse_hazards(buckets)
        await _allow_browsers(buckets, origins)
        if any(probe.server.lower().startswith("minio") for probe in found):
            store.urls.guard_uploads()
    except StoreError as error:
        raise CannotStart(f"the object store cannot be used: {error.detail} ({error})") from error


async def _wait_for_store(buckets: BucketBackend, patience: float) -> None:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience
    while True:
        set_timeout(max(0.0, give_up_at - loop.time()))
        try:
            await buckets.probe("main")
        except BucketNotFound:
            return
        except Unavailable as error:
            if loop.time() >= give_up_at:
                raise
            log.warning("waiting for the store", extra={"causes": chain(error)})
        else:
            return


async def _ensure(buckets: BucketBackend, role: BucketRole) -> Probe:
    try:
        return await buckets.probe(role)
    except BucketNotFound:
        await buckets.create(role)
        log.info("bucket created", extra={"role": role})
        return await buckets.probe(role)  # made by somebody else, it may be one we have no right to


async def _refuse_hazards(buckets: BucketBackend) -> None:
    try:
        hazards = await buckets.hazards("draft")
    except Denied:
        log.warning("not allowed to see whether the draft bucket has versioning, replication or object lock")
        return
    if hazards:
        text = f"the draft bucket has {', '.join(hazards)}, so what is deleted from it would stay; use one without"
        raise CannotStart(text)


async def _allow_browsers(buckets: BucketBackend, origins: Sequence[str]) -> None:
    extra = {"origins": list(origins)}
    try:
        if not await buckets.allow_origins("draft", origins):
            text = "the store has no CORS settings per bucket: allow browsers in the store's own settings"
            log.warning(text, extra=extra)
    except Denied:
        log.warning("not allowed to set CORS on the draft bucket: browsers may be refused", extra=extra)
