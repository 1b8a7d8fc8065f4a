"""The promised ways to start the server, as a user would type them."""

import os
import subprocess
import sys
from pathlib import Path

from app.config import Settings
from tests.kit.server import ROOT

COMMANDS = {
    "module": [sys.executable, "-m", "app", "--port"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "app.main:app", "--port"],
}


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """The machine's, without settings of ours but these; data goes under the folder."""
    ours = {name.upper() for name in Settings.model_fields}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return clean | {"DATA_DIR": str(folder / "data")} | changes


def start(
    command: list[str], port: int, folder: Path, *, stdout: int | None = None, **changes: str
) -> subprocess.Popen[bytes]:
    """The server; what it prints goes to `out` and `err` in the folder unless told otherwise."""
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return subprocess.Popen(
            [*command, str(port)],
            cwd=ROOT,
            env=environment(folder, **changes),
            stdout=out if stdout is None else stdout,
            stderr=err,
        )


def run(
    command: list[str], port: int, folder: Path, **changes: str
) -> subprocess.CompletedProcess[str]:
    """The server, when it is not expected to stay."""
    return subprocess.run(
        [*command, str(port)],
        cwd=ROOT,
        env=environment(folder, **changes),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
