"""The XML of S3's answers and requests (S3 API reference)."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from draftstore_common.contracts import storage as wire
from draftstore_storage.domain import GONE_CODES, base64_sha256, full_sha256

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def parse(body: bytes) -> ET.Element:
    """The root element; `ValueError` for what no answer of S3 is.

    A document type is refused, and with it every entity that could grow; text is decoded here, so that no other
    encoding can hide one. Stores send blanks ahead of a late answer, to keep the connection open (S3 API reference,
    CopyObject).
    """
    text = body.decode().strip()
    if "<!DOCTYPE" in text:
        raise ValueError("an answer with a document type")
    try:
        return ET.fromstring(text)  # noqa: S314  without a document type there are no entities
    except ET.ParseError as error:
        raise ValueError(str(error)) from error


def is_error(root: ET.Element) -> bool:
    """Whether this is an error, whatever status it came with."""
    return _name(root) == "Error"


def error_of(body: bytes) -> tuple[str, str]:
    """Code and message of an error; empty where the body is none of S3's."""
    try:
        root = parse(body)
    except ValueError:
        return "", ""
    return _found(root, "Code") or "", _found(root, "Message") or ""


def etag_of(root: ET.Element) -> str:
    """The ETag in the answer to a copy or a complete."""
    return _text(root, "ETag").strip('"')


def upload_id_of(root: ET.Element) -> str:
    """The id in the answer to CreateMultipartUpload."""
    return _text(root, "UploadId")


def delete_request(keys: Sequence[str]) -> bytes:
    """The body of DeleteObjects, asking for failures only."""
    objects = "".join([f"<Object><Key>{escape(key)}</Key></Object>" for key in keys])
    return f'<Delete xmlns="{_NAMESPACE}"><Quiet>true</Quiet>{objects}</Delete>'.encode()


def delete_failures(root: ET.Element, keys: Sequence[str]) -> list[wire.DeleteFailure]:
    """Those of the keys that DeleteObjects left, and why."""
    errors = {
        _text(error, "Key"): _text(error, "Code") for error in _named_as(root, "DeleteResult").iterfind("{*}Error")
    }
    if not errors.keys() <= set(keys):
        raise ValueError("a failure of a key that was not asked about")
    return [wire.DeleteFailure(key=key, reason=code) for key, code in errors.items() if code not in GONE_CODES]


def complete_request(parts: Iterable[wire.PartRef]) -> bytes:
    """The body of CompleteMultipartUpload."""
    named = "".join([f"<Part>{_named(part)}</Part>" for part in parts])
    return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{named}</CompleteMultipartUpload>'.encode()


def uploaded_parts(page: ET.Element) -> list[wire.UploadedPart]:
    """The parts on one page of ListParts."""
    return [
        wire.UploadedPart(
            part_number=int(_text(part, "PartNumber")),
            size=int(_text(part, "Size")),
            etag=_text(part, "ETag").strip('"'),
            checksum_sha256=full_sha256(_found(part, "ChecksumSHA256")),
        )
        for part in _named_as(page, "ListPartsResult").iterfind("{*}Part")
    ]


def next_marker(page: ET.Element) -> str | None:
    """Where the next page of ListParts begins; None on the last."""
    truncated = (_found(page, "IsTruncated") or "").lower() == "true"
    return _text(page, "NextPartNumberMarker") if truncated else None


def _named(part: wire.PartRef) -> str:
    named = f'<PartNumber>{part.part_number}</PartNumber><ETag>"{escape(part.etag)}"</ETag>'
    if part.checksum_sha256 is None:
        return named
    return f"{named}<ChecksumSHA256>{base64_sha256(part.checksum_sha256)}</ChecksumSHA256>"


def _name(root: ET.Element) -> str:
    return root.tag.rpartition("}")[2]


def _named_as(root: ET.Element, name: str) -> ET.Element:
    """The document, where one without a single entry says something, too: a page of a proxy has none either."""
    if _name(root) != name:
        raise ValueError(f"an answer that is no {name}")
    return root


def _found(element: ET.Element, name: str) -> str | None:
    return element.findtext(f"{{*}}{name}")


def _text(element: ET.Element, name: str) -> str:
    """The text of a child that must be there."""
    text = _found(element, name)
    if text is None:
        raise ValueError(f"an answer without {name}")
    return text
