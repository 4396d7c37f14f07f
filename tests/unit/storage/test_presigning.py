"""Our signer against botocore's and the minio SDK's: the same signature for the same request at the same second."""

import json
import string
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from minio import Minio

from draftstore_common.contracts import storage as wire
from draftstore_storage.domain import base64_sha256
from draftstore_storage.signing.credentials import Credentials, StaticCredentials
from draftstore_storage.signing.presigner import Presigner
from support.signing_examples import BUCKETS, LASTING, PASSING, keys

ENDPOINT = "http://store.test:9000"
AMAZON = "https://s3.eu-central-1.amazonaws.com"

awkward_keys = st.lists(st.sampled_from(["a", "ü", " ", "+", "~", "%41", "=", "&?", "#", "名"]), min_size=1).map(
    "/".join
)
types = st.from_regex(r"[a-z]{1,9}/[a-z+.-]{1,9}(; ?charset=[a-zA-Z0-9-]{1,8})?", fullmatch=True)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
header_texts = st.text(string.ascii_letters + string.digits + " ;=\"'/*%+~", min_size=1, max_size=40)
lifetimes = st.integers(1, 604_800)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2039, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
credentials = st.sampled_from([LASTING, PASSING])
virtual = st.booleans()


def presigner(held: Credentials, now: datetime, *, endpoint: str = ENDPOINT, virtual_hosts: bool = False) -> Presigner:
    return Presigner(
        StaticCredentials(held),
        BUCKETS,
        region="eu-central-1",
        endpoint=endpoint,
        virtual_hosts=virtual_hosts,
        clock=lambda: now,
    )


def _boto(held: Credentials, *, endpoint: str, virtual_hosts: bool) -> Any:
    session = Session()
    session.set_credentials(held.access_key, held.secret_key, held.session_token)
    config = Config(
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        s3={"addressing_style": "virtual" if virtual_hosts else "path"},
    )
    return session.create_client("s3", region_name="eu-central-1", endpoint_url=endpoint, config=config)


cases = settings(deadline=None, max_examples=150)

CLIENTS = {
    (held, virtual_hosts): _boto(held, endpoint=AMAZON if virtual_hosts else ENDPOINT, virtual_hosts=virtual_hosts)
    for held in (LASTING, PASSING)
    for virtual_hosts in (True, False)
}


def _botocore_url(
    held: Credentials, virtual_hosts: bool, operation: str, parameters: dict[str, Any], lifetime: int, now: datetime
) -> str:
    client = CLIENTS[held, virtual_hosts]
    with patch("botocore.auth.get_current_datetime", return_value=now):
        return str(client.generate_presigned_url(operation, Params=parameters, ExpiresIn=lifetime))


def assert_same(ours: str, theirs: str) -> None:
    """Equal byte for byte, but for the order of the query's parameters, which means nothing."""
    assert ours.partition("?")[0] == theirs.partition("?")[0]
    assert sorted(ours.partition("?")[2].split("&")) == sorted(theirs.partition("?")[2].split("&"))


@cases
@given(
    key=keys | awkward_keys,
    size=st.none() | st.integers(0, 2**40),
    content_type=st.none() | types,
    digest=st.none() | digests,
    lifetime=lifetimes,
    now=instants,
    held=credentials,
    virtual_hosts=virtual,
)
async def test_a_put_is_signed_as_botocore_signs_it(
    key: str,
    size: int | None,
    content_type: str | None,
    digest: str | None,
    lifetime: int,
    now: datetime,
    held: Credentials,
    virtual_hosts: bool,
) -> None:
    request = wire.PresignPut(
        key=key, expires_in=lifetime, size=size, content_type=content_type, checksum_sha256=digest
    )
    ours = await presigner(held, now, endpoint=AMAZON if virtual_hosts else ENDPOINT, virtual_hosts=virtual_hosts).put(
        request
    )
    declared = {"ContentLength": size, "ContentType": content_type, "ChecksumSHA256": digest and base64_sha256(digest)}
    parameters: dict[str, Any] = {"Bucket": BUCKETS.draft, "Key": key}
    parameters |= {name: value for name, value in declared.items() if value is not None}
    assert_same(ours.url, _botocore_url(held, virtual_hosts, "put_object", parameters, lifetime, now))


