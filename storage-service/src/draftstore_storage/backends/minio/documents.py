"""The XML of calls that the minio SDK has no method for."""

from collections.abc import Iterable

from minio.xml import Element, SubElement, getbytes

from draftstore_storage.domain import CORS_METHODS


def cors_request(origins: Iterable[str]) -> bytes:
    """The body of PutBucketCors."""
    root = Element("CORSConfiguration")
    rule = SubElement(root, "CORSRule")
    for name, values in (
        ("AllowedOrigin", origins),
        ("AllowedMethod", CORS_METHODS),
        ("AllowedHeader", ("*",)),
        ("ExposeHeader", ("ETag",)),
        ("MaxAgeSeconds", ("3600",)),
    ):
        for value in values:
            SubElement(rule, name, value)
    return getbytes(root)
