"""What bytes must be to be published, and what they are published as."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Principal
from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.contracts.storage import StoredObject
from draftstore_common.kit.errors import Problem
from draftstore_drafts.domain import check_alive, check_name, disposition, judge, published_headers, published_type

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHA = "ab" * 32


def draft(**fields: Any) -> DraftRecord:
    base: dict[str, Any] = {
        "id": uuid4(),
        "tenant_id": DEFAULT_TENANT_ID,
        "bucket": "main",
        "object_name": "photos/cat.jpg",
        "storage_key": "k",
        "state": "uploaded",
        "upload_type": "put",
        "fence": 1,
        "created_at": NOW,
        "expires_at": NOW,
        "ttl_left": 60,
    }
    return DraftRecord.model_validate(base | fields)


def stored(**fields: Any) -> StoredObject:
    base: dict[str, Any] = {"key": "k", "size": 3, "etag": "e1", "content_type": "image/jpeg", "last_modified": NOW}
    return StoredObject.model_validate(base | fields)


@pytest.mark.parametrize(
    ("declared", "found", "etag", "code"),
    [
        ({"declared_size": 4}, {}, None, "size_mismatch"),
        ({"declared_size": 0}, {}, None, "size_mismatch"),
        ({"declared_content_type": "image/png"}, {}, None, "content_type_mismatch"),
        ({"declared_content_type": "image/png"}, {"content_type": None}, None, "content_type_mismatch"),
        ({"declared_checksum_sha256": SHA}, {"checksum_sha256": "cd" * 32}, None, "checksum_mismatch"),
        ({}, {}, "other", "draft_changed"),
    ],
)
def test_bytes_that_are_not_what_was_declared_or_previewed_are_refused(
    declared: dict[str, Any], found: dict[str, Any], etag: str | None, code: str
) -> None:
    with pytest.raises(Problem) as refused:
        judge(draft(**declared), stored(**found), etag)
    assert refused.value.code == code


@pytest.mark.parametrize("etag", [None, "e1", '"e1"'])
def test_bytes_that_are_what_was_declared_pass(etag: str | None) -> None:
    declared = {"declared_size": 3, "declared_content_type": "image/JPEG", "declared_checksum_sha256": SHA}
    judge(draft(**declared), stored(checksum_sha256=SHA), etag)
    judge(draft(), stored(content_type="text/html"), etag)


@pytest.mark.parametrize(
    ("name", "declared", "published"),
    [
        ("a.jpg", None, "image/jpeg"),
        ("a.jpg", "image/x-own", "image/x-own"),
        ("a", None, "application/octet-stream"),
        ("a.unheard-of", None, "application/octet-stream"),
        ("table.csv.gz", None, "application/gzip"),
        ("data:ü/x,y", None, "application/octet-stream"),
        ("a.jpg/b", None, "application/octet-stream"),
    ],
)
def test_the_published_type_comes_from_the_row_and_never_from_the_upload(
    name: str, declared: str | None, published: str
) -> None:
    record = draft(object_name=name, declared_content_type=declared)
    assert published_type(record) == published
    assert published_headers(record).content_type == published


NAMED = "filename*=UTF-8''%C3%BC%20b.x"


@pytest.mark.parametrize(
    ("content_type", "declared", "shown"),
    [
        ("image/png", None, f"inline; {NAMED}"),
        ("text/plain; charset=utf-8", None, f"inline; {NAMED}"),
        ("TEXT/HTML", None, f"attachment; {NAMED}"),
        ("image/svg+xml", None, f"attachment; {NAMED}"),
        ("application/octet-stream", None, f"attachment; {NAMED}"),
        ("text/html", "inline", f"attachment; {NAMED}"),
        ("text/html", 'inline; filename="a.html"', 'attachment; filename="a.html"'),
        ("image/png", 'attachment; filename="a.png"', 'attachment; filename="a.png"'),
        ("image/png", 'inline; filename="a.png"', 'inline; filename="a.png"'),
    ],
)
def test_only_types_that_cannot_run_anything_are_shown_by_browsers(
    content_type: str, declared: str | None, shown: str
) -> None:
    assert disposition(content_type, "a/ü b.x", declared) == shown


def test_a_key_touches_only_its_own_names() -> None:
    principal = Principal(tenant_id=uuid4(), key_id=uuid4(), lineage=uuid4(), kind="data", name_prefixes=("avatars/",))
    check_name(principal, "main", "avatars/1.png")
    with pytest.raises(Problem) as refused:
        check_name(principal, "main", "private/1.png")
    assert refused.value.code == "object_name_not_allowed"


def test_nobody_of_the_default_tenant_names_anything_where_other_tenants_objects_lie() -> None:
    default = Principal(tenant_id=DEFAULT_TENANT_ID, key_id=uuid4(), lineage=uuid4(), kind="data")
    with pytest.raises(Problem) as refused:
        check_name(default, "main", "tenants/x")
    assert refused.value.code == "object_name_reserved"
    with pytest.raises(Problem):
        check_name(default, "main", "tenants")
    check_name(default, "main", "tenants.txt")
    check_name(Principal(tenant_id=uuid4(), key_id=uuid4(), lineage=uuid4(), kind="data"), "main", "tenants/x")


@pytest.mark.parametrize(
    ("state", "discarded", "code"),
    [("expired", None, "draft_expired"), ("purged", None, "draft_expired"), ("purged", NOW, "draft_discarded")],
)
def test_what_is_gone_says_why(state: str, discarded: datetime | None, code: str) -> None:
    with pytest.raises(Problem) as gone:
        check_alive(draft(state=state, discarded_at=discarded))
    assert (gone.value.http_status, gone.value.code) == (410, code)
