"""The load: prepared requests, sent by a compiled client that costs next to nothing beside what it measures."""

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("replay.c")
DRAINED = 60.0
"""Seconds a run may take beyond what it was given, before it is ended."""


class LoadError(RuntimeError):
    """Requests were not answered, or not as they had to be; `refusal` is what the first such answer said."""

    def __init__(self, message: str, refusal: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class CompilerMissingError(RuntimeError):
    """There is no C compiler."""


@dataclass(frozen=True)
class Load:
    """What a load came to. Latencies are milliseconds. `bodies`, where wanted, by the number of the request."""

    requests: int
    seconds: float
    p50: float
    p99: float
    statuses: Mapping[str, int]
    unanswered: int
    refusal: str
    bodies: Mapping[int, bytes]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds

    def all_are(self, *statuses: int) -> "Load":
        """Itself, when every answer had one of these statuses; raises `LoadError` otherwise."""
        wrong = {status: times for status, times in self.statuses.items() if int(status) not in statuses}
        if wrong or self.unanswered:
            told = ", ".join(f"{times} x {status}" for status, times in wrong.items())
            raise LoadError(
                f"of {self.requests} answers {told or 'none'} not of {statuses}, {self.unanswered} missing",
                self.refusal,
            )
        return self


class Replay:
    """The compiled client. Its files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise CompilerMissingError("A C compiler is needed to make the load: apt-get install gcc libc6-dev")
        self._folder = folder
        self._numbers = count()
        self._binary = folder / "replay"
        subprocess.run([compiler, "-O2", "-std=c11", "-o", self._binary, SOURCE], check=True)

    async def send(
        self,
        port: int,
        requests: Iterable[bytes],
        *,
        connections: int,
        chain: int = 1,
        seconds: float | None = None,
        rate: float | None = None,
        again: bool = False,
        bodies: bool = False,
    ) -> Load:
        """Send requests to this port of 127.0.0.1, each once, or with `again` round and round; see `replay.c`.

        After `seconds` no more are sent. With `rate`, so many are sent per second, whatever the answers do.
        """
        number = next(self._numbers)
        file, kept = self._folder / f"{number}.requests", self._folder / f"{number}.bodies"
        await asyncio.to_thread(_write, file, requests)
        options = {"-p": port, "-f": file, "-c": connections, "-k": chain, "-d": seconds, "-r": rate}
        command = [str(part) for name, value in options.items() if value is not None for part in (name, value)]
        command += ["-l"] * again + ["-b", str(kept)] * bodies
        try:
            figures, refusal = await self._run(command, seconds)
            found = await asyncio.to_thread(_read_bodies, kept) if bodies else {}
        finally:
            file.unlink()
            kept.unlink(missing_ok=True)
        return self._load(figures, refusal, found)

    def _load(self, figures: dict[str, Any], refusal: str, bodies: Mapping[int, bytes]) -> Load:
        if not figures["requests"]:
            raise LoadError("no request was answered", refusal)
        names = ("requests", "seconds", "p50", "p99", "statuses", "unanswered")
        return Load(**{name: figures[name] for name in names}, refusal=refusal, bodies=bodies)

    async def _run(self, command: list[str], seconds: float | None) -> tuple[dict[str, Any], str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(self._binary, *command, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout((seconds or 120) + DRAINED):
                output, said = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if not output:
            raise LoadError(f"the load ended with status {process.returncode}", said.decode(errors="replace"))
        return json.loads(output), said.decode(errors="replace")


def _write(file: Path, requests: Iterable[bytes]) -> None:
    with file.open("wb") as out:
        for request in requests:
            out.write(b"%d\n" % len(request) + request)


def _read_bodies(file: Path) -> dict[int, bytes]:
    content, at, found = file.read_bytes(), 0, {}
    while at < len(content):
        end = content.index(b"\n", at)
        number, length = map(int, content[at:end].split())
        at = end + 1 + length
        found[number] = content[end + 1 : at]
    return found
