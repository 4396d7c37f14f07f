"""What a caller is told of a request that failed validation."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from draftstore_common.contracts.administration import KeyCreate
from draftstore_common.contracts.base import Request
from draftstore_common.contracts.drafts import ConfirmationCreate, DraftCreate
from draftstore_common.kit.validation import validation_problem

MANY = range(50_000)
FLOODS: dict[str, tuple[type[Request], dict[str, Any]]] = {
    "unknown fields": (KeyCreate, {f"field{number}": 1 for number in MANY}),
    "scopes": (KeyCreate, {"name": "a key", "scopes": [f"scope{number}" for number in MANY]}),
    "networks": (KeyCreate, {"name": "a key", "scopes": [], "cidrs": ["nowhere" for _ in MANY]}),
    "metadata": (DraftCreate, {"object_name": "a.jpg", "metadata": {f"field{number}": 1 for number in MANY}}),
    "drafts": (ConfirmationCreate, {"draft_ids": ["none" for _ in MANY]}),
    "etags": (ConfirmationCreate, {"draft_ids": [str(uuid4())], "etags": {f"none{number}": 1 for number in MANY}}),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_body_with_thousands_of_mistakes_costs_as_much_as_one(flood: str) -> None:
    model, sent = FLOODS[flood]
    with pytest.raises(ValidationError) as refused:
        model.model_validate(sent)
    assert refused.value.error_count() == 1


def test_a_header_that_is_wrong_has_a_code_like_a_fields() -> None:
    wrong = {"type": "string_pattern_mismatch", "loc": ("header", "Idempotency-Key"), "msg": "no match"}
    assert validation_problem([wrong]).code == "invalid_idempotency_key"


def test_a_body_that_is_no_object_is_told_what_to_be_and_how_to_be_sent() -> None:
    wrong = {"type": "model_attributes_type", "loc": ("body",), "msg": "Input should be a valid dictionary or object"}
    problem = validation_problem([wrong])
    assert problem.code == "invalid_request"
    assert problem.detail == "body: This is no JSON object. Send one, with Content-Type: application/json."
