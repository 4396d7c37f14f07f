"""Every safeguard of the confirm protocol is watched: without it, a test that passes with it fails."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from faults.mutations import MUTATIONS, Edit, Mutation
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
    sources = _mutant(mutation, tmp_path)
    report = await _run(mutation, sources, tmp_path / "report.json", lend(postgres, store))
    assert report["imported"] == [str(source) for source in sources], "another copy of the package was tested"
    assert report["outcomes"] == ["failed"], report
    assert report["errors"] == ["AssertionError"], report


def _mutant(mutation: Mutation, folder: Path) -> list[Path]:
    """A copy of the package without the safeguard; the files that differ."""
    package, _, inside = mutation.package.partition("/src/")
    shutil.copytree(ROOT / package / "src", folder / "src", ignore=IGNORED)
    return [_edit(folder / "src" / inside / edit.file, edit) for edit in mutation.edits]


def _edit(source: Path, edit: Edit) -> Path:
    text = source.read_text()
    assert text.count(edit.original) == 1, f"not exactly once in {edit.file}: {edit.original}"
    source.write_text(text.replace(edit.original, edit.mutated))
    return source


async def _run(mutation: Mutation, sources: list[Path], report: Path, servers: dict[str, str]) -> mutant.Report:
    """Run the test on the mutated package, which stands before the installed one on the path."""
    path = os.pathsep.join([str(report.parent / "src"), str(TESTS)])
    environment = os.environ | servers | mutant.environment(sources, report) | {"PYTHONPATH": path}
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
