"""docs/performance.md says what was measured, all of it, and nothing that names the machine."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from bench.lines import BY_NAME, NAMES
from bench.neighbours import TOO_MUCH
from bench.results import Figures, merged
from bench.table import inserted, table

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
    judged = line["full"] and line["others"] <= TOO_MUCH
    assert line["target"] == target.text(line["unit"])
    assert line["met"] is (target.met(line[target.of]) if judged else None)
    assert {"name", "value", "unit", "reference", "ratio", "target", "met", "spread"} <= line.keys()


def test_nothing_names_the_machine() -> None:
    told = json.dumps(RESULTS) + DOCUMENT
    assert socket.gethostname() not in told
    assert re.findall(r"(?:/home|/root|/tmp|/work)\b|\d+\.\d+\.\d+\.\d+", told) == []


def test_a_line_is_the_median_of_its_rounds() -> None:
    (line,) = merged(None, [Figures("create", [400, 100, 300], [1000, 1000, 1000])])["lines"]
    assert (line["value"], line["ratio"], line["met"]) == (300, 0.3, False)
    assert line["spread"]["value"] == (100, 400)


def test_a_target_that_is_missed_by_a_hair_is_missed() -> None:
    (line,) = merged(None, [Figures("create", [34999.9], [100000])])["lines"]
    assert (line["ratio"], line["met"]) == (0.35, False)


def test_lines_of_another_machine_are_not_kept() -> None:
    old = merged(None, [Figures("create", [400], [1000])])
    moved = {**old, "machine": {**old["machine"], "cores": 1000}}
    assert [line["name"] for line in merged(moved, [Figures("batch", [400], [1000])])["lines"]] == ["batch"]


def test_a_quick_run_judges_nothing_and_says_so() -> None:
    quick = merged(None, [Figures("create", [400], [1000])], full=False)
    mixed = merged(quick, [Figures("batch", [400], [1000])])
    assert [line["met"] for line in mixed["lines"]] == [None, True]
    assert "of a quick run, with few short rounds and small sizes: 1." in table(mixed)


def test_a_run_that_was_disturbed_judges_nothing_and_says_so() -> None:
    alone = merged(None, [Figures("create", [400], [1000], others=0.01)])
    mixed = merged(alone, [Figures("batch", [400], [1000], others=0.4)])
    assert [line["met"] for line in mixed["lines"]] == [True, None]
    assert "Others used up to 40%" in table(mixed)
    assert "Others used" not in table(alone)


def test_a_line_that_failed_is_not_met_and_keeps_the_others() -> None:
    old = merged(None, [Figures("create", [400], [1000])])
    created, batch = merged(old, [Figures("batch", failed="no such route")])["lines"]
    assert created["met"]
    assert (batch["value"], batch["met"], batch["failed"]) == (None, False, "no such route")
