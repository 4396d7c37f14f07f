"""The log of a process: its file, and the line of every request."""

import json
import logging
from pathlib import Path

import pytest

from draftstore_common.kit.logging import JsonFormatter, LogFile, log_request


def _record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "f", 1, text, (), None)


def test_a_log_file_is_cut_before_it_is_too_long_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.log", most=100, kept=2)
    for number in range(20):
        file.emit(_record(f"{number:02d} {'x' * 30}"))
    file.close()
    written = {path.name: path.read_text().split() for path in tmp_path.iterdir()}
    assert sorted(written) == ["a.log", "a.log.1", "a.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    assert written["a.log"][-2] == "19"


def test_a_log_file_is_continued_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for _ in range(2):
        file = LogFile(path, most=100, kept=1)
        file.emit(_record("x" * 60))
        file.close()
    assert (tmp_path / "a.log.1").exists()
    assert len(path.read_text()) == 61


def test_letters_count_as_the_bytes_they_are(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.log", most=100, kept=1)
    for _ in range(2):
        file.emit(_record("ü" * 40))
    file.close()
    assert (tmp_path / "a.log.1").stat().st_size == 81


def test_the_line_of_a_request_is_as_any_other(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("draftstore.test")
    fields = {"method": "GET", "path": "/a", "status": 200}
    with caplog.at_level(logging.INFO):
        log_request(log, fields)
        log.info("request", extra=fields)
    quick, usual = (json.loads(JsonFormatter("gateway").format(record)) for record in caplog.records)
    assert quick.pop("at") <= usual.pop("at")
    assert quick == usual


def test_the_line_of_a_request_keeps_to_the_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        log_request(logging.getLogger("draftstore.test"), {"status": 200})
    assert caplog.records == []
