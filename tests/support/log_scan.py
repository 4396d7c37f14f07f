"""Finds secrets in logs: by their form, and those that are known, however often they are percent-encoded."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from draftstore_common.contracts import api_keys
from draftstore_common.kit.redaction import redact

_KEY = re.compile(r"ds_(?:live|test|admin)_[0-9A-Za-z]{38}")
_FORMS = {
    "token": re.compile(r"eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}"),
    "signature": re.compile(r"X-Amz-Signature[\"']?\s*[=:,]\s*[\"']?[0-9a-f]{16,}", re.IGNORECASE),
    "session token": re.compile(r"X-Amz-Security-Token[\"']?\s*[=:,]\s*[\"']?[0-9A-Za-z+/%]{8,}", re.IGNORECASE),
    "private key": re.compile(r"-----BEGIN[A-Z ]* PRIVATE KEY-----.{0,4}[0-9A-Za-z+/]{16,}", re.DOTALL),
}
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_ESCAPED = re.compile(r"\\+u00([0-9a-fA-F]{2})")

_FIRST_KEY = re.compile(r"(?:Admin|Data) API Key: ds_(?:live|admin)_[0-9A-Za-z]{38}")
"""What identity says once, at its first start."""

_ON_THE_TERMINAL = frozenset({"standalone.stdout"})
"""What `make up` shows whoever started it: no log."""


@dataclass(frozen=True)
class Place:
    """Where a secret stands. Its text, as far as it is shown, has none."""

    path: Path
    line: int
    before: str
    kind: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.before}: {self.kind}"


class LogScan:
    """A search for these secrets, and for whatever has the form of one."""

    def __init__(self, known: Iterable[str]) -> None:
        known = {secret for secret in known if not _KEY.fullmatch(secret)}  # those are found by their form
        self._signatures = {secret for secret in known if _DIGEST.fullmatch(secret)}
        self._others = sorted(known - self._signatures)

    def places(self, files: Iterable[Path]) -> list[Place]:
        """Where in these files a secret stands."""
        return [place for path in files if path.name not in _ON_THE_TERMINAL for place in self._in_file(path)]

    def _in_file(self, path: Path) -> Iterator[Place]:
        text = path.read_bytes().decode(errors="replace")
        forms = _forms(text)
        likely = [secret for secret in self._others if any(secret in form for form in forms)]
        for number, line in enumerate(text.splitlines(), start=1):
            if path.name.startswith("identity") and _FIRST_KEY.fullmatch(line):
                continue
            for form in _forms(line):
                found = self._find(form, likely)
                if found is not None:
                    kind, start = found
                    yield Place(path, number, redact(form[:start]).strip(" :=\"'")[-80:], kind)
                    break

    def _find(self, line: str, likely: Iterable[str]) -> tuple[str, int] | None:
        """What kind of secret stands in a line, and where."""
        for found in _KEY.finditer(line):
            if api_keys.is_well_formed(found[0]):
                return "API key", found.start()
        for kind, form in _FORMS.items():
            if (match := form.search(line)) is not None:
                return kind, match.start()
        for digest in _DIGEST.finditer(line):
            if digest[0] in self._signatures:
                return "signature", digest.start()
        return next((("known secret", line.index(secret)) for secret in likely if secret in line), None)


def _forms(text: str) -> list[str]:
    """The text as it is, and as it was before it was escaped, once and twice."""
    forms = [text]
    for _ in range(2):
        plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), unquote(forms[-1]))
        if plain == forms[-1]:
            break
        forms.append(plain)
    return forms
