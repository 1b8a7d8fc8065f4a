"""Work that comes round by itself."""

import asyncio

from app.chores import repeated


async def test_a_chore_is_done_at_once_and_again_even_if_it_fails() -> None:
    """What failed once comes round again."""
    done = asyncio.Event()
    times = 0

    async def chore() -> None:
        nonlocal times
        times += 1
        if times < 3:
            raise RuntimeError
        done.set()

    async with repeated(chore, 0.001):
        await asyncio.wait_for(done.wait(), 5)
    assert times >= 3


async def test_a_chore_is_over_when_its_time_is() -> None:
    """Nothing is done after the end."""
    times = 0

    async def chore() -> None:
        nonlocal times
        times += 1

    async with repeated(chore, 0.001):
        await asyncio.sleep(0.01)
    seen = times
    await asyncio.sleep(0.01)
    assert times == seen > 0
