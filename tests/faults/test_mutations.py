"""Every safeguard of the confirm protocol is watched: without it, a test that passes with it fails."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from faults.mutations import MUTATIONS, Mutation
from support import mutant
from support.servers import Postgres, Store, lend

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
TEST_SECONDS = 60
"""A test takes three; one that hangs has not failed."""

IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.safeguard)
async def test_without_its_safeguard_the_promise_breaks(
    mutation: Mutation, postgres: Postgres, store: Store, tmp_path: Path
) -> None:
    source = _mutated_source(mutation, tmp_path)
    report = await _run(mutation, source, tmp_path / "report.json", lend(postgres, store))
    assert report["imported"] == [str(source)], "another copy of the module was tested"
    assert report["outcomes"] == ["failed"], report
    assert report["errors"] == ["AssertionError"], report


def _mutated_source(mutation: Mutation, folder: Path) -> Path:
    """A copy of the package with the mutation in it; the mutated file."""
    package, _, inside = mutation.file.partition("/src/")
    shutil.copytree(ROOT / package / "src", folder / "src", ignore=IGNORED)
    source = folder / "src" / inside
    text = source.read_text()
    assert text.count(mutation.original) == 1, "the safeguard's text is not there exactly once"
    source.write_text(text.replace(mutation.original, mutation.mutated))
    return source


async def _run(mutation: Mutation, source: Path, report: Path, servers: dict[str, str]) -> mutant.Report:
    """Run the test on the mutated package, which stands before the installed one on the path."""
    path = os.pathsep.join([str(report.parent / "src"), str(TESTS)])
    environment = os.environ | servers | mutant.environment(source, report) | {"PYTHONPATH": path}
    test = f"{TESTS / 'faults' / mutation.test.partition('::')[0]}::{mutation.test.partition('::')[2]}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", mutant.__name__, "-p", "no:cacheprovider", test),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TEST_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert report.exists(), output.decode()
    found: mutant.Report = json.loads(report.read_text())
    assert process.returncode == pytest.ExitCode.TESTS_FAILED, output.decode()
    return found
