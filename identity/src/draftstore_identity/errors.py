"""Everything identity refuses, by code.

Problem
├── Unauthorized 401    api_key_malformed, api_key_unknown, api_key_revoked, api_key_expired, api_key_disabled,
│                       service_key_refused
├── Forbidden 403       tenant_suspended, ip_not_allowed, grant_exceeds_own, issuer_protected
│                       (and scope_missing, wrong_key_kind)
├── NotFound 404        key_not_found, tenant_not_found
├── Conflict 409        tenant_exists, key_exists, key_ended, key_already_rotated
├── InvalidRequest 422  admin_key_with_data_powers, key_scopes_missing, key_expiry_past, invalid_cursor,
│                       idempotency_key_missing, idempotency_key_reused
└── TooManyRequests 429 rate_limited

A refused key is told why. That helps its owner and nobody else: every reason but `malformed` and `unknown` needs the
whole secret, which cannot be guessed.
"""

from uuid import UUID

from draftstore_common.kit.errors import Conflict, Forbidden, InvalidRequest, NotFound, Problem, Unauthorized


class KeyMalformed(Unauthorized):
    """Not the form of a key, or its checksum is wrong."""

    code = "api_key_malformed"
    detail = "This is not a whole API key. Check that it was copied completely."


class KeyUnknown(Unauthorized):
    """Well-formed, and nobody's."""

    code = "api_key_unknown"
    detail = "This API key does not exist here. Use a key issued by this installation."


class KeyRevoked(Unauthorized):
    """Revoked, for ever."""

    code = "api_key_revoked"
    detail = "This API key was revoked. Use another one, or have one issued."


class KeyExpired(Unauthorized):
    """Past its `expires_at`."""

    code = "api_key_expired"
    detail = "This API key has expired. Use another one, or have one issued."


class KeyDisabled(Unauthorized):
    """Switched off; it may be switched on again."""

    code = "api_key_disabled"
    detail = "This API key is switched off. Have it enabled, or use another one."


class ServiceKeyRefused(Unauthorized):
    """Not the key of any service."""

    code = "service_key_refused"
    detail = "This service key is not known here. Check SERVICE_KEY of the caller against SERVICE_KEYS of identity."


class TenantSuspended(Forbidden):
    """The key is good; its tenant is stopped."""

    code = "tenant_suspended"
    detail = "This tenant is suspended. Ask whoever runs this installation."


class IpNotAllowed(Forbidden):
    """The key is good, but not from this address."""

    code = "ip_not_allowed"
    detail = "This API key may not be used from this address. Use it from a network of its allow-list."


class GrantExceedsOwn(Forbidden):
    """A data key tried to issue a key that could do more than itself."""

    code = "grant_exceeds_own"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}: a key issues keys of at most its own powers. Ask for less, or use an admin key.")


class IssuerProtected(Forbidden):
    """A data key tried to change the key that issued it, or one further up."""

    code = "issuer_protected"
    detail = "This key issued yours, itself or through others. Use that key to change it, or an admin key."


class KeyNotFound(NotFound):
    """No such key, or one the caller may not know of."""

    code = "key_not_found"
    detail = "There is no key with this id. Check the id."


class TenantNotFound(NotFound):
    """No such tenant, or one the caller may not know of."""

    code = "tenant_not_found"
    detail = "There is no tenant with this id. Check the id."


class TenantExists(Conflict):
    """Tenant names are unique."""

    code = "tenant_exists"
    detail = "A tenant of this name exists. Choose another name."


class KeyExists(Conflict):
    """Somebody's key has this hash. Whose is not for the caller to know."""

    code = "key_exists"
    detail = "A key with this hash is known already. Import each key once, and never the key of somebody else."


class KeyEnded(Conflict):
    """Nothing about it can be changed any more."""

    code = "key_ended"
    detail = "This key was revoked or has expired. Issue a new one."


class KeyAlreadyRotated(Conflict):
    """It has its one successor, and ends when its grace ends."""

    code = "key_already_rotated"

    def __init__(self, successor: UUID) -> None:
        super().__init__(
            f"This key was replaced by {successor}. Use that one; if its secret was lost, revoke it and rotate again."
        )


class AdminKeyWithDataPowers(InvalidRequest):
    """An admin key has the powers of its kind, and reaches no data."""

    code = "admin_key_with_data_powers"
    detail = "An admin key takes no scopes, name_prefixes, tenant_id or test environment. Leave them out."


class KeyScopesMissing(InvalidRequest):
    """A data key without a scope could do nothing."""

    code = "key_scopes_missing"
    detail = "scopes: name at least one scope for a data key."


class KeyExpiryPast(InvalidRequest):
    """The key would be expired from the beginning."""

    code = "key_expiry_past"
    detail = "expires_at: give an instant in the future."


class IdempotencyKeyMissing(InvalidRequest):
    """A rotation sent twice by accident would end a key that somebody has just begun to use."""

    code = "idempotency_key_missing"
    detail = "Idempotency-Key: send this header with a value of your own, the same one when you repeat the request."


class IdempotencyKeyReused(InvalidRequest):
    """The key came with another payload before: answering it with the first result would hide a mistake."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used for something else"
    detail = "This Idempotency-Key came with another payload before. Use a new key for a new request."


class InvalidCursor(InvalidRequest):
    """Not a cursor of this list."""

    code = "invalid_cursor"
    detail = "cursor: send next_cursor of the page before, unchanged, or leave it out for the first page."


class TooManyRequests(Problem):
    """The caller administers faster than it may."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"
    detail = "You sent too many administrative requests. Wait as long as Retry-After says."
