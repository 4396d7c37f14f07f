"""Servers that start at once agree on where their data lies."""

import asyncio
from pathlib import Path

import pytest

from draftstore_standalone.servers import ServerHome


@pytest.mark.parametrize("parent_mode", [0o755, 0o700], ids=["open folder", "closed folder"])
async def test_servers_started_at_once_find_the_same_place(data_dir: Path, parent_mode: int) -> None:
    for number in range(30):
        parent = data_dir / str(number)
        parent.mkdir(parents=True)
        parent.chmod(parent_mode)
        fresh, shared = parent / "data", data_dir / f"shared{number}"
        places = [asyncio.to_thread(ServerHome.locate, fresh, shared_root=shared) for _ in range(4)]
        assert len({home.root for home in await asyncio.gather(*places)}) == 1
