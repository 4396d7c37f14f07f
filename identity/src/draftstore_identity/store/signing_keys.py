"""The keys that tokens are signed with."""

from typing import Any

from sqlalchemy import func, insert, or_, select

from draftstore_identity.signing import StoredSigningKey
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import signing_keys

_SIGNING_KEY = select(signing_keys.c.kid, signing_keys.c.public_jwk, signing_keys.c.private_pem)
# Not now(), the beginning of the transaction: it may have waited, for the one that made the key.
_PUBLISHED = or_(signing_keys.c.retire_at.is_(None), signing_keys.c.retire_at > func.statement_timestamp())


class SigningKeyReader(Rows):
    """Questions about signing keys."""

    async def current(self) -> StoredSigningKey | None:
        """The key that signs now: the latest to have become active among those still published."""
        active = _SIGNING_KEY.where(_PUBLISHED, signing_keys.c.active_at <= func.statement_timestamp())
        row = await self._row(active.order_by(signing_keys.c.active_at.desc(), signing_keys.c.kid).limit(1))
        return None if row is None else StoredSigningKey(**row)

    async def public(self) -> list[dict[str, Any]]:
        """The public halves whose tokens are accepted, those that will sign later included."""
        query = select(signing_keys.c.public_jwk).where(_PUBLISHED).order_by(signing_keys.c.active_at.desc())
        return [row["public_jwk"] for row in await self._rows(query)]


class SigningKeyChanger(SigningKeyReader):
    """Changes of signing keys."""

    async def insert(self, key: StoredSigningKey) -> None:
        """Add a signing key that signs from now on."""
        values = {"kid": key.kid, "public_jwk": key.public_jwk, "private_pem": key.private_pem}
        await self._connection.execute(insert(signing_keys).values(**values, active_at=func.now()))
