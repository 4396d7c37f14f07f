"""The SDK's chain of credentials (environment, files, web identity, instance role), for our own signer."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from draftstore_common.kit.clock import Clock, utc_now
from draftstore_common.kit.flight import SingleFlight
from draftstore_storage.errors import Denied, Unavailable
from draftstore_storage.signing.credentials import Credentials

ASK_TIMEOUT = 15.0
"""Seconds one look for credentials may take."""

CHECK_EVERY = timedelta(seconds=60)
"""How long credentials are used before botocore is asked again; it renews them 15 minutes before they end."""


class ChainCredentials:
    """Takes what botocore's session has found, and its renewals: in a thread, for both may call a network."""

    def __init__(self, session: Any, *, clock: Clock = utc_now) -> None:
        self._session = session
        self._clock = clock
        self._held: Credentials | None = None
        self._good_until = datetime.min.replace(tzinfo=UTC)
        self._flight = SingleFlight(self._ask, timeout=ASK_TIMEOUT)

    async def current(self) -> Credentials:
        """Credentials that have not ended. They are confirmed every minute, beside their use."""
        now = self._clock()
        if self._held is None or (self._held.expires_at is not None and self._held.expires_at <= now):
            await self._wait()
        elif now >= self._good_until:
            self._flight.start()
        assert self._held is not None  # noqa: S101  just set
        return self._held

    async def _wait(self) -> None:
        try:
            await self._flight.wait()
        except TimeoutError as error:
            raise Unavailable("draft") from error

    async def _ask(self) -> None:
        found = await asyncio.to_thread(self._find)
        if found != self._held:
            self._held = found
        self._good_until = self._clock() + CHECK_EVERY

    def _find(self) -> Credentials:
        try:
            source = self._session.get_credentials()
            frozen = source.get_frozen_credentials() if source is not None else None
        except BotoCoreError as error:
            raise Denied("draft") from error
        if frozen is None:
            raise Denied("draft")
        # botocore has no public name for the end of credentials; those that do not end lack the attribute
        expires_at: datetime | None = getattr(source, "_expiry_time", None)
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token, expires_at)
