"""The real server, `python -m app`, as a process on a free port and an empty folder."""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

from demo.processes import bare_environment

PATIENCE_SECONDS = 30
_LOOK_AGAIN_SECONDS = 0.02
_ON_THIS_MACHINE = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerFailed(Exception):
    """The server did not come up; the message ends with what it printed."""


class Server:
    """Its files are in `data`, what it printed in `log`. Whoever starts it kills it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.port = _free_port()
        self.url = f"http://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """It answers when this returns. Raises ServerFailed."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "--port", str(self.port)],
                cwd=self.folder,  # not the project's: a `.env` there would configure it
                env=bare_environment(self.folder)
                | {"DATA_DIR": str(self.data), "RATE_LIMITS": "off"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                printed = self.log.read_text(errors="replace")[-2000:]
                raise ServerFailed(f"the server did not come up. It printed:\n{printed}")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to tidy up, as in a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)

    def _answers(self) -> bool:
        try:
            with _ON_THIS_MACHINE.open(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
