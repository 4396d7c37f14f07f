"""Where an object lies in URLs: `http://host/bucket/key`, or `https://bucket.host/key`."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from draftstore_common.contracts.base import BucketRole
from draftstore_storage.domain import Buckets
from draftstore_storage.signing.sigv4 import encode_path

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket in URLs. `host` is the Host header that clients will send, and so what must be signed."""

    origin: str
    host: str
    prefix: str

    def path(self, key: str) -> str:
        """The encoded path of a key."""
        return self.prefix + "/" + encode_path(key)

    @property
    def bucket_path(self) -> str:
        """The path of the bucket itself."""
        return self.prefix or "/"


def addresses(endpoint: str, buckets: Buckets, *, virtual_hosts: bool) -> dict[BucketRole, Address]:
    """Both buckets behind an endpoint."""
    return {
        "main": address(endpoint, buckets.main, virtual_hosts=virtual_hosts),
        "draft": address(endpoint, buckets.draft, virtual_hosts=virtual_hosts),
    }


def address(endpoint: str, bucket: str, *, virtual_hosts: bool) -> Address:
    """The address of a bucket behind an endpoint. The scheme's default port is dropped, as HTTP clients do."""
    parts = urlsplit(endpoint)
    host = parts.netloc
    if parts.port == _DEFAULT_PORTS[parts.scheme]:
        host = host.rpartition(":")[0]
    if virtual_hosts:
        host = f"{bucket}.{host}"
    return Address(f"{parts.scheme}://{host}", host, "" if virtual_hosts else f"/{bucket}")
