"""A pytest plugin: no secret stands in any log of the run, or the run fails.

Logs lie in folders that tests delete. So each is copied aside before its folder goes, and when the session ends all of
them are searched, together with what this process logged itself, written as the services write it.
"""

import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from draftstore_common.kit.logging import JsonFormatter
from support.issued import ISSUED, remembered_token
from support.log_scan import LogScan, Place

OUR_PACKAGES = (
    "draftstore_cleaner",
    "draftstore_common",
    "draftstore_drafts",
    "draftstore_gateway",
    "draftstore_identity",
    "draftstore_metadata",
    "draftstore_standalone",
    "draftstore_storage",
)

# Stores keep journals that are called logs as well: their names are numbers.
_LOG = re.compile(r"(?!\d+\.log$).+\.(?:log(?:\.\d+)?|stdout|stderr|out|err)")
_NO_LOGS_INSIDE = re.compile(r"base|pg_.*|site-packages|\.venv|\.git|node_modules")


class LogKeeper:
    """Keeps the logs of one session."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="draftstore-logs-"))
        self._number = 0
        self._delete: Callable[..., Any] = shutil.rmtree
        self._handler = logging.FileHandler(self.folder / "test-process.log")
        self._handler.setFormatter(JsonFormatter("tests"))

    def begin(self) -> None:
        """From now on, nothing that is logged is lost."""
        logging.getLogger().addHandler(self._handler)
        for package in OUR_PACKAGES:
            logging.getLogger(package).setLevel(logging.INFO)  # what the services write when nobody says otherwise
        shutil.rmtree = self._keep_and_delete  # type: ignore[assignment]  # with the same parameters
        secrets.token_urlsafe = remembered_token

    def end(self) -> None:
        """Let go of everything but the folder."""
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        shutil.rmtree = self._delete  # type: ignore[assignment]

    def keep(self, folder: Path) -> None:
        """Copy what lies below a folder and is a log."""
        for log in logs_below(folder):
            self._number += 1
            shutil.copyfile(log, self._new_folder() / log.name)

    def places(self, *more: Path) -> list[Place]:
        """Where a secret stands, in what was kept and in the logs below other folders."""
        files = [log for folder in (self.folder, *more) for log in logs_below(folder)]
        return LogScan(ISSUED).places(files)

    def discard(self) -> None:
        """Delete what was kept."""
        self._delete(self.folder)

    def _keep_and_delete(self, path: Any, *arguments: Any, **options: Any) -> Any:
        self.keep(Path(path))
        return self._delete(path, *arguments, **options)

    def _new_folder(self) -> Path:
        folder = self.folder / str(self._number)
        folder.mkdir()
        return folder


def logs_below(folder: Path) -> Iterator[Path]:
    """The logs below a folder, if it is there."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _NO_LOGS_INSIDE.fullmatch(name)]
        logs = (Path(parent) / name for name in files if _LOG.fullmatch(name))
        yield from (log for log in logs if log.is_file() and not log.is_symlink())


_KEEPER = pytest.StashKey[LogKeeper]()
_FOUND = pytest.StashKey[list[Place]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with the session."""
    config.stash[_KEEPER] = LogKeeper()
    config.stash[_KEEPER].begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search, once every fixture is gone; whatever was found fails the run."""
    keeper = session.config.stash[_KEEPER]
    keeper.end()
    temporary = getattr(session.config, "_tmp_path_factory", None)
    found = keeper.places(*([temporary.getbasetemp()] if temporary else []))
    session.config.stash[_FOUND] = found
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    else:
        keeper.discard()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where, never what."""
    found = config.stash.get(_FOUND, [])
    if found:
        terminalreporter.section("secrets in logs")
        for place in found[:50]:
            terminalreporter.line(
                f"{place.path.relative_to(place.path.anchor)}:{place.line}: {place.kind} after {place.before!r}"
            )
        terminalreporter.line(f"{len(found)} in all. The logs are kept in {config.stash[_KEEPER].folder}.")
