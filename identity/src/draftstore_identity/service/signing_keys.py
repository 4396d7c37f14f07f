"""Replaces the keys that sign tokens, and keeps this instance signing with the right one."""

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any, Self

from draftstore_common.kit.context import new_request_id, request_id, set_timeout
from draftstore_common.kit.errors import CannotStart, Unavailable, chain
from draftstore_identity.author import ITSELF, Author
from draftstore_identity.bell import ChangeBell
from draftstore_identity.signing import TokenIssuer, new_signing_key, open_signing_key
from draftstore_identity.signing_schedule import KEPT_AFTER, WITHDRAWN_AFTER, PublishedKey
from draftstore_identity.store import Changer, IdentityStore
from draftstore_identity.store.audit import AuditRow

log = logging.getLogger(__name__)

REREAD = 20.0
"""Seconds at most between two looks at which key signs. The bell of changes rings for a new key, too."""

PAUSE = 0.5
"""Seconds at least between them, however often the bell rings."""

LOOK_TIMEOUT = 10.0


class SigningKeyService:
    """Publishes new signing keys, under the lock of changes, and has it on record."""

    def __init__(self, store: IdentityStore, passphrase: bytes | None) -> None:
        self._store = store
        self._passphrase = passphrase

    async def renew_if_due(self, lifetime: timedelta) -> None:
        """Publish the next key, if the present one is nearly through its lifetime and has no successor."""
        async with self._store.read() as reader:
            if (await reader.signing_keys.published()).successor_due(lifetime) is None:
                return
        async with self._store.change() as change:
            signs_at = (await change.signing_keys.published()).successor_due(lifetime)
            if signs_at is not None:
                await self._publish(change, signs_at, ITSELF)

    async def renew(self, by: Author) -> PublishedKey:
        """The next key, which signs in ten minutes; one that waits already is left to."""
        async with self._store.change(by) as change:
            published = await change.signing_keys.published()
            return published.successor or await self._publish(change, published.earliest, by)

    async def replace(self, by: Author) -> PublishedKey:
        """A new key that signs at once. All others are withdrawn in ten seconds: for a key that may have leaked.

        Services meet a key they have not heard of, and fetch it. One that fetched the public keys a moment before
        refuses its tokens until it may ask again (two seconds).
        """
        async with self._store.change(by) as change:
            now = (await change.signing_keys.published()).now
            await change.signing_keys.drop_waiting()
            return await self._add(change, now, now + WITHDRAWN_AFTER, "signing_key.replaced", by)

    async def _publish(self, change: Changer, signs_at: datetime, by: Author) -> PublishedKey:
        return await self._add(change, signs_at, signs_at + KEPT_AFTER, "signing_key.published", by)

    async def _add(
        self, change: Changer, signs_at: datetime, others_until: datetime, action: str, by: Author
    ) -> PublishedKey:
        await self._check_passphrase(change)
        key = new_signing_key(self._passphrase)
        await change.signing_keys.drop_retired()
        await change.signing_keys.insert(key, signs_at=signs_at)
        await change.signing_keys.retire_others(key.kid, others_until)
        detail = {"signs_at": signs_at.isoformat(), "others_until": others_until.isoformat()}
        await change.audit.add([_entry(action, key.kid, by, detail)])
        return PublishedKey(key.kid, signs_at)

    async def _check_passphrase(self, change: Changer) -> None:
        """Raise `CannotStart` rather than add a key that the instances could not open, or that lies there in clear."""
        current = await change.signing_keys.current()
        if current is None:
            raise CannotStart("no key signs yet; start identity once first")
        open_signing_key(current, self._passphrase)


def _entry(action: str, kid: str, by: Author, detail: dict[str, Any]) -> AuditRow:
    return AuditRow(
        category="admin",
        action=action,
        outcome="allowed",
        actor=by.actor,
        target_type="signing_key",
        target=kid,
        request_id=request_id.get(),
        detail=detail,
    )


class SigningKeyWatch:
    """Runs between entering and leaving: sees to it that a new key comes in time, and that this instance uses it."""

    def __init__(
        self,
        store: IdentityStore,
        tokens: TokenIssuer,
        bell: ChangeBell,
        *,
        passphrase: bytes | None,
        lifetime: timedelta,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._bell = bell
        self._passphrase = passphrase
        self._lifetime = lifetime
        self._keys = SigningKeyService(store, passphrase)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Publish the next key if it is due, and sign with the one whose time it is."""
        await self._keys.renew_if_due(self._lifetime)
        async with self._store.read() as reader:
            current = await reader.signing_keys.current()
        if current is not None and current.kid != self._tokens.kid:
            self._tokens.use(open_signing_key(current, self._passphrase))
            log.info("tokens are signed with another key", extra={"kid": current.kid})

    async def _run(self) -> None:
        while True:
            rung = self._bell.next
            request_id.set(new_request_id())
            set_timeout(LOOK_TIMEOUT)
            try:
                await self.look()
            except Unavailable as error:
                log.warning("signing keys not read", extra={"causes": chain(error)})
            except CannotStart as error:
                log.error("the new signing key cannot be used", extra={"causes": chain(error)})  # noqa: TRY400
            except Exception:
                log.exception("signing keys not read")
            await asyncio.sleep(PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REREAD - PAUSE):
                    await rung.wait()
