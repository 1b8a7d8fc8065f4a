"""Private files that survive a power cut."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private_folder(path: Path) -> None:
    """`path` exists afterwards; if it is made here, it is open to its owner alone (0700).

    A folder that was there before keeps its mode: it may be shared, and the files in it guard
    themselves.
    """
    if path.is_dir():
        return
    make_private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, data: bytes, *, is_new: bool = False) -> None:
    """`path` holds all of `data` (0600), on disk, or what it held before.

    FileExistsError with `is_new`, if another process made it first.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600 from the start
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _link(name, path)
        else:
            os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    sync_folder(path.parent)


def _link(name: str, path: Path) -> None:
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: here two first starts at once may collide
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(name, path)
    else:
        os.unlink(name)


def sync_folder(path: Path) -> None:
    """The names in `path` are on disk, as far as the system can promise it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
