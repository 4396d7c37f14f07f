"""Which service calls."""

import hashlib
from hmac import compare_digest

from draftstore_common.contracts.identity import Audience, ServiceName, ServiceToken
from draftstore_identity.errors import ServiceKeyRefused
from draftstore_identity.signing import TokenIssuer


class ServiceTokenService:
    """Exchanges a service's key for a token that one other service accepts."""

    def __init__(self, service_keys: dict[str, ServiceName], tokens: TokenIssuer) -> None:
        self._service_keys = service_keys
        self._tokens = tokens

    def issue(self, service_key: str, audience: Audience) -> ServiceToken:
        """A token for the service whose key this is; raises `ServiceKeyRefused`."""
        return self._tokens.service(self._service(service_key), audience)

    def _service(self, service_key: str) -> ServiceName:
        given = hashlib.sha256(service_key.encode()).hexdigest()
        matches = [name for known, name in self._service_keys.items() if compare_digest(known, given)]
        if not matches:
            raise ServiceKeyRefused
        return matches[0]
