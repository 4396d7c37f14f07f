"""Presigned URLs and forms: the hottest code of the service, and no SDK in it.

What is declared is signed, so the store enforces it: a PUT of another length, type or checksum is refused, and
nothing is stored.
"""

import json
from base64 import b64encode
from typing import Literal

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.clock import Clock, utc_now
from draftstore_storage.domain import Buckets, base64_sha256
from draftstore_storage.signing.addresses import addresses
from draftstore_storage.signing.credentials import CredentialSource
from draftstore_storage.signing.sigv4 import ALGORITHM, Stamp, Stamps, canonical_headers, canonical_query

_NOTHING: dict[str, str] = {}

GUARDS = (
    "x-amz-bucket-replication-status",
    "x-amz-copy-source",
    "x-amz-copy-source-range",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-minio-source-etag",
    "x-minio-source-mtime",
    "x-minio-source-replication-request",
)
"""Headers by which whoever holds an upload URL could make MinIO read another object, forge an ETag, or lock us out.

Amazon S3 refuses `x-amz-…` headers that are not signed; MinIO takes them. So they are signed, as empty. MinIO looks a
signed header up in the query string where the request has none, so a request without them fits its signature, and one
that brings them does not.
"""

CREATED = "201"
"""What the store answers to an accepted form: with 201 it also says the ETag, which a browser can then read."""


class Presigner:
    """Signs requests for the public endpoint. The same input at the same second gives the same answer."""

    def __init__(
        self,
        credentials: CredentialSource,
        buckets: Buckets,
        *,
        region: str,
        endpoint: str,
        virtual_hosts: bool,
        clock: Clock = utc_now,
    ) -> None:
        self._credentials = credentials
        self._stamps = Stamps(region)
        self._clock = clock
        self._buckets = buckets
        self._guards = _NOTHING
        self._addresses = addresses(endpoint, buckets, virtual_hosts=virtual_hosts)

    def guard_uploads(self) -> None:
        """From now on, forbid the headers of `GUARDS` in every upload URL: this store takes them unsigned."""
        self._guards = dict.fromkeys(GUARDS, "")

    async def put(self, request: wire.PresignPut) -> wire.SignedRequest:
        """A URL for one PUT into the draft bucket, bound to every header in the answer's `headers`."""
        headers = _declared(request.size, request.checksum_sha256, request.content_type)
        return await self._url("PUT", "draft", request.key, request.expires_in, headers=headers, guards=self._guards)

    async def part(self, request: wire.PresignPart) -> wire.SignedRequest:
        """A URL for one part of a multipart upload."""
        headers = _declared(request.size, request.checksum_sha256)
        query = {"partNumber": str(request.part_number), "uploadId": request.upload_id}
        return await self._url(
            "PUT", "draft", request.key, request.expires_in, query=query, headers=headers, guards=self._guards
        )

    async def get(self, request: wire.PresignGet) -> wire.SignedRequest:
        """A URL that reads one object, with the type and disposition it is to be served with."""
        answer = {
            "response-content-disposition": request.content_disposition,
            "response-content-type": request.content_type,
        }
        query = {name: value for name, value in answer.items() if value is not None}
        return await self._url("GET", request.role, request.key, request.expires_in, query=query)

    async def form(self, request: wire.PresignForm) -> wire.SignedRequest:
        """A form for this key of the draft bucket, these sizes, this type or family of types, and no other field."""
        stamp = await self._stamp()
        expires_at = stamp.window(request.expires_in).expires_at
        where = self._addresses["draft"]
        declared, proof = _declared_fields(request), _proof_fields(request, stamp)
        policy = {
            "expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "conditions": [
                *_form_limits(request),
                *({name: value} for name, value in declared.items()),
                {"bucket": self._buckets.draft},
                *({name: value} for name, value in proof.items()),
            ],
        }
        encoded = b64encode(json.dumps(policy).encode()).decode()
        return wire.SignedRequest(
            method="POST",
            url=where.origin + where.bucket_path,
            fields={**declared, **proof, "policy": encoded, "x-amz-signature": stamp.key.sign(encoded)},
            expires_at=expires_at,
        )

    async def _url(
        self,
        method: Literal["GET", "PUT"],
        role: BucketRole,
        key: str,
        lifetime: int,
        *,
        query: dict[str, str] = _NOTHING,
        headers: dict[str, str] = _NOTHING,
        guards: dict[str, str] = _NOTHING,
    ) -> wire.SignedRequest:
        stamp = await self._stamp()
        window = stamp.window(lifetime)
        where = self._addresses[role]
        path = where.path(key)
        names, lines = canonical_headers(
            {"host": where.host, **{name.lower(): headers[name] for name in headers}, **guards}
        )
        others = canonical_query({**query, **guards})  # in lower case, and so behind ours
        canonical = f"{window.query}{names.replace(';', '%3B')}{others and '&' + others}"
        signature = stamp.sign_request(f"{method}\n{path}\n{canonical}\n{lines}\n{names}\nUNSIGNED-PAYLOAD")
        url = f"{where.origin}{path}?{canonical}&X-Amz-Signature={signature}"
        return wire.SignedRequest(method=method, url=url, headers=headers, expires_at=window.expires_at)

    async def _stamp(self) -> Stamp:
        return self._stamps.at(self._clock(), await self._credentials.current())


def _form_limits(request: wire.PresignForm) -> list[list[str | int]]:
    sizes: list[str | int] = ["content-length-range", request.min_size, request.max_size]
    if request.content_type is not None:
        return [sizes]
    return [sizes, ["starts-with", "$Content-Type", request.content_type_prefix or ""]]


def _declared_fields(request: wire.PresignForm) -> dict[str, str]:
    declared = {} if request.content_type is None else {"Content-Type": request.content_type}
    return {**declared, "success_action_status": CREATED}


def _proof_fields(request: wire.PresignForm, stamp: Stamp) -> dict[str, str]:
    token = stamp.credentials.session_token
    return {
        "key": request.key,
        "x-amz-algorithm": ALGORITHM,
        "x-amz-credential": stamp.key.credential,
        "x-amz-date": stamp.timestamp,
        **({"x-amz-security-token": token} if token else {}),
    }


def _declared(size: int | None, checksum_sha256: str | None, content_type: str | None = None) -> dict[str, str]:
    headers = {}
    if size is not None:
        headers["Content-Length"] = str(size)
    if content_type is not None:
        headers["Content-Type"] = content_type
    if checksum_sha256 is not None:
        headers["x-amz-checksum-sha256"] = base64_sha256(checksum_sha256)
    return headers
