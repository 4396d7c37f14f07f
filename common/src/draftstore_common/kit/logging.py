"""One line per event on stderr: JSON for machines, short text on a terminal; secrets are masked in both."""

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
from functools import lru_cache
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from pydantic_core import to_json

from draftstore_common.kit.context import request_id
from draftstore_common.kit.redaction import may_hold_secret, redact
from draftstore_common.kit.trace import trace

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_PLAIN = frozenset({int, float, bool, type(None), UUID})
"""Types, beside texts, whose values every encoder writes alike."""

MOST_WAITING = 1000
"""Lines that may wait for the end of the event loop's turn."""

_DUMP = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":"))


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """A record as one JSON object; what the caller gave in `extra` stands beside the message."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service
        self._second = -1
        self._clock = ""

    def format(self, record: logging.LogRecord) -> str:
        own = self._own(record.levelname, record.name, record.created)
        given = {"message": record.getMessage(), "request_id": request_id.get(), **_extras(record)}
        if record.exc_info:
            given["exception"] = self.formatException(record.exc_info)
        rest = _quickly(given)
        return redact(own + _DUMP.encode(given)[1:]) if rest is None else own + rest[1:]

    def format_request(self, logger: str, path: str, facts: dict[str, Any]) -> str:
        """What `format` makes of the record that `log_request` tells of."""
        given = {"message": "request", "request_id": request_id.get(), "path": path, **facts}
        line = self._own("INFO", logger, time.time()) + to_json(given).decode()[1:]
        return redact(line) if may_hold_secret(path) else line

    def _own(self, level: str, logger: str, at: float) -> str:
        """The line's beginning, which comes from nobody else: a time, names out of the sources, hexadecimal digits."""
        second, current = int(at), trace.get()
        if second != self._second:
            self._second, self._clock = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        traced = f'"trace_id":"{current.trace_id}",' if current is not None else ""
        names = _names(level, self._service, logger)
        return f'{{"at":"{self._clock}.{int((at - second) * 1000):03d}Z",{names},{traced}'


@lru_cache
def _names(level: str, service: str, logger: str) -> str:
    """These three as members of a JSON object."""
    return redact(_DUMP.encode({"level": level, "service": service, "logger": logger})[1:-1])


def _quickly(given: dict[str, Any]) -> str | None:
    """Plain values without anything that could be a secret, as most are, as a JSON object; None for any other."""
    texts = []
    for value in given.values():
        kind = type(value)
        if kind is str:
            texts.append(value)
        elif kind not in _PLAIN:
            return None
    if _names_may_hold_secret(*given) or may_hold_secret("\n".join(texts)):
        return None
    try:
        return to_json(given).decode()
    except ValueError:  # half of a surrogate pair, say
        return None


@lru_cache
def _names_may_hold_secret(*names: str) -> bool:
    return may_hold_secret("\n".join(names))


class HumanFormatter(logging.Formatter):
    """A record as a short line for eyes."""

    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname:<7} {record.getMessage()} {extras}".rstrip()
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return redact(line)


def log_request(log: logging.Logger, path: str, facts: dict[str, Any]) -> None:
    """Log the end of a request: what `log.info("request", extra={"path": path, **facts})` does, for less than half.

    `path` is what the client wrote, in ASCII; a secret may be in it. `facts` are numbers, ids, addresses and methods.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    for handler in log.root.handlers:
        formatter = handler.formatter
        if isinstance(handler, GroupedLines) and isinstance(formatter, JsonFormatter):
            handler.take(formatter.format_request(log.name, path, facts))
        elif handler.level <= logging.INFO:
            extra = {"path": path, **facts}
            handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, "request", (), None, extra=extra))


class GroupedLines(logging.StreamHandler[TextIO]):
    """Lines of one turn of the event loop leave in one write: each write is a call of the kernel.

    What is worse than INFO leaves at once, and those before it; so does what is logged where no loop runs. What is left
    at the end of the process leaves then (`logging.shutdown`): a kill can cost the lines of one turn.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._waiting: list[str] = []
        self._together = threading.RLock()
        super().__init__(*arguments, **options)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.take(self.format(record), at_once=record.levelno > logging.INFO)
        except Exception:  # as in the library: a line that cannot be written stops nobody
            self.handleError(record)

    def take(self, line: str, *, at_once: bool = False) -> None:
        """Write a line with the others of this turn, or at once."""
        with self._together:
            self._waiting.append(line)
            if at_once:
                self.flush()
            elif not (1 < len(self._waiting) < MOST_WAITING or self._leaves_soon()):
                self._leave()

    def flush(self) -> None:
        with self._together:
            lines, self._waiting = self._waiting, []
            if lines and self.stream is not None:  # closed by whoever is ending the process
                self._write(self.terminator.join([*lines, ""]))

    def _leaves_soon(self) -> bool:
        """Whether somebody will flush; a loop that is over does not, so no more than so many rely on it."""
        if len(self._waiting) > 1:
            return False
        with contextlib.suppress(RuntimeError):  # no loop runs here
            asyncio.get_running_loop().call_soon(self._leave)
            return True
        return False

    def _leave(self) -> None:
        try:
            self.flush()
        except ValueError:  # as at the end of the process: the stream is closed
            return
        except OSError:  # as in the library: told where it may be seen, and nobody is stopped
            self.handleError(logging.makeLogRecord({"msg": "lines that could not be written"}))

    def _write(self, lines: str) -> None:
        self.stream.write(lines)
        self.stream.flush()


class LogFile(GroupedLines, RotatingFileHandler):
    """A file of at most so many bytes, with as many older ones beside it.

    Knows how long its file is; the library's asks the file system four times for every line, and formats it twice.
    """

    def __init__(self, path: Path, *, most: int, kept: int) -> None:
        super().__init__(path, maxBytes=most, backupCount=kept, encoding="utf-8", errors="backslashreplace")
        self._length = path.stat().st_size

    def _write(self, lines: str) -> None:
        length = len(lines.encode(errors="backslashreplace"))
        if self._length + length > self.maxBytes:
            self.doRollover()
            self._length = 0
        self._length += length
        super()._write(lines)


def configure(service: str, level: str = "INFO", *, file: logging.Handler | None = None) -> None:
    """Send the root logger to `file` as JSON lines, or to stderr: text when that is a terminal, else JSON lines."""
    handler = file or GroupedLines(sys.stderr)
    on_terminal = file is None and sys.stderr.isatty()
    handler.setFormatter(HumanFormatter() if on_terminal else JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    _ask_nobody_where()
    for noisy in ("botocore", "boto3", "urllib3", "asyncio", "alembic.runtime"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def flush() -> None:
    """Write what waits, before anything that may end the process at once."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _ask_nobody_where() -> None:
    """Records without their source line, thread and process, which no line of ours has.

    Half of what a record costs (https://docs.python.org/3/howto/logging.html#optimization).
    """
    vars(logging)["_srcfile"] = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
