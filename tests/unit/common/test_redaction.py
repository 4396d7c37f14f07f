"""No secret survives in a line, however it is written, and whatever stands around it."""

import json
import logging
import string
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draftstore_common.contracts import api_keys
from draftstore_common.kit.logging import HumanFormatter, JsonFormatter
from draftstore_common.kit.redaction import _MARKS, _STEMS, redact

BASE64URL = string.ascii_letters + string.digits + "-_"
HEX = "0123456789abcdef"


def _every_character(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


def _as_javascript(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def _in_json(text: str) -> str:
    return json.dumps({"url": text})


SPELLINGS: list[Callable[[str], str]] = [
    str,
    repr,
    quote,
    lambda text: quote(text, safe=""),
    _every_character,
    lambda text: quote(_every_character(text)),
    _as_javascript,
    _in_json,
    lambda text: _in_json(_in_json(text)),
    lambda text: quote(_in_json(text)),
]

core = st.text(BASE64URL, min_size=16, max_size=60).map(lambda text: f"q{text}")  # else it could be a scheme's name
signature = st.text(HEX, min_size=64, max_size=64)


def _around(secret: st.SearchStrategy[str], *templates: str) -> st.SearchStrategy[tuple[str, str]]:
    """One of these texts with a secret in the place of `<>`, and the secret."""
    return st.tuples(st.sampled_from(templates), secret).map(lambda both: (both[0].replace("<>", both[1]), both[1]))


_LABELS: tuple[api_keys.Label, ...] = ("live", "test", "admin")
_key = st.sampled_from(_LABELS).map(api_keys.make).map(lambda key: (key, key[-30:]))

planted = st.one_of(
    _key,
    _around(core, "eyJhbGciOiJFUzI1NiJ9.eyJ<>.c2lnbmF0dXJl"),
    _around(core, "Bearer <>", "Basic <>==", "authorization: <>", "Authorization: Bearer <>"),
    _around(signature, "http://s/b/k?X-Amz-Date=1&X-Amz-Signature=<>&x=1", "x-amz-signature=<>", "Signature=<>"),
    _around(core, "X-Amz-Security-Token=<>", "AWS_SECRET_ACCESS_KEY=<>"),
    _around(core, "postgresql://u:<>@host:1/x", "redis://:<>@host", "https://a.b:<>@host:1/x"),
    _around(core, '{"password": "<>", "after": 1}', '{"SIGNING_KEY_SECRET":"<>"}', "{'service_key': '<>'}"),
    _around(core, "[('X-Amz-Signature', '<>')]", "[(b'authorization', b'<>')]", '{"authorization": ["<>"]}'),
)
"""Something with a secret in it, and the part of it that must not be read."""


@given(
    planted,
    st.sampled_from(SPELLINGS),
    st.sampled_from(["", "x ", "%20", "?a=", '"']),
    st.sampled_from(["", " y", "&b"]),
)
def test_a_secret_is_masked_however_it_is_written(
    secret: tuple[str, str], spelt: Callable[[str], str], before: str, after: str
) -> None:
    whole, hidden = secret
    text = redact(f"{before}{spelt(whole)}{after}")
    assert spelt(hidden).strip("\"'{} ") not in text
    assert hidden not in text
    assert "***" in text


@given(planted, st.sampled_from(SPELLINGS))
def test_no_line_of_ours_shows_a_secret_and_each_is_still_json(
    secret: tuple[str, str], spelt: Callable[[str], str]
) -> None:
    whole, hidden = secret
    record = _record(spelt(whole), url=spelt(whole), nested={"parts": [spelt(whole)], "password": hidden})
    line = JsonFormatter("test").format(record)
    assert hidden not in line
    assert hidden not in HumanFormatter().format(record)
    json.loads(line)


@given(st.text(), st.sampled_from(SPELLINGS))
def test_text_that_was_json_is_json_afterwards(text: str, spelt: Callable[[str], str]) -> None:
    line = json.dumps({"message": spelt(text), "password": text, "n": 1}, ensure_ascii=False)
    assert json.loads(redact(line))["n"] == 1


@given(st.text())
def test_what_is_masked_once_is_not_changed_again(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "request",
        '{"method": "GET", "path": "/api/v1/objects/a%20b.pdf", "status": 200, "key_id": "0193"}',
        '{"code": "service_key_refused", "credential": null, "password": 3, "causes": ["KeyUnknown: unknown"]}',
        "not ready: the credentials are refused",
        f"key {api_keys.prefix(api_keys.make('live'))}… is used",
        "see http://127.0.0.1:8080/docs or mail ops@example.org",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_private_key_is_masked() -> None:
    pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIVF\n-----END EC PRIVATE KEY-----\n"
    for text in (redact(pem), redact(json.dumps({"error": pem}))):
        assert "MHcCAQEEIIVF" not in text


def test_the_text_of_an_exception_and_its_traceback_are_masked() -> None:
    key = api_keys.make("live")
    try:
        _fail_with(f"cannot use {key}")
    except ValueError:
        record = _record("crashed")
        record.exc_info = sys.exc_info()
    for formatter in (JsonFormatter("test"), HumanFormatter()):
        text = formatter.format(record)
        assert key not in text
        assert "cannot use ds_live_***" in text
        assert "_fail_with" in text


@pytest.mark.parametrize(
    "piece",
    [
        "\\",
        "%25",
        "%64",
        "://",
        "://:",
        "eyJ",
        "eyJaaaaaaaa.",
        "password ",
        "ds_live_",
        "Bearer ",
        "%253a",
        "secret%22,%22",
    ],
)
def test_a_hostile_line_of_a_megabyte_is_masked_at_once(piece: str) -> None:
    line = "password=x " + piece * (1_000_000 // len(piece))
    assert "password=***" in redact(line)


def test_what_is_looked_for_first_is_in_every_mark() -> None:
    assert [mark for mark in _MARKS if not any(stem in mark for stem in _STEMS)] == []


def _fail_with(text: str) -> None:
    raise ValueError(text)


def _record(message: str, **extra: Any) -> logging.LogRecord:
    record = logging.LogRecord("draftstore", logging.INFO, "file.py", 1, "seen %s", (message,), None)
    vars(record).update(extra)
    return record


VALUES = st.one_of(
    st.text(),
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(-1e6, 1e6),
    st.uuids(),
    st.lists(st.text(), max_size=2),
    st.builds(lambda secret, way: way(secret), st.builds(api_keys.make, st.just("live")), st.sampled_from(SPELLINGS)),
    st.builds("password{}{}".format, st.sampled_from(["=", ": ", '": "', "\\", "%3d"]), st.text()),
)
NAMES = st.one_of(
    st.sampled_from(["path", "password", "secret_key", "at", "service", "ds"]), st.text("abc_", min_size=1)
)


@given(st.text(), st.dictionaries(NAMES.filter(lambda name: name not in vars(_record(""))), VALUES, max_size=4))
def test_the_quick_way_of_a_line_masks_what_the_slow_way_would(message: str, extra: dict[str, Any]) -> None:
    line = json.loads(JsonFormatter("identity").format(_record(message, **extra)))
    slowly = {**line, "message": f"seen {message}", **extra}
    assert line == json.loads(redact(json.dumps(slowly, default=str, ensure_ascii=False)))


def test_a_line_that_no_encoding_can_write_is_written_all_the_same() -> None:
    assert json.loads(JsonFormatter("identity").format(_record("half a pair: \ud800")))["message"].startswith(
        "seen half"
    )
