"""The keys that tokens are signed with."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update

from draftstore_identity.signing import StoredSigningKey
from draftstore_identity.signing_schedule import Published, PublishedKey
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import CHANGES_CHANNEL, signing_keys

_SIGNING_KEY = select(signing_keys.c.kid, signing_keys.c.public_jwk, signing_keys.c.private_pem)
# Not now(), the beginning of the transaction: it may have waited, for the one that made the key.
_NOW = func.statement_timestamp()
_PUBLISHED = or_(signing_keys.c.retire_at.is_(None), signing_keys.c.retire_at > _NOW)


class SigningKeyReader(Rows):
    """Questions about signing keys."""

    async def current(self) -> StoredSigningKey | None:
        """The key that signs now: the latest to have become active among those still published."""
        active = _SIGNING_KEY.where(_PUBLISHED, signing_keys.c.active_at <= _NOW)
        row = await self._row(active.order_by(signing_keys.c.active_at.desc(), signing_keys.c.kid).limit(1))
        return None if row is None else StoredSigningKey(**row)

    async def public(self) -> list[dict[str, Any]]:
        """The public halves whose tokens are accepted, those that will sign later included."""
        query = select(signing_keys.c.public_jwk).where(_PUBLISHED).order_by(signing_keys.c.active_at.desc())
        return [row["public_jwk"] for row in await self._rows(query)]

    async def published(self) -> Published:
        """Which keys are published, and what PostgreSQL's clock says."""
        query = select(signing_keys.c.kid, signing_keys.c.active_at).where(_PUBLISHED)
        rows = await self._rows(query.order_by(signing_keys.c.active_at.desc()))
        now = (await self._connection.execute(select(_NOW))).scalar_one()
        return Published(tuple(PublishedKey(row["kid"], row["active_at"]) for row in rows), now)


class SigningKeyChanger(SigningKeyReader):
    """Changes of signing keys. Every instance is told when one is committed."""

    async def insert(self, key: StoredSigningKey, *, signs_at: datetime | None = None) -> None:
        """Publish a signing key that signs from an instant on, by default from now."""
        values = {"kid": key.kid, "public_jwk": key.public_jwk, "private_pem": key.private_pem}
        await self._connection.execute(insert(signing_keys).values(**values, active_at=signs_at or func.now()))
        await self._connection.execute(select(func.pg_notify(CHANGES_CHANNEL, "")))

    async def retire_others(self, kid: str, at: datetime) -> None:
        """Stop publishing every key but this one at an instant; those that would stop earlier do so."""
        others = update(signing_keys).where(signing_keys.c.kid != kid)
        sooner = func.least(func.coalesce(signing_keys.c.retire_at, at), at)
        await self._connection.execute(others.values(retire_at=sooner))

    async def drop_waiting(self) -> None:
        """Take back keys that were to sign later: no token of theirs exists."""
        await self._connection.execute(delete(signing_keys).where(signing_keys.c.active_at > _NOW))

    async def drop_retired(self) -> None:
        """Forget keys that are not published any more, their private halves first of all."""
        await self._connection.execute(delete(signing_keys).where(signing_keys.c.retire_at <= _NOW))
