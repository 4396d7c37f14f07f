"""The list of error codes is what the sources raise, and no code can be raised that is not in it."""

import ast
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from draftstore_common.kit.errors import Problem

ROOT = Path(__file__).parents[2]
GENERATOR: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "errors.py"), run_name="errors")
PAGE = (ROOT / "docs" / "errors.md").read_text()


def _entries(text: str) -> dict[str, Any]:
    """What is listed of a module with this text, as if it were one of the gateway's."""
    source = GENERATOR["Source"]("draftstore_gateway.shape", ast.parse(text))
    entries: dict[str, Any] = GENERATOR["Catalogue"]([source]).entries()
    return entries


def test_the_page_is_what_the_sources_say() -> None:
    assert GENERATOR["page"]() == PAGE, "make errors"


def test_every_code_can_be_linked_to() -> None:
    codes = re.findall(r'^\| <a id="([^"]+)"></a>`([^`]+)` ', PAGE, re.MULTILINE)
    assert len(codes) > 80
    assert all(anchor == re.sub("[<>]", "", code) for anchor, code in codes)
    assert len(set(codes)) == len(codes)


def test_every_code_says_what_to_do() -> None:
    for row in re.findall(r"^\| <a id=.*\|$", PAGE, re.MULTILINE):
        code, meaning, advice, by = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:5])
        assert meaning, code
        assert by, code
        assert len(advice.split()) >= 3, f"{code}: {advice}"


def test_a_code_written_where_it_is_raised_is_listed() -> None:
    assert "planted_code" in _entries('raise MalformedRequest("Send something else.", code="planted_code")')
    assert "planted_rule" in _entries('raise broken_rule("planted_rule", "Send something else")')


@pytest.mark.parametrize(
    "text",
    [
        'raise MalformedRequest("Send something else.", code=made_elsewhere)',
        'raise MalformedRequest("Send something else.", code=f"planted_{kind}")',
        "raise broken_rule(made_elsewhere, 'Send something else')",
    ],
)
def test_a_code_that_cannot_be_read_is_not_passed_over(text: str) -> None:
    with pytest.raises(GENERATOR["UnlistedCodeError"]):
        _entries(text)


def test_a_problem_says_its_code_as_a_urn() -> None:
    assert Problem(code="x").document("r").type == "urn:draftstore:problem:x"
