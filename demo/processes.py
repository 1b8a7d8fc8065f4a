"""Processes of the demo: each starts in a bare environment and ends with the demo."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 90
_FROM_OUTSIDE = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")


def bare_environment(home: Path) -> dict[str, str]:
    """Nothing of the caller's but where programs are. What a process leaves in its home or among
    temporary files lies below `home`."""
    scratch = home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in _FROM_OUTSIDE if name in os.environ}
    ours = {"HOME": str(home), "TMPDIR": str(scratch), "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)}
    return kept | ours


@contextmanager
def running(
    module: str, *arguments: str, environment: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """A Python module as a process, its streams as pipes. It is killed when the block ends, or when
    patience does."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,  # not the project's: a `.env` there would configure it
        env=environment,
        encoding="utf-8",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    watchdog = Timer(PATIENCE_SECONDS, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()
