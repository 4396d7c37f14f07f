"""The search of logs can fail: whatever is planted is found, and what is said of it gives nothing away."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from draftstore_common.contracts import api_keys
from support.log_scan import LogScan

TESTS = Path(__file__).parents[2]
KEY = api_keys.make("live")
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
SIGNATURE = "0a" * 32
SERVICE_KEY = "Zx3-" + "aB7_" * 9

SECRETS = {
    "API key": KEY,
    "token": TOKEN,
    "signature": f"X-Amz-Signature={SIGNATURE}",
    "session token": "X-Amz-Security-Token=FwoGZXIvYXdzEBYaD",
    "private key": "-----BEGIN EC PRIVATE KEY-----MHcCAQEEIIVFxT0mR8nY",
    "known secret": SERVICE_KEY,
}

SPELLINGS: list[Callable[[str], str]] = [
    str,
    lambda text: quote(text, safe=""),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: "".join(f"%{ord(character):02X}" for character in text),
    lambda text: json.dumps({"url": text}),
    lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
]


@pytest.fixture(autouse=True)
def _nothing_planted_stays(tmp_path: Path) -> Iterator[None]:
    """Or this run would fail for it."""
    yield
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.unlink()


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("spelt", SPELLINGS)
def test_a_planted_secret_is_found_and_not_repeated(tmp_path: Path, kind: str, spelt: Callable[[str], str]) -> None:
    log = tmp_path / "drafts.stderr"
    log.write_text(f"fine\nhere: {spelt(SECRETS[kind])}\n")
    (place,) = LogScan([SERVICE_KEY]).places([log])
    assert (place.line, place.kind) == (2, kind)
    assert SECRETS[kind][-10:] not in str(place)


def test_a_signature_is_found_without_its_name_if_it_was_handed_out(tmp_path: Path) -> None:
    log = tmp_path / "seaweedfs.log"
    log.write_text(f"mismatch: {SIGNATURE}\n")
    assert [place.kind for place in LogScan([SIGNATURE]).places([log])] == ["signature"]
    assert LogScan([]).places([log]) == []


def test_only_identity_may_say_the_first_keys_and_nothing_else(tmp_path: Path) -> None:
    identity, other = tmp_path / "identity.stderr", tmp_path / "gateway.stderr"
    identity.write_text(f"Data API Key: {KEY}\nData API Key: {KEY} again\n")
    other.write_text(f"Data API Key: {KEY}\n")
    assert [(place.path.name, place.line) for place in LogScan([]).places([identity, other])] == [
        ("identity.stderr", 2),
        ("gateway.stderr", 1),
    ]


def test_what_only_looks_like_a_key_is_none(tmp_path: Path) -> None:
    log = tmp_path / "gateway.stderr"
    log.write_text(f"ds_live_{'0' * 38}\n{api_keys.prefix(KEY)}…{api_keys.last4(KEY)}\n")
    assert LogScan([]).places([log]) == []


_A_LOG_THAT_IS_DELETED = """
import tempfile
from pathlib import Path
def test_it():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "logs").mkdir()
        (Path(folder) / "logs" / "postgres.log").write_text("LOG:  {secret}\\n")
"""

_A_RECORD_OF_THE_TEST_PROCESS = """
import logging, secrets
def test_it():
    logging.getLogger("draftstore_gateway").info("starting", extra={"value": secrets.token_urlsafe(32)})
"""

_A_LOG_THAT_IS_LEFT = """
def test_it(tmp_path):
    (tmp_path / "redis.log").write_text("{secret}")
"""

_NOTHING = """
import logging
def test_it(tmp_path):
    logging.getLogger("draftstore_gateway").info("starting with {secret}")
    (tmp_path / "000003.log").write_text("{secret}")
"""


def _run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_planted.py").write_text(test.replace("{secret}", KEY))
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "support.log_keeper", "-p", "no:cacheprovider", str(folder)]
    arguments = ["-c", str(folder / "pytest.ini"), "--basetemp", str(folder / "temporary")]
    environment = {"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin", "TMPDIR": str(folder)}
    return subprocess.run(
        [*command, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("test", [_A_LOG_THAT_IS_DELETED, _A_RECORD_OF_THE_TEST_PROCESS, _A_LOG_THAT_IS_LEFT])
def test_a_run_that_logs_a_secret_fails_whatever_its_tests_say(tmp_path: Path, test: str) -> None:
    run = _run(tmp_path, test)
    assert run.returncode == 1, run.stdout
    assert "1 passed" in run.stdout
    assert "secrets in logs" in run.stdout
    assert KEY not in run.stdout


def test_a_run_whose_logs_are_clean_passes(tmp_path: Path) -> None:
    run = _run(tmp_path, _NOTHING)
    assert run.returncode == 0, run.stdout
    assert list(tmp_path.glob("draftstore-logs-*")) == []
