"""Which key signs, and until when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. Temporary ones carry a session token and end at `expires_at`; what they signed ends with them."""

    access_key: str
    secret_key: str
    session_token: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r})"


class CredentialSource(Protocol):
    """Gives credentials that are good now. Never blocks the event loop; raises `Denied` when there are none."""

    async def current(self) -> Credentials: ...


class StaticCredentials:
    """Credentials that never change."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def current(self) -> Credentials:
        return self._credentials
