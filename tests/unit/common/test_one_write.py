"""What is written of an answer arrives whole and in order, in as few writes as it can."""

import asyncio
from typing import cast

from draftstore_common.kit.one_write import SMALL, OneWrite


class _Transport:
    def __init__(self) -> None:
        self.done: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.done or "abort" in self.done


def _one_write() -> tuple[_Transport, OneWrite]:
    transport = _Transport()
    return transport, OneWrite(cast("asyncio.Transport", transport), asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_write_and_what_follows_is_written_at_once() -> None:
    transport, out = _one_write()
    for data in (b"head", b"body", b"more"):
        out.write(data)
    assert transport.done == [b"headbody", b"more"]
    await asyncio.sleep(0)
    assert transport.done == [b"headbody", b"more"]


async def test_a_head_alone_waits_for_a_turn_of_the_loop_and_no_longer() -> None:
    transport, out = _one_write()
    out.write(b"head")
    assert transport.done == []
    await asyncio.sleep(0)
    assert transport.done == [b"head"]
    out.write(b"body")
    assert transport.done == [b"head", b"body"]


async def test_a_head_that_is_closed_upon_is_sent_before() -> None:
    transport, out = _one_write()
    out.write(b"head")
    out.close()
    await asyncio.sleep(0)
    assert transport.done == [b"head", "close"]


async def test_a_large_body_is_not_copied() -> None:
    transport, out = _one_write()
    body = b"x" * (SMALL + 1)
    out.write(b"head")
    out.write(body)
    assert transport.done[0] == b"head"
    assert transport.done[1] is body


async def test_an_answer_without_a_body_is_written() -> None:
    transport, out = _one_write()
    out.write(b"head")
    out.write(b"")
    assert transport.done == [b"head"]


async def test_a_head_whose_connection_is_cut_is_not_written_any_more() -> None:
    transport, out = _one_write()
    out.write(b"head")
    out.abort()
    await asyncio.sleep(0)
    assert transport.done == ["abort"]
