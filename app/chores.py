"""Work that comes round by itself while the server runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from app import events


@contextlib.asynccontextmanager
async def repeated(
    chore: Callable[[], Awaitable[None]], every_seconds: float
) -> AsyncIterator[None]:
    """`chore` is done now and then every so often, until this ends. One that fails is logged and
    comes round again."""
    task = asyncio.create_task(_repeat(chore, every_seconds))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _repeat(chore: Callable[[], Awaitable[None]], every_seconds: float) -> None:
    while True:
        try:
            await chore()
        except Exception as error:
            events.chore_failed(error=type(error).__name__)
        await asyncio.sleep(every_seconds)
