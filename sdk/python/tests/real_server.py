"""The server of this repository as a process, for tests that must not believe a fake."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[3]


def is_here() -> bool:
    return (ROOT / "app" / "main.py").exists()


@contextmanager
def serving(data: Path, **settings: str) -> Iterator[str]:
    """The origin of a server that is up; it ends with the block. `data` may be used again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    origin = f"http://localhost:{port}"
    environment = {
        **os.environ,
        "DATA_DIR": str(data),
        "PUBLIC_ORIGIN": origin,
        "RATE_LIMITS": "off",
        **settings,
    }
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
    with (data.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_up(origin, process)
        yield origin
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_up(origin: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(f"{origin}/health", timeout=1).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")
