"""What the numbers were measured on: without it they mean nothing."""

import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import apsw

_SYNCS = 40
_NO_DISK_MS = 0.02


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine; `sync_ms` is what it takes to make 4 KiB durable in the folder used."""

    system: str
    cores: int
    python: str
    sqlite: str
    sync_ms: float

    def sentences(self) -> list[str]:
        """For people."""
        said = [
            f"{self.system}, {self.cores} cores, Python {self.python}, SQLite {self.sqlite};"
            f" writing and syncing 4 KiB takes {self.sync_ms:.2f} ms here.",
            "Both servers: one process, uvloop, httptools, WAL, synchronous=FULL: what is"
            " acknowledged is synced.",
        ]
        if self.sync_ms < _NO_DISK_MS:
            said.append("That is too fast for a disk: name a folder on one with --folder.")
        return said

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "synchronous": "FULL", "journal_mode": "WAL"}


def machine_of(folder: Path) -> Machine:
    """This machine, with this folder's disk."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        sqlite=apsw.sqlite_lib_version(),
        sync_ms=median(_syncs(folder)) * 1000,
    )


def _syncs(folder: Path) -> list[float]:
    took: list[float] = []
    block = os.urandom(4096)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return took
