import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from draftstore_standalone.servers import (
    DataDirectoryError,
    DataDirectoryInUseError,
    DataDirectoryLock,
    PortTakenError,
    PostgresServer,
    ServerDiedError,
    ServerStartError,
)
from draftstore_standalone.servers.account import server_account
from draftstore_standalone.servers.binaries import find_postgres
from draftstore_standalone.servers.paths import SHARED_ROOT
from integration.servers.conftest import owner_of, until


async def test_the_database_is_utf8_in_c_order_and_syncs_what_it_commits(postgres: PostgresServer) -> None:
    shown = {name: await _value(postgres, f"SHOW {name}") for name in ("server_encoding", "fsync", "TimeZone")}
    assert shown == {"server_encoding": "UTF8", "fsync": "on", "TimeZone": "UTC"}
    assert await _value(postgres, "SELECT datcollate FROM pg_database WHERE datname = 'draftstore'") == "C"


async def test_a_wrong_password_is_refused(postgres: PostgresServer) -> None:
    user, _, rest = postgres.url.partition("@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"{user}x@{rest}")


async def test_it_listens_on_the_loopback_interface_only(postgres: PostgresServer) -> None:
    assert await _value(postgres, "SHOW listen_addresses") == "127.0.0.1"
    assert await _value(postgres, "SHOW unix_socket_directories") == ""


async def test_root_never_runs_it(postgres: PostgresServer) -> None:
    assert owner_of(postgres.pid) == server_account().uid != 0


async def test_it_stops_and_starts_again_with_its_data_at_the_same_address(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server:
        first_url = server.url
        await _execute(server, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    async with PostgresServer(data_dir) as server:
        assert server.url == first_url
        assert await _value(server, "SELECT n FROM kept") == 7


async def test_committed_rows_survive_a_kill(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    await server.start()
    await _execute(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    await server.kill()
    await server.start()
    assert await _value(server, "SELECT count(*) FROM kept") == 1000
    await server.stop()


@pytest.mark.parametrize("reached", ["PG_VERSION", "base/5"])
async def test_a_first_start_that_was_interrupted_is_begun_anew(data_dir: Path, reached: str) -> None:
    start = asyncio.ensure_future(PostgresServer(data_dir).start())
    await until(lambda: start.done() or _unfinished(data_dir, reached))
    start.cancel()
    await asyncio.wait([start])
    assert start.cancelled()
    assert not (data_dir / "servers/postgres/data").exists()
    async with PostgresServer(data_dir) as server:
        assert await _value(server, "SELECT 1") == 1
    assert not _unfinished(data_dir)


async def test_a_lock_file_whose_number_another_process_got_does_not_block_the_start(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    await server.start()
    await server.kill()
    with _as_server_account("/bin/sleep", "60") as stranger:
        _put_number_into_lock_file(data_dir, stranger.pid)
        await server.start()
        assert await _value(server, "SELECT 1") == 1
        assert stranger.poll() is None
    await server.stop()


async def test_a_server_somebody_else_started_on_the_data_is_neither_disturbed_nor_doubled(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    await server.start()
    await server.stop()
    account = server_account()
    program = find_postgres().runnable_by(account, SHARED_ROOT)
    data = data_dir / "servers/postgres/data"
    with _as_server_account(str(program), "-D", str(data), f"--port={server.port}", cwd=data) as foreign:
        await until(lambda: (data / "postmaster.pid").is_file() and "ready" in (data / "postmaster.pid").read_text())
        with pytest.raises(DataDirectoryError, match=rf"not ours \(pid {foreign.pid}\)"):
            await server.start()
        assert await _value(server, "SELECT 1") == 1


async def test_a_second_server_on_the_same_data_directory_is_refused_in_one_line(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server:
        with pytest.raises(
            DataDirectoryInUseError, match=rf"in use by another process \(pid {os.getpid()}\)$"
        ) as caught:
            await PostgresServer(data_dir).start()
        assert "\n" not in str(caught.value)
        assert await _value(server, "SELECT 1") == 1


def test_a_data_directory_can_be_locked_as_a_whole_and_is_free_again_afterwards(tmp_path: Path) -> None:
    lock, other = (DataDirectoryLock(tmp_path / "lock", data_dir=tmp_path) for _ in range(2))
    with lock, pytest.raises(DataDirectoryInUseError):
        other.acquire()
    with other:
        pass


async def test_a_fixed_port_that_is_taken_is_named(postgres: PostgresServer, data_dir: Path) -> None:
    with pytest.raises(PortTakenError, match=f"port {postgres.port} for postgres"):
        await PostgresServer(data_dir, port=postgres.port).start()


async def test_a_server_that_cannot_start_says_why_in_one_line(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    await server.start()
    await server.stop()
    (data_dir / "servers/postgres/data/PG_VERSION").write_text("9\n")
    with pytest.raises(ServerStartError, match=r"^postgres did not start: .*FATAL.*incompatible") as caught:
        await server.start()
    assert "\n" not in str(caught.value)


async def test_a_server_that_ends_by_itself_is_noticed(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server:
        watch = asyncio.ensure_future(server.watch())
        await asyncio.sleep(0)
        assert not watch.done()
        os.kill(server.pid, 9)
        with pytest.raises(ServerDiedError, match="postgres has ended by itself"):
            await watch


async def test_the_log_of_the_previous_run_is_kept_and_no_more(data_dir: Path) -> None:
    for _ in range(3):
        async with PostgresServer(data_dir):
            pass
    logs = data_dir / "servers/logs"
    assert {log.name for log in logs.glob("postgres.log*")} == {"postgres.log", "postgres.log.1"}
    assert (logs / "postgres.log").read_text().count("starting PostgreSQL") == 1


async def _value(server: PostgresServer, query: str) -> object:
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _execute(server: PostgresServer, statements: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


def _unfinished(data_dir: Path, *reached: str) -> list[Path]:
    return list(data_dir.glob("/".join(("servers/postgres/.new-*", *reached))))


@contextlib.contextmanager
def _as_server_account(*arguments: str, cwd: Path | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        arguments, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **server_account().spawn_arguments()
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _put_number_into_lock_file(data_dir: Path, pid: int) -> None:
    lock_file = data_dir / "servers/postgres/data/postmaster.pid"
    _, *rest = lock_file.read_text().splitlines()
    lock_file.write_text("\n".join([str(pid), *rest]) + "\n")
