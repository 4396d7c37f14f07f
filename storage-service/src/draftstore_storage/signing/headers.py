"""Requests signed in their headers: what this service itself sends to the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.clock import Clock, utc_now
from draftstore_storage.signing.addresses import Address
from draftstore_storage.signing.credentials import CredentialSource
from draftstore_storage.signing.sigv4 import ALGORITHM, Stamps, canonical_headers, canonical_query

_EMPTY = sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class S3Request:
    """A request about a key, or about the bucket itself. Names of headers are in lower case."""

    method: str
    role: BucketRole
    key: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class HeaderSigner:
    """Signs every header it is given, and the body: nothing on the way can change what is asked."""

    def __init__(
        self,
        credentials: CredentialSource,
        addresses: Mapping[BucketRole, Address],
        *,
        region: str,
        clock: Clock = utc_now,
    ) -> None:
        self._credentials = credentials
        self._addresses = addresses
        self._stamps = Stamps(region)
        self._clock = clock

    async def sign(self, request: S3Request) -> tuple[str, dict[str, str]]:
        """The URL, encoded as it must be sent, and all headers."""
        stamp = self._stamps.at(self._clock(), await self._credentials.current())
        where = self._addresses[request.role]
        path = where.bucket_path if request.key is None else where.path(request.key)
        query = canonical_query(request.query)
        digest = sha256(request.body).hexdigest() if request.body else _EMPTY
        headers = {**request.headers, **stamp.headers, "host": where.host, "x-amz-content-sha256": digest}
        names, lines = canonical_headers(headers)
        signature = stamp.sign_request(f"{request.method}\n{path}\n{query}\n{lines}\n{names}\n{digest}")
        credential = stamp.key.credential
        headers["authorization"] = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return f"{where.origin}{path}{query and '?' + query}", headers
