"""Whose a secret is."""

import logging

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Audience, Verdict, VerifyRequest
from draftstore_common.kit.errors import Problem
from draftstore_identity import domain
from draftstore_identity.domain import Credential
from draftstore_identity.errors import KeyMalformed, KeyUnknown
from draftstore_identity.secret import digest
from draftstore_identity.service.last_uses import LastUses
from draftstore_identity.signing import TokenIssuer
from draftstore_identity.store import IdentityStore

log = logging.getLogger(__name__)


class VerifyService:
    """Answers whose a secret is, and vouches for it with a token."""

    def __init__(self, store: IdentityStore, tokens: TokenIssuer, last_uses: LastUses) -> None:
        self._store = store
        self._tokens = tokens
        self._last_uses = last_uses

    async def verify(self, request: VerifyRequest) -> Verdict:
        """The verdict on a key; raises the 401 or 403 that says why it opens nothing."""
        if not api_keys.is_well_formed(request.secret):
            raise KeyMalformed
        async with self._store.read() as reader:
            credential = await reader.keys.credential_by_hash(digest(request.secret))
        if credential is None:
            raise KeyUnknown
        self._check(credential, request.client_ip)
        self._last_uses.note(credential.key.id, credential.now)
        return self._verdict(credential, request.audience)

    @staticmethod
    def _check(credential: Credential, client_ip: str | None) -> None:
        try:
            domain.check_living(credential)
            domain.check_address(credential.key, client_ip)
        except Problem as refusal:
            log.info("key refused", extra={"key_id": str(credential.key.id), "code": refusal.code})
            raise

    def _verdict(self, credential: Credential, audience: Audience) -> Verdict:
        key = credential.key
        principal = domain.principal_of(credential)
        token, expires_at = self._tokens.principal(principal, audience, until=key.expires_at)
        return Verdict(
            principal=principal,
            token=token,
            token_expires_at=expires_at,
            rate_limits=key.rate_limits,
            tenant_rate_limits=domain.tenant_limits(credential),
            cidrs=key.cidrs,
            sequence=credential.sequence,
        )
