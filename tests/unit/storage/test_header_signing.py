"""Requests signed in their headers, against botocore's signer: the same signature for the same request."""

import string
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from draftstore_storage.signing.addresses import addresses
from draftstore_storage.signing.credentials import Credentials, StaticCredentials
from draftstore_storage.signing.headers import HeaderSigner, S3Request
from support.signing_examples import BUCKETS, LASTING, PASSING, keys

NOW = datetime(2026, 5, 4, 23, 59, 59, 900_000, tzinfo=UTC)

awkward_keys = st.lists(
    st.sampled_from(["a", "ü", " ", "+", "~", "%41", "=", "&?", "#", "名", "", ".", ".."]), min_size=1
).map("/".join)
queries = st.sampled_from(
    [
        {},
        {"uploads": ""},
        {"delete": ""},
        {"partNumber": "7", "uploadId": "a/b+c=~"},
        {"uploadId": "x", "part-number-marker": "12", "max-parts": "1000"},
    ]
)
headers = st.dictionaries(
    st.sampled_from(["content-type", "cache-control", "if-match", "x-amz-copy-source", "x-amz-metadata-directive"]),
    st.text(string.ascii_letters + string.digits + " ;=\"'/*%+~", min_size=1, max_size=40),
)


def signer(held: Credentials, endpoint: str, *, virtual_hosts: bool = False, now: datetime = NOW) -> HeaderSigner:
    where = addresses(endpoint, BUCKETS, virtual_hosts=virtual_hosts)
    return HeaderSigner(StaticCredentials(held), where, region="eu-central-1", clock=lambda: now)


def botocore_signs(held: Credentials, request: S3Request, url: str, now: datetime) -> dict[str, str]:
    """The headers botocore sends for this URL. Over plain HTTP, where it signs the body like ours."""
    theirs = AWSRequest(request.method, url, headers=dict(request.headers), data=request.body)
    credentials = BotoCredentials(held.access_key, held.secret_key, held.session_token)
    with patch("botocore.auth.get_current_datetime", return_value=now):
        S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(theirs)
    return {name.lower(): str(value) for name, value in theirs.headers.items()}


@settings(deadline=None, max_examples=300)
@given(
    method=st.sampled_from(["HEAD", "GET", "PUT", "POST", "DELETE"]),
    key=st.none() | keys | awkward_keys,
    query=queries,
    sent=headers,
    body=st.binary(max_size=20),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2039, 12, 31)).map(lambda at: at.replace(tzinfo=UTC)),  # noqa: DTZ001
    held=st.sampled_from([LASTING, PASSING]),
    endpoint=st.sampled_from(["http://store.test:9000", "http://store.test", "http://[::1]:9000"]),
    virtual_hosts=st.booleans(),
)
async def test_a_request_is_signed_as_botocore_signs_it(
    method: str,
    key: str | None,
    query: dict[str, str],
    sent: dict[str, str],
    body: bytes,
    now: datetime,
    held: Credentials,
    endpoint: str,
    virtual_hosts: bool,
) -> None:
    request = S3Request(method, "draft", key, query, sent, body)
    virtual_hosts = virtual_hosts and "[" not in endpoint
    url, ours = await signer(held, endpoint, virtual_hosts=virtual_hosts, now=now).sign(request)
    theirs = botocore_signs(held, request, url, now)
    assert ours["authorization"] == theirs["authorization"]
    assert {name: ours[name] for name in theirs} == theirs
    assert ours.keys() - theirs.keys() == {"host"}


async def test_a_body_cannot_be_changed_on_the_way() -> None:
    asked = signer(LASTING, "http://store.test")
    _, one = await asked.sign(S3Request("POST", "draft", query={"delete": ""}, body=b"one"))
    _, two = await asked.sign(S3Request("POST", "draft", query={"delete": ""}, body=b"two"))
    assert one["x-amz-content-sha256"] != two["x-amz-content-sha256"]
    assert one["authorization"] != two["authorization"]


@pytest.mark.parametrize(
    ("endpoint", "virtual_hosts", "url"),
    [
        ("http://store.test:9000", False, "http://store.test:9000/main-draft"),
        ("https://store.test:443", False, "https://store.test/main-draft"),
        ("https://s3.eu-central-1.amazonaws.com", True, "https://main-draft.s3.eu-central-1.amazonaws.com/"),
        ("http://[::1]:9000", False, "http://[::1]:9000/main-draft"),
    ],
)
async def test_a_bucket_is_addressed_where_it_lies(endpoint: str, virtual_hosts: bool, url: str) -> None:
    asked = signer(LASTING, endpoint, virtual_hosts=virtual_hosts)
    assert (await asked.sign(S3Request("HEAD", "draft")))[0] == url


async def test_the_secret_is_in_nothing_that_is_sent() -> None:
    url, sent = await signer(PASSING, "http://store.test").sign(S3Request("GET", "main", "k"))
    assert "secret/with" not in f"{url} {sent}"
    assert sent["x-amz-security-token"] == "a/token+with=signs"
