"""Object names: what is refused, by which code, and what is left as it is."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from draftstore_common.contracts import names as rules
from draftstore_common.contracts.names import MAX_NAME_BYTES, MAX_SEGMENT_BYTES, ObjectName, PublicBucket

names: TypeAdapter[str] = TypeAdapter(ObjectName)
buckets: TypeAdapter[str] = TypeAdapter(PublicBucket)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "object_name_empty"),
        ("a" * 200 + ("/" + "b" * 200) * 3, "object_name_too_long"),
        ("é" * 128, "object_name_segment_too_long"),
        ("a/../b", "object_name_dot_segment"),
        ("..", "object_name_dot_segment"),
        ("./a", "object_name_dot_segment"),
        ("/a", "object_name_slash"),
        ("a//b", "object_name_slash"),
        ("a/", "object_name_slash"),
        ("a\\b", "object_name_backslash"),
        ("a\nb", "object_name_control_character"),
        ("a\x00", "object_name_control_character"),
        ("a\x85b", "object_name_control_character"),
        ("a\ud800", "object_name_control_character"),
        ("gpj.\u202eexe", "object_name_bidi_character"),
        ("a\u200fb", "object_name_bidi_character"),
    ],
)
def test_a_bad_name_has_a_code_of_its_own(name: str, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        names.validate_python(name)
    assert [error["type"] for error in refused.value.errors()] == [code]


@pytest.mark.parametrize(
    "name", ["a", "a/b.c", "ä/ö ü.jpg", "100%.txt", "a~b", "a+b=c&d", "日本語/写真.png", "x" * 255]
)
def test_ordinary_names_pass_unchanged(name: str) -> None:
    assert names.validate_python(name) == name


def test_a_name_is_kept_in_nfc_however_it_was_typed() -> None:
    assert names.validate_python("e\u0301.txt") == "\u00e9.txt"


@given(st.text(max_size=900))
def test_what_passes_keeps_every_rule(name: str) -> None:
    try:
        accepted = names.validate_python(name)
    except ValidationError:
        return
    assert 1 <= len(accepted.encode()) <= MAX_NAME_BYTES
    assert all(0 < len(segment.encode()) <= MAX_SEGMENT_BYTES for segment in accepted.split("/"))
    assert not {".", ".."} & set(accepted.split("/"))
    assert unicodedata.is_normalized("NFC", accepted)
    assert names.validate_python(accepted) == accepted


@pytest.mark.parametrize("name", ["ab", "A-bucket", "a..b", "-ab", "ab-", "a_b", "x" * 64, ""])
def test_a_bucket_s3_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        buckets.validate_python(name)


def _outcome(name: str) -> str:
    try:
        return names.validate_python(name)
    except ValidationError as refused:
        return f"refused: {refused.errors()[0]['type']}"


@given(st.one_of(st.from_regex(rules._ORDINARY, fullmatch=True), st.text("ab/._-~\\é\x00", max_size=12)))
@example("a" * 255)
@example("a" * 256)
@example("/".join(["a" * 255] * 4))
@example("a/../b")
@example(".a")
@example("a//b")
@example("a\n")
def test_the_short_look_and_the_long_one_agree(name: str) -> None:
    short = _outcome(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "_ORDINARY", re.compile("(?!)"))
        assert _outcome(name) == short
