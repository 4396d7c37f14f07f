"""Every secret the test run handed out or was told, so that what was written can be searched for them."""

import re
import secrets
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

_SIGNATURE = re.compile(r"X-Amz-Signature=([0-9a-f]{16,})")
_KEY = re.compile(r"ds_(?:live|test|admin)_[0-9A-Za-z]{38}")
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|_KEY$|_KEY_|_URL$")

SHORTEST = 12
"""Characters; anything shorter stands in logs by chance. MinIO's default password and the like are no secrets."""


class Secrets:
    """Secrets of one place. The run as a whole (`ISSUED`) learns of each."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, *found: str) -> None:
        """Remember secrets; of a URL, its password."""
        self._known |= {urlsplit(secret).password or secret for secret in found if "://" not in secret or "@" in secret}
        if self is not ISSUED:
            ISSUED.add(*found)

    def add_from(self, text: str) -> None:
        """Remember the API keys and the signatures in an answer."""
        self.add(*_KEY.findall(text), *_SIGNATURE.findall(text))

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Remember what a process is told in confidence."""
        told = [value for name, value in environment.items() if _SECRET_NAME.search(name)]
        self.add(*(value for value in told if len(value) >= SHORTEST))

    def __iter__(self) -> Iterator[str]:
        return iter(frozenset(self._known))


ISSUED = Secrets()
"""All of the run."""

_token_urlsafe = secrets.token_urlsafe


def remembered_token(nbytes: int | None = None) -> str:
    """In the place of `secrets.token_urlsafe`, which makes service keys, passwords of servers, and keys of stores."""
    token = _token_urlsafe(nbytes)
    ISSUED.add(token)
    return token
