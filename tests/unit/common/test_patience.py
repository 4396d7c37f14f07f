"""A deadline ends what it was set for, by a TimeoutError, and nothing else."""

import asyncio
from contextvars import ContextVar

import pytest

from draftstore_common.kit.patience import FIRST_LOOK, Looks, Patience


async def test_what_takes_too_long_is_a_timeout() -> None:
    with pytest.raises(TimeoutError), Patience(0.01, Looks()):
        await asyncio.Event().wait()


async def test_what_ends_in_time_is_left_alone_afterwards() -> None:
    with Patience(0.01, Looks()) as patience:
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)
    assert not patience.over
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_progress_begins_it_anew_and_silence_ends_it_all_the_same() -> None:
    renewed = False

    async def work() -> None:
        nonlocal renewed
        with Patience(2 * FIRST_LOOK, Looks()) as patience:
            for _ in range(4):
                await asyncio.sleep(FIRST_LOOK)
                patience.renew(2.5 * FIRST_LOOK)
            renewed = True
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert renewed


async def test_what_lasts_is_looked_at_once_and_what_does_not_never_is() -> None:
    looks, looked = Looks(), []
    with Patience(30, looks) as short:
        short.on_look = lambda: looked.append("short")
    with Patience(30, looks) as long:
        long.on_look = lambda: looked.append("long")
        await asyncio.sleep(5 * FIRST_LOOK)
    assert looked == ["long"]


async def test_each_of_many_that_begin_together_ends_in_its_time() -> None:
    looks, ended = Looks(), []

    async def work(seconds: float) -> None:
        with pytest.raises(TimeoutError), Patience(seconds, looks):
            await asyncio.Event().wait()
        ended.append(seconds)

    await asyncio.gather(*map(work, (0.4, 0.2, 0.01, 0.3)))
    assert ended == sorted(ended)


async def test_it_lasts_until_somebody_ends_it() -> None:
    async def work() -> None:
        with Patience(30, Looks()) as patience:
            asyncio.get_running_loop().call_soon(patience.end)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()


async def test_once_over_it_is_not_renewed() -> None:
    async def work() -> None:
        with Patience(30, Looks()) as patience:
            patience.end()
            patience.renew(30)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()


async def test_a_cancellation_from_elsewhere_is_no_timeout() -> None:
    async def work() -> None:
        with Patience(30, Looks()):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_elsewhere_stays_one_though_time_is_over_too() -> None:
    entered: list[Patience] = []

    async def work() -> None:
        with Patience(30, Looks()) as patience:
            entered.append(patience)
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    entered[0].end()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_work_is_not_hidden_by_the_end_of_its_time() -> None:
    async def work() -> None:
        with Patience(0.01, Looks()):
            try:
                await asyncio.Event().wait()
            finally:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()


async def test_of_two_the_one_that_is_over_ends() -> None:
    with Patience(30, Looks()) as outer:
        with pytest.raises(TimeoutError), Patience(0.01, Looks()):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
    assert not outer.over


async def test_a_look_that_fails_keeps_nobody_else_from_theirs(caplog: pytest.LogCaptureFixture) -> None:
    looks = Looks()

    def fail() -> None:
        raise RuntimeError("boom")

    with Patience(30, looks) as broken:
        broken.on_look = fail
        with pytest.raises(TimeoutError), Patience(0.01, looks):
            await asyncio.Event().wait()
    assert "boom" in caplog.text


async def test_a_look_is_in_nobodys_context() -> None:
    whose, seen = ContextVar("whose", default="nobody's"), list[str]()
    looks = Looks()
    token = whose.set("somebody's")
    with Patience(30, looks) as patience:
        patience.on_look = lambda: seen.append(whose.get())
        await asyncio.sleep(3 * FIRST_LOOK)
    whose.reset(token)
    assert seen == ["nobody's"]
