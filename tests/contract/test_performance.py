"""docs/performance.md says what was measured, all of it, and nothing that names the machine."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from bench.lines import BY_NAME, NAMES
from bench.results import Figures, merged
from bench.table import inserted

ROOT = Path(__file__).parents[2]
RESULTS: dict[str, Any] = json.loads((ROOT / "bench" / "results.json").read_text())
DOCUMENT = (ROOT / "docs" / "performance.md").read_text()


def test_the_table_is_that_of_the_results() -> None:
    assert inserted(DOCUMENT, RESULTS) == DOCUMENT


def test_every_line_was_measured() -> None:
    assert [line["name"] for line in RESULTS["lines"]] == list(NAMES)
    assert [line["name"] for line in RESULTS["lines"] if line["value"] is None] == []


@pytest.mark.parametrize("line", RESULTS["lines"], ids=lambda line: str(line["name"]))
def test_whether_a_target_is_met_follows_from_the_figures(line: dict[str, Any]) -> None:
    target = BY_NAME[line["name"]].target
    decisive = line[target.of]
    assert line["target"] == target.text(line["unit"])
    assert line["met"] is target.met(decisive)
    assert {"name", "value", "unit", "reference", "ratio", "target", "met", "spread"} <= line.keys()


def test_nothing_names_the_machine() -> None:
    told = json.dumps(RESULTS) + DOCUMENT
    assert socket.gethostname() not in told
    assert re.findall(r"(?:/home|/root|/tmp|/work)\b|\d+\.\d+\.\d+\.\d+", told) == []


def test_a_line_is_the_median_of_its_rounds() -> None:
    (line,) = merged(None, [Figures("create", [400, 100, 300], [1000, 1000, 1000])])["lines"]
    assert (line["value"], line["ratio"], line["met"]) == (300, 0.3, False)
    assert line["spread"]["value"] == (100, 400)


def test_a_line_that_failed_is_not_met_and_keeps_the_others() -> None:
    old = {"lines": [Figures("create", [400], [1000]).line()]}
    created, batch = merged(old, [Figures("batch", failed="no such route")])["lines"]
    assert created["met"]
    assert (batch["value"], batch["met"], batch["failed"]) == (None, False, "no such route")
