"""Hearing that the process is asked to stop, before the server waits for its open requests.

A server ends requests first and the application's lifespan after them. A request that waits for
news would hold that up to its full time, so whoever waits must be woken by the signal itself.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_stop_signal(wake: Callable[[], None]) -> Iterator[None]:
    """Within, `wake` runs on the event loop when the process is asked to stop; what the server has
    installed for the signal runs as before. Off the main thread there are no signals to hear."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    servers = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(wake)
        server = servers[signal.Signals(number)]
        if callable(server):
            server(number, frame)
        elif server is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number, server in servers.items():
            if signal.getsignal(number) is heard and server is not None:
                signal.signal(number, server)
