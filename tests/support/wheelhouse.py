"""Wheels of our packages and of all they need, made once per test run, so that clean environments fill quickly."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"

VERSIONS = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
"""A program that prints what is installed where it runs."""


@dataclass(frozen=True)
class Wheelhouse:
    """Two folders of wheels."""

    own: Path
    others: Path


def package_folders() -> list[Path]:
    """The folder of every installable package."""
    return sorted(path.parent for path in ROOT.glob("*/pyproject.toml"))


def wheelhouse(workspace: Path) -> Wheelhouse:
    """The wheels of this run below `workspace`. Versions are those of the lock; nothing else satisfies pip."""
    house = Wheelhouse(own=workspace / "wheels-own", others=workspace / "wheels-others")
    if not house.own.exists():
        _build(workspace / "sources", house)
    return house


def _build(sources: Path, house: Wheelhouse) -> None:
    copies = [_clean_copy(folder, sources / folder.name) for folder in package_folders()]
    options = ["--no-build-isolation", "--constraint", str(LOCK), "--wheel-dir", str(house.others)]
    _pip("wheel", *options, "setuptools", *map(str, copies))
    house.own.mkdir()
    for wheel in house.others.glob("draftstore_*.whl"):
        wheel.rename(house.own / wheel.name)


def _clean_copy(source: Path, target: Path) -> Path:
    """The package without what earlier builds left: setuptools packs a stale `build/lib` as if it were source."""
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(source, target, ignore=ignored)
    return target


def install_alone(house: Wheelhouse, distribution: str, environment: Path) -> Path:
    """Install one distribution, with what it declares and nothing else, into a fresh environment; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    links = ["--no-index", "--find-links", str(house.own), "--find-links", str(house.others)]
    _pip("--python", str(python), "install", "--no-compile", *links, "--constraint", str(LOCK), distribution)
    return python


def _pip(*arguments: str) -> None:
    done = run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments])
    assert done.returncode == 0, done.stderr


def run(command: Iterable[str | Path]) -> subprocess.CompletedProcess[str]:
    """A command with its output, from a folder where no package of ours lies beside it."""
    return subprocess.run([*command], cwd="/", capture_output=True, text=True, check=False)
