"""The cleaner's command line says what it does, and takes nothing it would ignore."""

import subprocess
import sys

import pytest


def cleaner(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "draftstore_cleaner", *arguments]
    return subprocess.run(command, env={}, capture_output=True, text=True, timeout=60, check=False)


def test_help_tells_every_option_and_every_exit_status() -> None:
    text = " ".join(cleaner("--help").stdout.split())
    for option in ("--dry-run", "--max-keys", "--max-seconds", "--restart", "--delete-unattributed-drafts"):
        assert option in text
    for status in ("0 done", "1 failed", "2 bad settings", "3 reconcile found bytes"):
        assert status in text


@pytest.mark.parametrize("option", ["--max-keys=5", "--max-seconds=5", "--restart", "--delete-unattributed-drafts"])
def test_options_of_reconcile_are_refused_elsewhere(option: str) -> None:
    refused = cleaner("once", option)
    assert (refused.returncode, "belong to reconcile" in refused.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--max-keys=0", "--max-keys=-1", "--max-seconds=0", "--max-keys=many"])
def test_a_budget_is_a_positive_number(option: str) -> None:
    refused = cleaner("reconcile", option)
    assert (refused.returncode, option.partition("=")[0] in refused.stderr) == (2, True)
