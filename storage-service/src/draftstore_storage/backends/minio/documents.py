"""The XML of calls that the minio SDK has no method for."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from minio.xml import Element, SubElement, findall, findtext, getbytes

from draftstore_common.contracts import storage as wire
from draftstore_storage.domain import CORS_METHODS, GONE_CODES, base64_sha256, full_sha256


def parse(body: bytes) -> ET.Element:
    """The root element of an answer."""
    return ET.fromstring(body)  # noqa: S314  the answer of our own store to a signed request


def text(element: ET.Element, name: str) -> str:
    """The text of a child that must be there."""
    return findtext(element, name, strict=True) or ""


def etag_of(body: bytes) -> str:
    """The ETag in the answer to a copy or a complete."""
    return text(parse(body), "ETag").strip('"')


def upload_id_of(body: bytes) -> str:
    """The id in the answer to CreateMultipartUpload."""
    return text(parse(body), "UploadId")


def delete_request(keys: Sequence[str]) -> bytes:
    """The body of DeleteObjects, asking for failures only."""
    root = Element("Delete")
    SubElement(root, "Quiet", "true")
    for key in keys:
        SubElement(SubElement(root, "Object"), "Key", key)
    return getbytes(root)


def delete_failures(body: bytes) -> list[wire.DeleteFailure]:
    """The keys that DeleteObjects left, and why."""
    errors = [(text(error, "Key"), text(error, "Code")) for error in findall(parse(body), "Error")]
    return [wire.DeleteFailure(key=key, reason=code) for key, code in errors if code not in GONE_CODES]


def complete_request(parts: Iterable[wire.PartRef]) -> bytes:
    """The body of CompleteMultipartUpload."""
    root = Element("CompleteMultipartUpload")
    for part in parts:
        element = SubElement(root, "Part")
        SubElement(element, "PartNumber", str(part.part_number))
        SubElement(element, "ETag", f'"{part.etag}"')
        if part.checksum_sha256 is not None:
            SubElement(element, "ChecksumSHA256", base64_sha256(part.checksum_sha256))
    return getbytes(root)


def uploaded_parts(page: ET.Element) -> list[wire.UploadedPart]:
    """The parts on one page of ListParts."""
    return [
        wire.UploadedPart(
            part_number=int(text(part, "PartNumber")),
            size=int(text(part, "Size")),
            etag=text(part, "ETag").strip('"'),
            checksum_sha256=full_sha256(findtext(part, "ChecksumSHA256")),
        )
        for part in findall(page, "Part")
    ]


def next_marker(page: ET.Element) -> str | None:
    """Where the next page of ListParts begins; None on the last."""
    truncated = (findtext(page, "IsTruncated") or "").lower() == "true"
    return findtext(page, "NextPartNumberMarker") if truncated else None


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
