"""Where the servers of one data directory keep their files.

Normally below the data directory. For root, whose servers run as another account, a data directory under a folder that
account cannot enter (a 0700 home) will not do: the files then lie below `SHARED_ROOT`. Which of the two it was is
written into the data directory at the first start and holds from then on, whatever modes change later; moving the data
directory moves nothing, and deleting it leaves a folder below `SHARED_ROOT` behind.

Mode bits decide; access control lists and security modules are not looked at.
"""

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from draftstore_standalone.servers.account import Account, server_account
from draftstore_standalone.servers.errors import DataDirectoryError

SHARED_ROOT = Path("/var/lib/draftstore")

_MARKER = "servers-home"
_INSIDE = "servers"


@dataclass(frozen=True, slots=True)
class ServerHome:
    """The folders of the servers that belong to one data directory."""

    data_dir: Path
    root: Path
    account: Account

    @classmethod
    def locate(cls, data_dir: Path, *, shared_root: Path = SHARED_ROOT) -> "ServerHome":
        """Find the servers' folders, making them at the first call for this data directory.

        Raises:
            DataDirectoryError: they cannot be made, are gone, or belong to somebody else.
        """
        account = server_account()
        try:
            return _locate(data_dir.resolve(), account, shared_root)
        except OSError as error:
            raise DataDirectoryError(f"data directory {data_dir} cannot be used: {error}") from error

    @property
    def run(self) -> Path:
        """Records, locks and remembered ports; ours alone."""
        return _folder(self.root / "run", os.geteuid())

    @property
    def logs(self) -> Path:
        """One log per server process; ours alone."""
        return _folder(self.root / "logs", os.geteuid())

    def server_folder(self, name: str) -> Path:
        """The folder of one server, private to the account it runs under."""
        return _folder(self.root / name, self.account.uid, self.account)


def write_private(path: Path, content: str, account: Account | None = None) -> None:
    """Replace a file as a whole, readable by `account` (default: us) alone; a crash leaves the old or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            if account is not None:
                account.own(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def public_folder(path: Path) -> Path:
    """A folder of ours that every account can enter."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_uid == os.geteuid():
        path.chmod(0o755)
    return path


def _locate(data_dir: Path, account: Account, shared_root: Path) -> ServerHome:
    with contextlib.suppress(FileExistsError):
        data_dir.mkdir(parents=True)
        data_dir.chmod(0o700 if account.is_current else 0o711)
    marker = data_dir / _MARKER
    with _exclusive(data_dir):  # servers started at once must agree on one place
        if not marker.exists():
            root = _new_root(data_dir, account, shared_root)
            write_private(marker, _INSIDE if root.parent == data_dir else str(root))
    root = data_dir / marker.read_text().strip()
    if not root.is_dir():
        raise DataDirectoryError(f"{root}, where {marker} says the servers' data is, does not exist")
    if not account.can_enter(root):
        raise DataDirectoryError(f"{root} cannot be entered by {account.name}, which the servers run as")
    return ServerHome(data_dir, root, account)


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Wait until nobody else holds this folder; the kernel lets go of it if we are killed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _new_root(data_dir: Path, account: Account, shared_root: Path) -> Path:
    if account.can_enter(data_dir):
        root = data_dir / _INSIDE
    else:
        public_folder(shared_root)
        # A name of its own, so that a data directory deleted and made again starts empty.
        root = public_folder(shared_root / "data") / f"{data_dir.name.lstrip('.')}-{secrets.token_hex(6)}"
    root.mkdir(exist_ok=True)
    root.chmod(0o700 if account.is_current else 0o711)
    return root


def _folder(path: Path, owner: int, account: Account | None = None) -> Path:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        actual = path.stat().st_uid
        # Root made it and ended before giving it away.
        if actual != owner and not (account and actual == os.geteuid()):
            raise DataDirectoryError(
                f"{path} belongs to user id {actual}, not {owner}: start as the user who made the data directory"
            ) from None
    if account is not None:
        account.own(path)
    return path
