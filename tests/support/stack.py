"""The whole product, running, behind one interface: as *standalone* or as a process for each service.

with temporary_data_dir() as data_dir:
    async with running(make_stack("processes", "minio", data_dir)) as stack, stack.api(stack.data_key) as api:
        draft = await api.draft("reports/march.pdf")
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from support.stack_base import Driver, Mode, Stack
from support.stack_processes import ProcessesStack
from support.stack_standalone import StandaloneStack

__all__ = [
    "Driver",
    "Mode",
    "ProcessesStack",
    "Stack",
    "StandaloneStack",
    "make_stack",
    "running",
    "temporary_data_dir",
]

SomeStack = TypeVar("SomeStack", bound=Stack)


@contextmanager
def temporary_data_dir() -> Iterator[Path]:
    """A data directory to be, in a folder that every account can enter (pytest's own are not); removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="draftstore-stack-"))
    folder.chmod(0o755)
    try:
        yield folder / "data"
    finally:
        shutil.rmtree(folder)


def make_stack(mode: Mode, driver: Driver, data_dir: Path, **environment: str) -> Stack:
    """A stack, described but not started; `environment` reaches every process of it."""
    kind = {"standalone": StandaloneStack, "processes": ProcessesStack}[mode]
    return kind(data_dir, driver, environment)


@asynccontextmanager
async def running(stack: SomeStack) -> AsyncIterator[SomeStack]:
    """Start a stack; stop it when the block ends."""
    try:
        await stack.start()
        yield stack
    finally:
        stack.close_store()
        await stack.stop()
