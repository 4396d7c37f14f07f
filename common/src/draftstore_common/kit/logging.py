"""One line per event on stderr: JSON for machines, short text on a terminal; secrets are masked in both."""

import json
import logging
import sys
import time
from typing import Any

from draftstore_common.kit.context import request_id
from draftstore_common.kit.redaction import redact
from draftstore_common.kit.trace import trace

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _trace_id() -> dict[str, str]:
    current = trace.get()
    return {"trace_id": current.trace_id} if current is not None else {}


class JsonFormatter(logging.Formatter):
    """A record as one JSON object; what the caller gave in `extra` stands beside the message."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            **_trace_id(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))


class HumanFormatter(logging.Formatter):
    """A record as a short line for eyes."""

    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname:<7} {record.getMessage()} {extras}".rstrip()
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return redact(line)


def configure(service: str, level: str = "INFO", *, file: logging.Handler | None = None) -> None:
    """Send the root logger to `file` as JSON lines, or to stderr: text when that is a terminal, else JSON lines."""
    handler = file or logging.StreamHandler(sys.stderr)
    on_terminal = file is None and sys.stderr.isatty()
    handler.setFormatter(HumanFormatter() if on_terminal else JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("botocore", "boto3", "urllib3", "asyncio", "alembic.runtime"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
