"""The log of a process: its file, and the line of every request."""

import asyncio
import contextlib
import io
import json
import logging
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from draftstore_common.contracts.api_keys import make
from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.logging import (
    MOST_WAITING,
    GroupedLines,
    HumanFormatter,
    JsonFormatter,
    LogFile,
    log_request,
)


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


class _Stream(io.StringIO):
    """Notes each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


@contextlib.contextmanager
def _lines(formatter: logging.Formatter) -> Iterator[Callable[[], list[str]]]:
    """What our handler writes of what the root logger is told."""
    stream = io.StringIO()
    handler = GroupedLines(stream)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    try:
        yield lambda: stream.getvalue().splitlines()
    finally:
        logging.getLogger().removeHandler(handler)


_LOG = logging.getLogger("draftstore.test")
_FACTS = {"method": "GET", "status": 200, "complete": True, "ms": 1.5, "client": "::1", "key_id": uuid7()}


@pytest.mark.parametrize(
    "path",
    ["/a", "/a%20b", '/"\\\x00', "/x?X-Amz-Signature=0123abc", f"/{make('live')}"],
    ids=["plain", "escaped", "unusual", "signature", "key"],
)
def test_the_line_of_a_request_is_as_any_other(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), _lines(JsonFormatter("gateway")) as lines:
        log_request(_LOG, path, _FACTS)
        _LOG.info("request", extra={"path": path, **_FACTS})
    quick, usual = map(json.loads, lines())
    assert quick.pop("at") <= usual.pop("at")
    assert quick == usual


def test_a_request_is_a_record_for_handlers_that_are_not_ours_and_text_for_eyes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO), _lines(HumanFormatter()) as lines:
        log_request(_LOG, "/a", _FACTS)
    [record] = caplog.records
    assert (record.name, record.getMessage(), vars(record)["path"]) == ("draftstore.test", "request", "/a")
    assert "request path=/a method=GET status=200" in lines()[0]


def test_the_line_of_a_request_keeps_to_the_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), _lines(JsonFormatter("gateway")) as lines:
        log_request(_LOG, "/a", _FACTS)
    assert (caplog.records, lines()) == ([], [])


async def test_lines_of_one_turn_of_the_loop_leave_in_one_write() -> None:
    stream = _Stream()
    lines = GroupedLines(stream)
    for text in ("a", "b", "c"):
        lines.emit(_record(text))
    assert stream.writes == []
    await asyncio.sleep(0)
    assert stream.writes == ["a\nb\nc\n"]
    lines.emit(_record("d"))
    await asyncio.sleep(0)
    assert stream.writes[1:] == ["d\n"]


async def test_a_warning_waits_for_nothing_and_takes_with_it_what_came_before() -> None:
    stream = _Stream()
    lines = GroupedLines(stream)
    lines.emit(_record("a"))
    lines.emit(logging.LogRecord("x", logging.WARNING, "f", 1, "b", (), None))
    assert stream.writes == ["a\nb\n"]


def test_without_a_loop_every_line_leaves_at_once() -> None:
    stream = _Stream()
    lines = GroupedLines(stream)
    lines.emit(_record("a"))
    lines.emit(_record("b"))
    assert stream.writes == ["a\n", "b\n"]


async def test_what_is_logged_in_a_thread_keeps_its_place_among_the_others() -> None:
    stream = _Stream()
    lines = GroupedLines(stream)
    lines.emit(_record("a"))
    await asyncio.to_thread(lines.emit, _record("b"))
    await asyncio.to_thread(lines.emit, _record("c"))
    assert "".join(stream.writes) == "a\nb\nc\n"


async def test_what_waits_leaves_at_the_end_of_the_process() -> None:
    stream = _Stream()
    lines = GroupedLines(stream)
    lines.emit(_record("a"))
    logging.shutdown([weakref.ref(lines)])
    assert stream.writes == ["a\n"]


async def test_a_loop_that_does_not_turn_keeps_no_more_than_so_many_lines_waiting() -> None:
    stream = _Stream()
    lines = GroupedLines(stream)
    for _ in range(MOST_WAITING + 1):
        lines.emit(_record("a"))
    assert len(stream.writes) == 1


async def test_lines_that_cannot_be_written_are_told_and_stop_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError("no space left")

    lines = GroupedLines(Full())
    lines.take("a line")
    await asyncio.sleep(0)
    assert "no space left" in capsys.readouterr().err
