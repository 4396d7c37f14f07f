"""Where an object lies in URLs: `http://host/bucket/key`, or `https://bucket.host/key`."""

from dataclasses import dataclass
from urllib.parse import urlsplit

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
    def form_url(self) -> str:
        """Where a POST form goes: the bucket itself."""
        return self.origin + (self.prefix or "/")


def address(endpoint: str, bucket: str, *, virtual_hosts: bool) -> Address:
    """The address of a bucket behind an endpoint. The scheme's default port is dropped, as HTTP clients do."""
    parts = urlsplit(endpoint)
    host = parts.netloc
    if parts.port == _DEFAULT_PORTS[parts.scheme]:
        host = host.rpartition(":")[0]
    if virtual_hosts:
        host = f"{bucket}.{host}"
    return Address(f"{parts.scheme}://{host}", host, "" if virtual_hosts else f"/{bucket}")
