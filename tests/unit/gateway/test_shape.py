"""Shapes no server in front of the gateway can be relied on to refuse: any of them may stand there one day."""

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draftstore_common.kit.errors import Problem
from draftstore_gateway.errors import MalformedRequest
from draftstore_gateway.shape import check_headers, check_path

HOST = (b"host", b"gateway")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], "framing_ambiguous"),
        ([(b"content-length", b"5"), (b"content-length", b"5")], "header_repeated"),
        ([(b"content-length", b"+5")], "content_length_invalid"),
        ([(b"content-length", b"5,5")], "content_length_invalid"),
        ([(b"content-length", b"")], "content_length_invalid"),
        ([(b"content-length", "٥".encode())], "content_length_invalid"),
        ([(b"transfer-encoding", b"gzip")], "transfer_encoding_unsupported"),
        ([(b"transfer-encoding", b"chunked, chunked")], "transfer_encoding_unsupported"),
        ([(b"x_a", b"")], "header_name_invalid"),
        ([(b"", b"")], "header_name_invalid"),
        ([(b"x-a", b"a\nb")], "header_value_invalid"),
        ([HOST], "header_repeated"),
    ],
)
def test_headers_another_parser_could_read_differently_are_refused(
    headers: list[tuple[bytes, bytes]], code: str
) -> None:
    with pytest.raises(MalformedRequest) as refusal:
        check_headers([HOST, *headers], http_version="1.1")
    assert refusal.value.code == code


@pytest.mark.parametrize("query", [b"a=\xe4", b"a=b c", b"a=\x7f", b"a=\n"])
def test_a_query_with_anything_but_visible_ascii_is_refused(query: bytes) -> None:
    with pytest.raises(MalformedRequest) as refusal:
        check_path(b"/api/v1/drafts", query)
    assert refusal.value.code == "query_invalid_encoding"


def test_plain_headers_pass() -> None:
    headers = [HOST, (b"content-length", b"5"), (b"accept", b"a"), (b"accept", b"b"), (b"x-a", "ä".encode())]
    check_headers(headers, http_version="1.1")
    check_headers([], http_version="1.0")


segments = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(segments.filter(lambda s: s not in {".", ".."}), min_size=1, max_size=5))
def test_every_encoded_name_passes(name: list[str]) -> None:
    check_path(b"/api/v1/objects/" + "/".join(quote(segment, safe="") for segment in name).encode(), b"")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_passes_is_plain_ascii_and_everything_else_a_problem(path: bytes, query: bytes) -> None:
    with contextlib.suppress(Problem):
        check_path(path, query)
        assert (path + query).isascii()
