"""Finds secrets in what a stack wrote to its logs."""

import re
from pathlib import Path

from support.stack_base import Stack

_FORMS = re.compile(
    r"ds_(?:live|test|admin)_[0-9A-Za-z]{38}"  # an API key
    r"|X-Amz-(?:Signature|Security-Token)(?:=|%3D)[0-9A-Za-z%]{8,}"  # what a presigned URL lives by
    r"|eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}",  # a token
    re.IGNORECASE,
)

_FIRST_KEY = re.compile(r"^(?:Admin|Data) API Key: \S+$")


def leaked(stack: Stack) -> list[str]:
    """Where in the logs a secret stands, as `file:line`: known ones, and whatever has the form of one.

    What identity says once at its first start is allowed, and what standalone says on the terminal, which is no log.
    """
    files = [path for path in stack.log_files() if path.name != "standalone.stdout"]
    return [place for path in files for place in _leaks_in(path, frozenset(stack.secrets))]


def _leaks_in(path: Path, secrets: frozenset[str]) -> list[str]:
    lines = path.read_text(errors="replace").splitlines()
    return [
        f"{path.name}:{number}: {line[:200]}"
        for number, line in enumerate(lines, start=1)
        if _is_leak(line, secrets) and not (path.name == "identity.stderr" and _FIRST_KEY.match(line))
    ]


def _is_leak(line: str, secrets: frozenset[str]) -> bool:
    return _FORMS.search(line) is not None or any(secret in line for secret in secrets)
