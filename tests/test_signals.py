"""Waiting for news: no signal is lost between the look and the wait, and none comes from others."""

import asyncio

from app.signals import Kind, Signals, Waiter


def waiter() -> Waiter:
    return Waiter("change", "ended")


async def test_a_signal_between_the_look_and_the_wait_is_not_lost() -> None:
    signals = Signals()
    with signals.waiter(waiter(), "a") as waiting:
        signals.tell("a", "change")
        assert await waiting.wait(10)
        assert not await waiting.wait(0), "it came once"


async def test_everybody_who_waits_for_the_subject_wakes_and_nobody_else() -> None:
    signals = Signals()

    async def wait(subject: str, seconds: float) -> bool:
        with signals.waiter(waiter(), subject) as waiting:
            return await waiting.wait(seconds)

    waiting = [asyncio.ensure_future(wait("a", 10)) for _ in range(3)]
    other = asyncio.ensure_future(wait("b", 0.05))
    await asyncio.sleep(0)
    signals.tell("a", "ended")
    assert await asyncio.gather(*waiting) == [True] * 3
    assert not await other


async def test_who_waits_for_one_kind_is_not_woken_by_another() -> None:
    signals = Signals()
    with signals.waiter(waiter(), "a") as waiting:
        for kind in ("devices", "entitlements", "pairing"):
            signals.tell("a", kind)
        assert not await waiting.wait(0)


async def test_whoever_left_is_forgotten() -> None:
    signals = Signals()

    async def wait() -> bool:
        with signals.waiter(waiter(), "a", "b") as waiting:
            return await waiting.wait(10)

    left = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    assert not signals._listeners
    signals.tell("a", "change")


async def test_a_listener_may_leave_while_it_is_told() -> None:
    signals = Signals()
    heard: list[str] = []

    class Once:
        def hear(self, kind: Kind) -> None:
            heard.append(kind)
            signals.leave(self, "a")

        def stop(self) -> None:
            heard.append("stop")

    for listener in (Once(), Once()):
        signals.listen(listener, "a")
    signals.tell("a", "change")
    signals.close()
    assert heard == ["change", "change"]


async def test_once_closed_everybody_wakes_and_nobody_waits_any_more() -> None:
    signals = Signals()
    with signals.waiter(waiter(), "a") as early:
        signals.close()
        assert await early.wait(10)
    with signals.waiter(waiter(), "b") as late:
        assert await late.wait(10)
