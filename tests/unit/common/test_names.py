"""Object names: what one look lets pass, every rule lets pass, and nothing else is let pass by it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from draftstore_common.contracts import names
from draftstore_common.contracts.names import check_object_name


def _outcome(name: str) -> str:
    try:
        return check_object_name(name)
    except PydanticCustomError as error:
        return f"refused: {error.type}"


@given(st.one_of(st.from_regex(names._ORDINARY, fullmatch=True), st.text("ab/._-~\\é\x00", max_size=12), st.text()))
@example("a" * 255)
@example("a" * 256)
@example("/".join(["a" * 255] * 3))
@example("/".join(["a" * 255] * 4))
@example("a/../b")
@example(".a")
@example("a//b")
@example("a/")
@example("a\n")
def test_the_short_look_and_the_long_one_agree(name: str) -> None:
    short = _outcome(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "_ORDINARY", re.compile("(?!)"))
        assert _outcome(name) == short
