"""A pytest plugin for runs on mutated source: says what became of the tests, and which files were really imported."""

import json
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

import pytest

_SOURCES = "DRAFTSTORE_MUTANT_SOURCES"
_REPORT = "DRAFTSTORE_MUTANT_REPORT"


class Report(TypedDict):
    """How tests ended and why, and the files that the mutated modules were loaded from."""

    outcomes: list[str]
    errors: list[str]
    imported: list[str]


_found = Report(outcomes=[], errors=[], imported=[])


def environment(sources: list[Path], report: Path) -> dict[str, str]:
    """Which files are mutated, and where the report shall be."""
    return {_SOURCES: os.pathsep.join(map(str, sources)), _REPORT: str(report)}


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Note how a test ended, and every failure of one of its steps."""
    assert item is not None
    if call.when == "call":
        _found["outcomes"].append("passed" if call.excinfo is None else "failed")
    if call.excinfo is not None:
        _found["errors"].append(call.excinfo.type.__name__)


def pytest_sessionfinish() -> None:
    """Write the report."""
    sources = [Path(source) for source in os.environ[_SOURCES].split(os.pathsep)]
    loaded = [sys.modules.get(_module(source)) for source in sources]
    _found["imported"] = [str(module.__file__) for module in loaded if module is not None]
    Path(os.environ[_REPORT]).write_text(json.dumps(_found))


def _module(source: Path) -> str:
    inside = source.with_suffix("").parts
    return ".".join(inside[inside.index("src") + 1 :])
