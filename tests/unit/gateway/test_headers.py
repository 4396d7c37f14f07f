"""Which headers pass, and which end at the gateway."""

from draftstore_gateway.headers import for_client, for_service


def _to_service(*headers: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    pairs = for_service(headers, token="t", request_id="r", client="1.2.3.4", trace=[("traceparent", "00-ours")])
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_what_the_gateway_says_replaces_what_the_client_claims() -> None:
    assert _to_service(
        (b"authorization", b"Bearer secret"),
        (b"x-request-id", b"forged"),
        (b"x-request-timeout", b"9999"),
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"traceparent", b"00-theirs"),
        (b"tracestate", b"theirs=1"),
    ) == {
        b"authorization": b"Bearer t",
        b"x-request-id": b"r",
        b"x-forwarded-for": b"1.2.3.4",
        b"traceparent": b"00-ours",
    }


def test_only_known_headers_reach_a_service() -> None:
    passed = _to_service((b"range", b"bytes=0-1"), (b"x-anything", b"a"), (b"cookie", b"c"), (b"te", b"trailers"))
    assert passed[b"range"] == b"bytes=0-1"
    assert not {b"x-anything", b"cookie", b"te"} & set(passed)


def test_a_connection_header_cannot_strip_what_the_gateway_adds() -> None:
    assert _to_service((b"connection", b"authorization, X-Request-Id"))[b"authorization"] == b"Bearer t"


def test_an_answer_loses_what_belongs_to_its_hop() -> None:
    answer = [
        (b"Content-Type", b"text/plain"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"X-Private, close"),
        (b"X-Private", b"p"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
    ]
    assert for_client(answer) == [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
