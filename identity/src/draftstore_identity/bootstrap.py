"""What an installation needs before its first request: a signing key, a tenant, an admin key, a data key.

One transaction, exactly once over any number of instances that start together. A secret is revealed *before* the
commit: a crash between the two leaves a revealed key that opens nothing, and the next start makes and reveals
another. The other order could leave a key that nobody was ever told.
"""

import logging
import sys
from collections.abc import Callable

from pydantic import SecretStr

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, KeyCreate, TenantCreate
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import KeyKind
from draftstore_common.kit.errors import CannotStart
from draftstore_identity.domain import BACK_END_SCOPES
from draftstore_identity.secret import digest, new_key_row
from draftstore_identity.signing import SigningKey, new_signing_key, open_signing_key
from draftstore_identity.store import Changer, IdentityStore

log = logging.getLogger(__name__)

DEFAULT_TENANT_NAME = "default"

Reveal = Callable[[KeyKind, str], None]
"""Hands a secret that identity made to whoever runs the installation. An `OSError` undoes the bootstrap."""


def print_once(kind: KeyKind, secret: str) -> None:
    """Write the secret to stderr, past the log's redaction: no other line of ours ever carries one."""
    sys.stderr.write(f"{kind.capitalize()} API Key: {secret}\n")
    sys.stderr.flush()


async def bootstrap(
    store: IdentityStore, *, admin_api_key: SecretStr | None, passphrase: bytes | None, reveal: Reveal
) -> SigningKey:
    """Make what is missing and answer the key that signs.

    Raises `CannotStart`, with nothing made, if the signing key in the database does not open with
    `passphrase` or a secret could not be revealed.
    """
    async with store.change() as change:
        signing_key = await _ensure_signing_key(change, passphrase)
        made = [
            await _ensure_first_data_key(change, reveal),
            await _ensure_admin_key(change, admin_api_key, reveal),
        ]
    for key in filter(None, made):
        log.info("key made at start", extra={"key_id": str(key.id), "kind": key.kind})
    return signing_key


async def _ensure_first_data_key(change: Changer, reveal: Reveal) -> Key | None:
    if await change.tenants.insert(DEFAULT_TENANT_ID, TenantCreate(name=DEFAULT_TENANT_NAME)) is None:
        return None
    secret = api_keys.make("live")
    key = await _insert(change, KeyCreate(name="first data key", scopes=BACK_END_SCOPES), secret)
    _hand_over(reveal, "data", secret)
    return key


async def _ensure_admin_key(change: Changer, given: SecretStr | None, reveal: Reveal) -> Key | None:
    if given is not None:
        return await _ensure_given_admin_key(change, given.get_secret_value())
    if await change.keys.admin_exists():
        return None
    secret = api_keys.make("admin")
    key = await _insert(change, KeyCreate(name="first admin key", kind="admin"), secret)
    _hand_over(reveal, "admin", secret)
    return key


def _hand_over(reveal: Reveal, kind: KeyKind, secret: str) -> None:
    try:
        reveal(kind, secret)
    except OSError as error:
        raise CannotStart(f"the first {kind} API key could not be written down: {error}") from error


async def _ensure_given_admin_key(change: Changer, secret: str) -> Key | None:
    if await change.keys.secret_exists(digest(secret)):
        return None
    return await _insert(change, KeyCreate(name="ADMIN_API_KEY", kind="admin"), secret)


async def _insert(change: Changer, wanted: KeyCreate, secret: str) -> Key:
    row = new_key_row(secret, wanted.kind, DEFAULT_TENANT_ID, parent_id=None)
    return await change.keys.insert(row, wanted, action="created")


async def _ensure_signing_key(change: Changer, passphrase: bytes | None) -> SigningKey:
    stored = await change.signing_keys.current()
    if stored is None:
        stored = new_signing_key(passphrase)
        await change.signing_keys.insert(stored)
    return open_signing_key(stored, passphrase)
