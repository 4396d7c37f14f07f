"""Which account the servers run under.

PostgreSQL refuses to run as root, and what root need not do it should not do: for root both servers run as ``nobody``,
an account every distribution has. For anybody else they run as the caller.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from draftstore_standalone.servers.errors import ServerError

_UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """An entry of the password database."""

    name: str
    uid: int
    gid: int

    @property
    def is_current(self) -> bool:
        """Whether this process already runs under the account."""
        return self.uid == os.geteuid()

    def spawn_arguments(self) -> dict[str, Any]:
        """Arguments of ``subprocess.Popen`` that make a child run under this account."""
        if self.is_current:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}

    def own(self, path: Path | int) -> None:
        """Give a file, or an open descriptor, to this account; of a link, the link, never what it points at."""
        if not self.is_current:
            os.chown(path, self.uid, self.gid, follow_symlinks=isinstance(path, int))

    def can_enter(self, folder: Path) -> bool:
        """Whether the mode bits let the account reach what lies in `folder` (an absolute path without links)."""
        return all(self._has(parent, stat.S_IXOTH) for parent in (folder, *folder.parents))

    def can_run(self, program: Path) -> bool:
        """Whether the account can reach, read and execute `program`."""
        return self.can_enter(program.parent) and self._has(program, stat.S_IXOTH | stat.S_IROTH)

    def _has(self, path: Path, bits: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            bits <<= 6
        elif status.st_gid == self.gid:
            bits <<= 3
        return status.st_mode & bits == bits


def server_account() -> Account:
    """The account the servers run under.

    Raises:
        ServerError: there is no such account in the password database, which PostgreSQL needs.
    """
    wanted: int | str = _UNPRIVILEGED if os.geteuid() == 0 else os.geteuid()
    try:
        entry = pwd.getpwnam(wanted) if isinstance(wanted, str) else pwd.getpwuid(wanted)
    except KeyError:
        raise ServerError(f"no account {wanted!r} in the password database, which PostgreSQL needs") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
