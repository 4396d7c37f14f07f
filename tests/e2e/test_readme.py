"""The tours of the README and of the documents, run as they are written."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest

from support.stack import Stack

REPOSITORY = Path(__file__).parents[2]

TOUR = re.compile(r"^```sh tour\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _script(document: str) -> str:
    """Every block of the tour in order; any command that fails ends it. `make` is the repository's."""
    blocks = TOUR.findall((REPOSITORY / document).read_text())
    assert len(blocks) >= 3
    return "\n".join(["set -eu", f'make() {{ command make -C "{REPOSITORY}" "$@"; }}', *blocks])


@pytest.mark.parametrize("stack", [("standalone", "s3")], indirect=True, ids=["standalone-s3"])
async def test_the_tour_does_what_it_says(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".draftstore").symlink_to(stack.data_dir)
    walk = await asyncio.to_thread(_walk, stack, tmp_path, "README.md")
    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert "main/photos/cat.jpg" in walk.stdout
    assert "Cleaned up" in walk.stdout
    assert walk.stdout.count("Looked at") == 2


@pytest.mark.parametrize("stack", [("standalone", "s3")], indirect=True, ids=["standalone-s3"])
async def test_the_tour_of_keys_and_tenants_does_what_it_says(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".draftstore").symlink_to(stack.data_dir)
    walk = await asyncio.to_thread(_walk, stack, tmp_path, "docs/identity.md")
    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert "True" in walk.stdout
    made = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("key", "lost", "new")}
    assert made["lost"]["rotated_from"] == made["new"]["rotated_from"] == made["key"]["id"]
    assert "key" not in made["lost"]
    for name in ("key", "new"):
        stack.secrets.add(made[name]["key"])


@pytest.mark.parametrize("stack", [("standalone", "s3")], indirect=True, ids=["standalone-s3"])
async def test_the_tour_of_the_audit_log_does_what_it_says(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".draftstore").symlink_to(stack.data_dir)
    walk = await asyncio.to_thread(_walk, stack, tmp_path, "docs/audit.md")
    assert walk.returncode == 0, walk.stdout + walk.stderr
    (entry,) = json.loads((tmp_path / "readers.json").read_text())["items"]
    lawyer = json.loads((tmp_path / "lawyer.json").read_text())
    assert (entry["actor"], entry["target"]) == (f"key:{lawyer['id']}", "plans/plan.txt")
    stack.secrets.add(lawyer["key"])


def _walk(stack: Stack, folder: Path, document: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", _script(document)],  # noqa: S607  the README speaks to whatever shell is there
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "DRAFTSTORE_DATA_DIR": str(stack.data_dir)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
