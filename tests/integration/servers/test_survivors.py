import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from draftstore_standalone.servers import PostgresServer, SeaweedServer
from draftstore_standalone.servers.pidfd import exits_within
from draftstore_standalone.servers.survivors import ProcessRecord, end_survivor

_STEPS = ((signal.SIGTERM, 5.0),)

# A parent as the standalone is one: both servers on one data directory.
_PARENT = """
import asyncio, json, sys
from pathlib import Path
from draftstore_standalone.servers import PostgresServer, SeaweedServer

async def main():
    data_dir = Path(sys.argv[1])
    async with PostgresServer(data_dir) as postgres, SeaweedServer(data_dir) as weed:
        print(json.dumps([postgres.pid, *weed.pids.values()]), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["/bin/sleep", "60"], cwd=tmp_path) as process:
        yield process
        process.kill()


async def test_a_survivor_is_ended_and_its_record_forgotten(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    ProcessRecord.of(sleeper.pid, tmp_path).save(path)
    await end_survivor(path, _STEPS)
    assert sleeper.wait() == -signal.SIGTERM
    assert not path.exists()


@pytest.mark.parametrize(
    "changed",
    [
        lambda record: replace(record, start_time=record.start_time + 1),
        lambda record: replace(record, directory="/elsewhere"),
        lambda record: replace(record, boot_id="another boot"),
    ],
    ids=["start time", "directory", "boot"],
)
async def test_a_process_that_only_has_the_number_is_left_alone(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path, changed: Callable[[ProcessRecord], ProcessRecord]
) -> None:
    path = tmp_path / "record.json"
    changed(ProcessRecord.of(sleeper.pid, tmp_path)).save(path)
    await end_survivor(path, _STEPS)
    assert sleeper.poll() is None
    assert not path.exists()


async def test_a_record_of_a_process_that_has_ended_is_forgotten(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    ProcessRecord.of(sleeper.pid, tmp_path).save(path)
    sleeper.kill()
    sleeper.wait()
    await end_survivor(path, _STEPS)
    assert not path.exists()


async def test_a_killed_parent_takes_its_servers_along_and_the_next_start_works(data_dir: Path) -> None:
    descriptors = _start_both_and_kill_their_parent(data_dir)
    assert len(descriptors) == 5
    for descriptor in descriptors:
        assert await exits_within(descriptor, 10)
        os.close(descriptor)
    await _start_both(data_dir)


async def test_the_next_start_may_come_before_the_servers_of_a_killed_parent_have_ended(data_dir: Path) -> None:
    for descriptor in _start_both_and_kill_their_parent(data_dir):
        os.close(descriptor)
    await _start_both(data_dir)


def _start_both_and_kill_their_parent(data_dir: Path) -> list[int]:
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(data_dir)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        descriptors = [os.pidfd_open(pid) for pid in json.loads(parent.stdout.readline())]
        parent.kill()
    return descriptors


async def _start_both(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as postgres, SeaweedServer(data_dir) as weed:
        connection = await asyncpg.connect(postgres.url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        assert len(weed.pids) == 4
