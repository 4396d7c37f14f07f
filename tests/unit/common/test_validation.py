"""What a caller is told of a request that failed validation."""

from draftstore_common.kit.validation import validation_problem


def test_a_header_that_is_wrong_has_a_code_like_a_fields() -> None:
    wrong = {"type": "string_pattern_mismatch", "loc": ("header", "Idempotency-Key"), "msg": "no match"}
    assert validation_problem([wrong]).code == "invalid_idempotency_key"