@cases
@given(
    key=keys | awkward_keys,
    content_type=st.none() | types,
    disposition=st.none() | header_texts,
    lifetime=lifetimes,
    now=instants,
    held=credentials,
)
async def test_a_get_is_signed_as_botocore_signs_it(
    key: str, content_type: str | None, disposition: str | None, lifetime: int, now: datetime, held: Credentials
) -> None:
    request = wire.PresignGet(
        role="main", key=key, expires_in=lifetime, content_type=content_type, content_disposition=disposition
    )
    ours = await presigner(held, now).get(request)
    answer = {"ResponseContentType": content_type, "ResponseContentDisposition": disposition}
    parameters: dict[str, Any] = {"Bucket": BUCKETS.main, "Key": key}
    parameters |= {name: value for name, value in answer.items() if value is not None}
    assert_same(ours.url, _botocore_url(held, False, "get_object", parameters, lifetime, now))


@cases
@given(
    key=keys,
    upload_id=st.text(string.ascii_letters + string.digits + "._-~+/=", min_size=1, max_size=80),
    number=st.integers(1, 10_000),
    size=st.none() | st.integers(0, 2**32),
    digest=st.none() | digests,
    now=instants,
    held=credentials,
)
async def test_a_part_is_signed_as_botocore_signs_it(
    key: str, upload_id: str, number: int, size: int | None, digest: str | None, now: datetime, held: Credentials
) -> None:
    request = wire.PresignPart(
        key=key, upload_id=upload_id, part_number=number, expires_in=60, size=size, checksum_sha256=digest
    )
    ours = await presigner(held, now).part(request)
    declared = {"ContentLength": size, "ChecksumSHA256": digest and base64_sha256(digest)}
    parameters: dict[str, Any] = {"Bucket": BUCKETS.draft, "Key": key, "UploadId": upload_id, "PartNumber": number}
    parameters |= {name: value for name, value in declared.items() if value is not None}
    assert_same(ours.url, _botocore_url(held, False, "upload_part", parameters, 60, now))


@cases
@given(key=(keys | awkward_keys).filter(str.strip), lifetime=lifetimes, now=instants, held=credentials)
async def test_urls_are_signed_as_the_minio_sdk_signs_them(
    key: str, lifetime: int, now: datetime, held: Credentials
) -> None:
    sdk = Minio(
        "store.test:9000", held.access_key, held.secret_key, held.session_token, secure=False, region="eu-central-1"
    )
    ours = await presigner(held, now).put(wire.PresignPut(key=key, expires_in=lifetime))
    theirs = sdk.get_presigned_url("PUT", BUCKETS.draft, key, timedelta(seconds=lifetime), request_date=now)
    assert_same(ours.url, theirs)


@cases
@given(
    key=keys | awkward_keys,
    content_type=st.none() | types,
    prefix=st.none() | st.just("image/"),
    sizes=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)).map(sorted),
    lifetime=lifetimes,
    now=instants,
    held=credentials,
    virtual_hosts=virtual,
)
async def test_a_form_is_signed_as_botocore_signs_it(
    key: str,
    content_type: str | None,
    prefix: str | None,
    sizes: list[int],
    lifetime: int,
    now: datetime,
    held: Credentials,
    virtual_hosts: bool,
) -> None:
    request = wire.PresignForm(
        key=key,
        expires_in=lifetime,
        min_size=sizes[0],
        max_size=sizes[1],
        content_type=content_type,
        content_type_prefix=prefix,
    )
    ours = await presigner(held, now, endpoint=AMAZON if virtual_hosts else ENDPOINT, virtual_hosts=virtual_hosts).form(
        request
    )
    fields = {} if content_type is None else {"Content-Type": content_type}
    fields["success_action_status"] = "201"
    conditions: list[object] = [["content-length-range", *sizes]]
    if content_type is None:
        conditions.append(["starts-with", "$Content-Type", prefix or ""])
    conditions += [{name: value} for name, value in fields.items()]
    with (
        patch("botocore.auth.get_current_datetime", return_value=now),
        patch("botocore.signers.get_current_datetime", return_value=now),
    ):
        theirs = CLIENTS[held, virtual_hosts].generate_presigned_post(
            BUCKETS.draft, key, Fields=fields, Conditions=conditions, ExpiresIn=lifetime
        )
    assert ours.url == theirs["url"]
    assert ours.fields == theirs["fields"]


NOW = datetime(2026, 5, 4, 23, 59, 59, 900_000, tzinfo=UTC)


