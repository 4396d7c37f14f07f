"""deployment/make-env.sh makes the secrets of an installation."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.compose import ROOT

MAKE_ENV = ROOT / "deployment" / "make-env.sh"


def _make(*arguments: str, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"]}
    command = ["/bin/sh", str(MAKE_ENV), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_file_is_dot_env_here_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    assert _make(cwd=tmp_path).returncode == 0
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=in-use\n")
    made = _make(cwd=tmp_path)
    assert made.returncode == 1
    assert "exists already" in made.stderr
    assert file.read_text() == "POSTGRES_PASSWORD=in-use\n"


def test_every_installation_has_secrets_of_its_own(tmp_path: Path) -> None:
    texts = [(_make(name, cwd=tmp_path), (tmp_path / name).read_text())[1] for name in ("one", "two")]
    first, second = (set(re.findall(r"[0-9a-f]{20,}", text)) for text in texts)
    assert len(first) == len(second) >= 7
    assert not first & second


def test_every_secret_is_long_and_random(variables: Mapping[str, str]) -> None:
    secrets = {name: value for name, value in variables.items() if name not in {"MINIO_ROOT_USER", "SERVICE_KEYS"}}
    assert [name for name, value in secrets.items() if not re.fullmatch("[0-9a-f]{40}", value)] == []
    assert len(set(secrets.values())) == len(secrets)


def test_identity_is_told_the_digest_of_every_service_key(variables: Mapping[str, str]) -> None:
    digests = dict(entry.split("=") for entry in variables["SERVICE_KEYS"].split(","))
    keys = {name: variables[f"{name.upper()}_SERVICE_KEY"] for name in ("gateway", "drafts", "cleaner")}
    assert digests == {name: hashlib.sha256(key.encode()).hexdigest() for name, key in keys.items()}


def test_shasum_will_do_where_sha256sum_is_missing(tmp_path: Path) -> None:
    folder = _tools(tmp_path / "bin")
    shasum = folder / "shasum"
    shasum.write_text(f'#!/bin/sh\n[ "$*" = "-a 256" ] && exec {shutil.which("sha256sum")}\n')
    shasum.chmod(0o755)
    made = _make("env", cwd=tmp_path, path=str(folder))
    assert made.returncode == 0, made.stderr
    assert re.search(r"^SERVICE_KEYS=gateway=[0-9a-f]{64},", (tmp_path / "env").read_text(), re.MULTILINE)


def test_it_says_what_is_missing_and_writes_nothing(tmp_path: Path) -> None:
    made = _make("env", cwd=tmp_path, path=str(_tools(tmp_path / "bin")))
    assert made.returncode == 1
    assert "sha256sum" in made.stderr
    assert not (tmp_path / "env").exists()


def _tools(folder: Path) -> Path:
    """A folder with what every machine has."""
    folder.mkdir()
    for tool in ("od", "tr", "cut"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return folder
