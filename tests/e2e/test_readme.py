"""The README's tour, run as it is written."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from support.stack import Stack

REPOSITORY = Path(__file__).parents[2]

TOUR = re.compile(r"^```sh tour\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _script() -> str:
    """Every block of the tour in order; any command that fails ends it. `make` is the repository's."""
    blocks = TOUR.findall((REPOSITORY / "README.md").read_text())
    assert len(blocks) >= 6
    return "\n".join(["set -eu", f'make() {{ command make -C "{REPOSITORY}" "$@"; }}', *blocks])


@pytest.mark.parametrize("stack", [("standalone", "s3")], indirect=True, ids=["standalone-s3"])
async def test_the_tour_does_what_it_says(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".draftstore").symlink_to(stack.data_dir)
    walk = await asyncio.to_thread(_walk, stack, tmp_path)
    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert "main/photos/cat.jpg" in walk.stdout
    assert "Cleaned up" in walk.stdout
    assert walk.stdout.count("Looked at") == 2


def _walk(stack: Stack, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", _script()],  # noqa: S607  the README speaks to whatever shell is there
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "DRAFTSTORE_DATA_DIR": str(stack.data_dir)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
