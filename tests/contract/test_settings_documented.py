"""The README's table of settings says what the code reads, with the defaults the code has."""

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.kit.settings import CommandSettings
from draftstore_drafts.settings import DraftSettings
from draftstore_gateway.settings import GatewaySettings
from draftstore_identity.settings import IdentitySettings
from draftstore_metadata.settings import MetadataSettings
from draftstore_standalone.settings import StandaloneSettings
from draftstore_storage.settings import StorageSettings

README = Path(__file__).parents[2] / "README.md"

READERS: dict[str, type[CommandSettings]] = {
    "gateway": GatewaySettings,
    "identity": IdentitySettings,
    "draft-service": DraftSettings,
    "storage-service": StorageSettings,
    "metadata-service": MetadataSettings,
    "cleaner": CleanerSettings,
    "`make up`": StandaloneSettings,
}
SERVICES = set(READERS) - {"cleaner", "`make up`"}
GROUPS = {"all services": SERVICES, "all": set(READERS), "all but identity": set(READERS) - {"identity", "`make up`"}}


def _rows() -> list[tuple[list[str], list[str], set[str]]]:
    """The table: variables, their defaults as written, and who reads them."""
    rows = []
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 4:
            readers = GROUPS.get(cells[2]) or set(cells[2].split(", "))
            rows.append((re.findall(r"`(\w+)`", cells[0]), cells[1].split(", "), readers))
    return rows


DOCUMENTED = {name: readers for names, _, readers in _rows() for name in names}
STANDALONE_OVERRIDES = {"HTTP_PORT", "HTTP_HOST", "DATABASE_URL", "ADMIN_API_KEY", "CLEANER_INTERVAL"}
"""Settings `make up` reads itself besides the service that owns them; the text below the table says so."""


def test_every_setting_of_every_service_is_documented_and_no_other() -> None:
    read = {name.upper() for settings in READERS.values() for name in settings.model_fields}
    assert set(DOCUMENTED) == read


@pytest.mark.parametrize("reader", READERS)
def test_the_table_says_who_reads_a_setting(reader: str) -> None:
    read = {name.upper() for name in READERS[reader].model_fields}
    said = {name for name, readers in DOCUMENTED.items() if reader in readers}
    if reader == "`make up`":
        read -= STANDALONE_OVERRIDES
    assert said == read


def _default(name: str, readers: set[str]) -> FieldInfo:
    reader = next(reader for reader in READERS if reader in readers)
    return READERS[reader].model_fields[name.lower()]


@pytest.mark.parametrize(("names", "defaults", "readers"), _rows(), ids=lambda value: str(value)[:40])
def test_the_table_tells_the_true_default(names: list[str], defaults: list[str], readers: set[str]) -> None:
    for number, name in enumerate(names):
        field = _default(name, readers)
        written = defaults[min(number, len(defaults) - 1)]
        if field.is_required():
            assert written == "required"
        elif isinstance(field.default, str | int | float) and not isinstance(field.default, bool):
            assert written == (f"{field.default:g}" if isinstance(field.default, float) else str(field.default))
