"""At most so many files open, however many are asked for at once."""

import asyncio
import random
from collections import Counter

import pytest

from app.database.open_files import OpenFiles


class File:
    """Tells its shelf when it opens and closes."""

    def __init__(self, key: str, shelf: "Shelf") -> None:
        self.key = key
        self._shelf = shelf

    async def close(self) -> None:
        await asyncio.sleep(0)
        self._shelf.open.remove(self)
        self._shelf.closed.append(self.key)
        if self.key in self._shelf.broken:
            raise OSError


class Shelf:
    def __init__(self, most: int) -> None:
        self.open: list[File] = []
        self.opened: Counter[str] = Counter()
        self.closed: list[str] = []
        self.broken: set[str] = set()
        self.files = OpenFiles(most, lambda key: File(key, self), self._start)
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def _start(self, key: str, file: File) -> None:
        await self.gate.wait()
        if key in self.broken:
            raise ConnectionError
        assert key not in {each.key for each in self.open}, "open twice at once"
        self.open.append(file)
        self.opened[key] += 1
        self.most_at_once = max(self.most_at_once, len(self.open))

    async def use(self, key: str, turns: int = 3) -> str:
        async def work(file: File) -> str:
            for _ in range(turns):
                assert file in self.open, "closed while at work"
                await asyncio.sleep(0)
            return file.key

        return await self.files.run(key, work)


async def settled() -> None:
    """Whatever can be done without anything from outside is done."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_least_recently_used_is_closed_first() -> None:
    shelf = Shelf(3)
    for key in "abca":
        await shelf.use(key)
    await shelf.use("d")
    await shelf.use("e")
    await settled()
    assert shelf.closed == ["b", "c"]
    assert [file.key for file in shelf.open] == ["a", "d", "e"]


async def test_more_users_than_room_at_once_are_opened_once_each() -> None:
    shelf = Shelf(10)
    keys = [str(number) for number in range(300)]
    async with asyncio.timeout(20):
        assert await asyncio.gather(*(shelf.use(key) for key in keys * 3)) == keys * 3
    assert shelf.opened == Counter(keys)
    assert shelf.most_at_once <= 10


async def test_concurrent_first_callers_share_one_opening() -> None:
    shelf = Shelf(2)
    await asyncio.gather(*(shelf.use("a") for _ in range(30)))
    assert shelf.opened == {"a": 1}


async def test_an_idle_file_makes_room_before_one_at_work() -> None:
    shelf = Shelf(2)
    busy = asyncio.ensure_future(shelf.use("a", turns=1000))
    await settled()
    await shelf.use("b")
    await shelf.use("c")
    assert not busy.done()
    assert shelf.closed == ["b"]
    await busy


async def test_who_waits_for_room_gets_it_though_the_others_never_rest() -> None:
    shelf = Shelf(2)
    stop = asyncio.Event()

    async def never_rests(key: str) -> None:
        while not stop.is_set():
            await asyncio.gather(shelf.use(key), shelf.use(key, turns=5))

    restless = [asyncio.ensure_future(never_rests(key)) for key in "abab"]
    await settled()
    async with asyncio.timeout(10):
        assert await shelf.use("c") == "c"
    stop.set()
    await asyncio.gather(*restless)
    assert shelf.most_at_once <= 2


async def test_an_opening_that_fails_tells_all_who_wait_and_gives_its_room_back() -> None:
    shelf = Shelf(1)
    shelf.broken.add("a")
    told = await asyncio.gather(*(shelf.use("a") for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in told] == [ConnectionError] * 5
    assert await shelf.use("b") == "b"
    shelf.broken.clear()
    assert await shelf.use("a") == "a"


async def test_a_caller_who_leaves_while_the_file_opens_takes_nothing_with_him() -> None:
    shelf = Shelf(1)
    shelf.gate.clear()
    gone = asyncio.ensure_future(shelf.use("a"))
    stays = asyncio.ensure_future(shelf.use("a"))
    other = asyncio.ensure_future(shelf.use("b"))
    await settled()
    gone.cancel()
    shelf.gate.set()
    assert await stays == "a"
    assert await other == "b"
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_when_all_who_waited_for_an_opening_leave_its_room_is_free_for_others() -> None:
    shelf = Shelf(1)
    shelf.gate.clear()
    gone = asyncio.ensure_future(shelf.use("a"))
    await settled()
    other = asyncio.ensure_future(shelf.use("b"))
    await settled()
    gone.cancel()
    await settled()
    shelf.gate.set()
    async with asyncio.timeout(5):
        assert await other == "b"
    assert shelf.closed == ["a"]


async def test_a_file_that_will_not_close_gives_its_room_back() -> None:
    shelf = Shelf(1)
    await shelf.use("a")
    shelf.broken.add("a")
    assert await shelf.use("b") == "b"


async def test_closing_waits_for_work_that_had_begun() -> None:
    shelf = Shelf(5)
    working = asyncio.ensure_future(shelf.use("a", turns=50))
    await settled()
    await shelf.files.close("a")
    assert working.done()
    assert shelf.open == []


async def test_only_the_idle_are_closed_for_idleness() -> None:
    shelf = Shelf(5)
    await shelf.use("a")
    busy = asyncio.ensure_future(shelf.use("b", turns=200))
    await settled()
    assert await shelf.files.close_idle(3600) == 0
    assert await shelf.files.close_idle(0) == 1
    assert shelf.closed == ["a"]
    await busy


async def test_after_closing_all_nothing_is_open() -> None:
    shelf = Shelf(3)
    working = [asyncio.ensure_future(shelf.use(key)) for key in "abcdef"]
    await asyncio.gather(*working)
    await shelf.files.close_all()
    assert (shelf.open, shelf.files.count) == ([], 0)


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_of_use_closing_and_leaving_keeps_the_limit(seed: int) -> None:
    """Every call ends, none finds its file closed, and no more than so many are open at once."""
    chance = random.Random(seed)
    shelf = Shelf(chance.choice([1, 2, 5]))

    async def somebody() -> None:
        for _ in range(20):
            key = chance.choice("abcdefgh")
            act = chance.random()
            if act < 0.1:
                await shelf.files.close(key)
            elif act < 0.15:
                await shelf.files.close_idle(0)
            elif act < 0.3:
                leaving = asyncio.ensure_future(shelf.use(key, turns=chance.randrange(6)))
                await asyncio.sleep(0)
                leaving.cancel()
            else:
                await shelf.use(key, turns=chance.randrange(6))
            assert shelf.files.count <= shelf.files._most

    async with asyncio.timeout(30):
        await asyncio.gather(*(somebody() for _ in range(12)))
    await shelf.files.close_all()
    assert shelf.open == []
