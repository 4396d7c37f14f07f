"""Keys of this installation, each in a file of its own that only its owner can read."""

from dataclasses import dataclass
from pathlib import Path

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import KeyKind
from draftstore_standalone.servers.paths import write_private


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the two API keys of an installation are kept."""

    admin: Path
    data: Path

    @classmethod
    def under(cls, data_dir: Path) -> "KeyFiles":
        """The files inside a data directory."""
        return cls(admin=data_dir / "admin.key", data=data_dir / "data.key")

    def admin_key(self, given: str | None) -> str:
        """The admin key: the one given, the one kept, or a new one. It is on disk before identity learns of it."""
        kept = read(self.admin)
        key = given or kept or api_keys.make("admin")
        if key != kept:
            write_private(self.admin, key)
        return key

    def reveal(self, kind: KeyKind, secret: str) -> None:
        """Keep a secret that identity made at its first start."""
        write_private(self.admin if kind == "admin" else self.data, secret)


def read(path: Path) -> str | None:
    """The key in a file, or None if there is no such file."""
    return path.read_text().strip() if path.exists() else None
