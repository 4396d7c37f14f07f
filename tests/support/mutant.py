"""A pytest plugin for runs on mutated source: says what became of the tests, and which file was really imported."""

import json
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

import pytest

_SOURCE = "DRAFTSTORE_MUTANT_SOURCE"
_REPORT = "DRAFTSTORE_MUTANT_REPORT"


class Report(TypedDict):
    """How tests ended and why, and the files of loaded modules with the name of the mutated file's."""

    outcomes: list[str]
    errors: list[str]
    imported: list[str]


_found = Report(outcomes=[], errors=[], imported=[])


def environment(source: Path, report: Path) -> dict[str, str]:
    """Which file is mutated, and where the report shall be."""
    return {_SOURCE: str(source), _REPORT: str(report)}


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Note how a test ended, and every failure of one of its steps."""
    assert item is not None
    if call.when == "call":
        _found["outcomes"].append("passed" if call.excinfo is None else "failed")
    if call.excinfo is not None:
        _found["errors"].append(call.excinfo.type.__name__)


def pytest_sessionfinish() -> None:
    """Write the report."""
    source = Path(os.environ[_SOURCE])
    inside = source.parts[source.parts.index("src") + 1 :]
    name = ".".join(inside).removesuffix(".py")
    module = sys.modules.get(name)
    _found["imported"] = [str(module.__file__)] if module is not None else []
    Path(os.environ[_REPORT]).write_text(json.dumps(_found))
