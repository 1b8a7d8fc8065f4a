"""Waiting for news: no signal is lost between the look and the wait, and none comes from others."""

import asyncio

from app.signals import Signals


async def test_a_signal_between_the_look_and_the_wait_is_not_lost() -> None:
    signals = Signals()
    with signals.waiter("a") as waiter:
        signals.notify("a")
        assert await waiter.wait(10)
        assert not await waiter.wait(0), "it came once"


async def test_everybody_who_waits_for_the_topic_wakes_and_nobody_else() -> None:
    signals = Signals()

    async def wait(topic: str, seconds: float) -> bool:
        with signals.waiter(topic) as waiter:
            return await waiter.wait(seconds)

    waiting = [asyncio.ensure_future(wait("a", 10)) for _ in range(3)]
    other = asyncio.ensure_future(wait("b", 0.05))
    await asyncio.sleep(0)
    signals.notify("a")
    assert await asyncio.gather(*waiting) == [True] * 3
    assert not await other


async def test_whoever_left_is_forgotten() -> None:
    signals = Signals()

    async def wait() -> bool:
        with signals.waiter("a") as waiter:
            return await waiter.wait(10)

    left = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    assert not signals._waiters
    signals.notify("a")


async def test_once_closed_everybody_wakes_and_nobody_waits_any_more() -> None:
    signals = Signals()
    with signals.waiter("a") as early:
        signals.close()
        assert await early.wait(10)
    with signals.waiter("b") as late:
        assert await late.wait(10)