async def test_the_answer_names_exactly_the_headers_that_are_signed() -> None:
    request = wire.PresignPut(key="k", expires_in=60, size=5, content_type="image/png", checksum_sha256="ab" * 32)
    signed = await presigner(LASTING, NOW).put(request)
    assert signed.headers == {
        "Content-Length": "5",
        "Content-Type": "image/png",
        "x-amz-checksum-sha256": base64_sha256("ab" * 32),
    }
    (named,) = parse_qs(urlsplit(signed.url).query)["X-Amz-SignedHeaders"]
    assert named.split(";") == sorted({"host", *(name.lower() for name in signed.headers)})


async def test_an_empty_body_may_be_declared() -> None:
    signed = await presigner(LASTING, NOW).put(wire.PresignPut(key="k", expires_in=60, size=0))
    assert signed.headers == {"Content-Length": "0"}


async def test_nothing_declared_means_no_headers_to_send() -> None:
    signed = await presigner(LASTING, NOW).put(wire.PresignPut(key="k", expires_in=60))
    assert signed.headers == {}


async def test_urls_name_the_public_endpoint_without_its_default_port() -> None:
    signed = await presigner(LASTING, NOW, endpoint="https://files.example:443").get(
        wire.PresignGet(role="main", key="k", expires_in=60)
    )
    assert signed.url.startswith("https://files.example/main/k?")


async def test_a_url_ends_when_it_says_it_ends() -> None:
    signed = await presigner(LASTING, NOW).get(wire.PresignGet(role="main", key="k", expires_in=60))
    assert signed.expires_at == NOW.replace(microsecond=0) + timedelta(seconds=60)


async def test_a_url_never_outlives_temporary_credentials() -> None:
    held = Credentials("AK", "secret", "token", expires_at=NOW + timedelta(seconds=30))
    signed = await presigner(held, NOW).get(wire.PresignGet(role="main", key="k", expires_in=3600))
    assert signed.expires_at <= NOW + timedelta(seconds=30)
    assert parse_qs(urlsplit(signed.url).query)["X-Amz-Expires"] == ["30"]


async def test_a_form_never_outlives_temporary_credentials() -> None:
    held = Credentials("AK", "secret", "token", expires_at=NOW + timedelta(seconds=30))
    form = await presigner(held, NOW).form(wire.PresignForm(key="k", expires_in=3600, max_size=1))
    assert form.fields is not None
    assert json.loads(b64decode(form.fields["policy"]))["expiration"] == "2026-05-05T00:00:29Z"


async def test_the_key_of_the_day_changes_with_the_day() -> None:
    instants = iter([NOW, NOW + timedelta(seconds=1), NOW + timedelta(seconds=1)])
    signer = Presigner(
        StaticCredentials(LASTING),
        BUCKETS,
        region="eu-central-1",
        endpoint=ENDPOINT,
        virtual_hosts=False,
        clock=lambda: next(instants),
    )
    request = wire.PresignPut(key="k", expires_in=60)
    before, after, again = [(await signer.put(request)).url for _ in range(3)]
    assert before == _botocore_url(LASTING, False, "put_object", {"Bucket": BUCKETS.draft, "Key": "k"}, 60, NOW)
    assert (
        after
        == again
        == _botocore_url(
            LASTING, False, "put_object", {"Bucket": BUCKETS.draft, "Key": "k"}, 60, NOW + timedelta(seconds=1)
        )
    )


async def test_renewed_credentials_sign_from_the_next_request_on() -> None:
    class Renewed:
        held = LASTING

        async def current(self) -> Credentials:
            return self.held

    source = Renewed()
    signer = Presigner(source, BUCKETS, region="r", endpoint=ENDPOINT, virtual_hosts=False, clock=lambda: NOW)
    request = wire.PresignPut(key="k", expires_in=60)
    before = await signer.put(request)
    source.held = PASSING
    after = await signer.put(request)
    assert "X-Amz-Security-Token" not in before.url
    assert "X-Amz-Security-Token=a%2Ftoken%2Bwith%3Dsigns" in after.url


def test_credentials_do_not_show_their_secret() -> None:
    assert "secret/with" not in repr(LASTING)
    assert "token" not in repr(PASSING)


@pytest.mark.parametrize("value", ["text/plain\r\nx-amz-acl: public-read", "text/plain\n", "naïve/type", ""])
def test_a_header_that_would_not_survive_the_wire_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="content_type"):
        wire.PresignPut(key="k", expires_in=60, content_type=value)
