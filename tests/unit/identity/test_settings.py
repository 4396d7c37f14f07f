"""What identity can be told, and what stops its start."""

import hashlib

import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import ServiceName
from draftstore_common.kit.settings import load
from draftstore_identity.settings import IdentitySettings

HASH = hashlib.sha256(b"a service key").hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_API_KEY", "SERVICE_KEYS", "REDIS_URL", "SIGNING_KEY_SECRET", "HTTP_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/x")
    monkeypatch.setenv("SERVICE_KEYS", f"gateway={HASH}")


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line a refused start says."""
    with pytest.raises(SystemExit) as stopped:
        load(IdentitySettings)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_service_keys_are_read_by_their_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_KEYS", f" gateway={HASH.upper()} ,\n drafts={OTHER},")
    assert load(IdentitySettings).service_keys == {HASH: ServiceName.GATEWAY, OTHER: ServiceName.DRAFTS}


def test_a_service_may_have_an_old_key_and_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_KEYS", f"gateway={HASH},gateway={OTHER}")
    assert set(load(IdentitySettings).service_keys.values()) == {ServiceName.GATEWAY}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (f"drafts={OTHER},gatewy={HASH}", "entry 2 names no service; the names are gateway, identity"),
        ("gateway=abc", "entry 1 (gateway) needs the SHA-256"),
        ("gateway", "entry 1 (gateway) needs the SHA-256"),
        (f"gateway={HASH},drafts={HASH}", "entry 2 gives drafts the key of gateway"),
        (" , ", "at least 1 item"),
        ("", "Field required"),
    ],
)
def test_malformed_service_keys_stop_the_start_and_say_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, complaint: str
) -> None:
    monkeypatch.setenv("SERVICE_KEYS", value)
    line = refusal(capsys)
    assert "SERVICE_KEYS: " in line
    assert complaint in line


@pytest.mark.parametrize("label", ["live", "test"])
def test_a_data_key_is_no_admin_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], label: api_keys.Label
) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", api_keys.make(label))
    assert "ADMIN_API_KEY: not a whole admin key" in refusal(capsys)


def test_a_malformed_admin_key_stops_the_start_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = api_keys.make("admin")[:-1]
    monkeypatch.setenv("ADMIN_API_KEY", cut)
    line = refusal(capsys)
    assert "ADMIN_API_KEY: not a whole admin key" in line
    assert cut not in line


def test_secrets_do_not_show_in_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = api_keys.make("admin")
    monkeypatch.setenv("ADMIN_API_KEY", secret)
    monkeypatch.setenv("SIGNING_KEY_SECRET", "hush-hush")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@host/x")
    shown = repr(load(IdentitySettings))
    assert not any(hidden in shown for hidden in (secret, "hush-hush", "hunter2"))
