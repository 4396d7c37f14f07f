"""The SDK's chain of credentials behind our own signer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import RefreshableCredentials  # type: ignore[import-untyped]
from botocore.exceptions import CredentialRetrievalError  # type: ignore[import-untyped]

from draftstore_storage.backends.s3.client import session
from draftstore_storage.backends.s3.credentials import ChainCredentials
from draftstore_storage.errors import Denied
from draftstore_storage.settings import StorageSettings

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class RoleSession:
    """A session whose role hands out a new key whenever botocore asks, each good for an hour of real time."""

    def __init__(self) -> None:
        self.handed_out = 0
        self._credentials = RefreshableCredentials.create_from_metadata(
            metadata=self._renew(), refresh_using=self._renew, method="test"
        )

    def _renew(self) -> dict[str, str]:
        self.handed_out += 1
        ends = datetime.now(UTC) + timedelta(seconds=1 if self.handed_out == 1 else 3600)
        return {
            "access_key": f"AK{self.handed_out}",
            "secret_key": "secret",
            "token": f"token{self.handed_out}",
            "expiry_time": ends.isoformat(),
        }

    def get_credentials(self) -> Any:
        return self._credentials


async def test_temporary_credentials_carry_their_token_and_their_end() -> None:
    held = await ChainCredentials(RoleSession()).current()
    assert (held.access_key, held.session_token) == ("AK2", "token2")
    assert held.expires_at is not None
    assert timedelta(minutes=50) < held.expires_at - datetime.now(UTC) <= timedelta(hours=1)


async def test_credentials_are_renewed_and_otherwise_kept() -> None:
    now = NOW
    role = RoleSession()
    chain = ChainCredentials(role, clock=lambda: now)
    first = await chain.current()
    assert await chain.current() is first
    now += timedelta(minutes=2)
    assert await chain.current() is first, "the same credentials keep the key of the day"


async def test_no_credentials_anywhere_are_a_wrong_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Denied):
        await ChainCredentials(session(StorageSettings())).current()


async def test_a_chain_that_fails_is_a_wrong_configuration_with_its_cause() -> None:
    class Failing:
        def get_credentials(self) -> Any:
            raise CredentialRetrievalError(provider="test", error_msg="no answer")

    with pytest.raises(Denied) as refused:
        await ChainCredentials(Failing()).current()
    assert isinstance(refused.value.__cause__, CredentialRetrievalError)


async def test_credentials_are_found_in_the_environment_of_the_sdk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKFILE\naws_secret_access_key = s\naws_session_token = t\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    held = await ChainCredentials(session(StorageSettings())).current()
    assert (held.access_key, held.session_token, held.expires_at) == ("AKFILE", "t", None)
