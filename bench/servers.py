"""Both servers as processes of their own: started on an empty folder, measured, ended."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from bench.wire import Connection, WireError, request

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 30
_LOOK_AGAIN_SECONDS = 0.002
_HEALTH = request("GET", "/health", {})

Name: TypeAlias = Literal["echolia", "floor"]


class ServerFailed(Exception):
    """A server did not come up; the message ends with what it printed."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in MiB: now, and at its highest."""

    now: float
    peak: float


class Server:
    """A running server; `start_seconds` went by from exec to its first healthy answer."""

    def __init__(self, name: Name, folder: Path) -> None:
        self.name = name
        self.port = _free_port()
        self._folder = folder
        self._log = folder / "server.log"

    def __enter__(self) -> Self:
        began = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments()],
                cwd=self._folder,  # not the project's: a `.env` there would configure it
                env=_bare_environment()
                | {"DATA_DIR": str(self._folder / "data"), "RATE_LIMITS": "off"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await_health(began + PATIENCE_SECONDS)
        except BaseException:
            self._end()
            raise
        self.start_seconds = time.perf_counter() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def memory(self) -> Memory | None:
        """None where the kernel does not tell."""
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return None
        sizes = dict(line.split(":", 1) for line in lines)
        return Memory(_mebibytes(sizes["VmRSS"]), _mebibytes(sizes["VmHWM"]))

    def _arguments(self) -> list[str]:
        if self.name == "echolia":
            return ["-m", "app", "--port", str(self.port)]
        folder = str(self._folder / "data")
        return ["-m", "bench.floor", "--folder", folder, "--port", str(self.port)]

    def _await_health(self, deadline: float) -> None:
        while not self._is_healthy():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                printed = self._log.read_text(errors="replace")[-2000:]
                raise ServerFailed(f"{self.name} did not come up. It printed: {printed}")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _is_healthy(self) -> bool:
        try:
            connection = Connection(self.port)
        except OSError:
            return False
        try:
            return connection.exchange(_HEALTH).status == 200
        except (OSError, WireError):
            return False
        finally:
            connection.close()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _bare_environment() -> dict[str, str]:
    """No setting of the caller's reaches a server; the project's code does."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _mebibytes(text: str) -> float:
    return int(text.split()[0]) / 1024
