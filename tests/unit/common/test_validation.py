"""What a caller is told of a request that failed validation."""

from draftstore_common.kit.validation import validation_problem


def test_a_header_that_is_wrong_has_a_code_like_a_fields() -> None:
    wrong = {"type": "string_pattern_mismatch", "loc": ("header", "Idempotency-Key"), "msg": "no match"}
    assert validation_problem([wrong]).code == "invalid_idempotency_key"


def test_a_body_that_is_no_object_is_told_what_to_be_and_how_to_be_sent() -> None:
    wrong = {"type": "model_attributes_type", "loc": ("body",), "msg": "Input should be a valid dictionary or object"}
    problem = validation_problem([wrong])
    assert problem.code == "invalid_request"
    assert problem.detail == "body: This is no JSON object. Send one, with Content-Type: application/json."
