"""Text from the command line, from a pipe, or from the user's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from .._errors import EcholiaError


class NothingWritten(EcholiaError):
    """The editor was left without a text."""


def text_from(argument: str | None, old: str = "") -> str:
    """`argument` itself, stdin for `-` or in a pipe, else what $EDITOR leaves behind.

    The bytes of stdin are the text: no line end is changed or taken away.
    """
    if argument == "-" or (argument is None and not sys.stdin.isatty()):
        try:
            text = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError:
            raise NothingWritten("the text is not UTF-8") from None
    elif argument is not None:
        text = argument
    else:
        text = _edited(old)
    if not text.strip():
        raise NothingWritten("nothing written, nothing kept")
    return text


def _edited(old: str) -> str:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    # In memory where the system has such a folder: an editor needs a file, a disk does not.
    memory = "/dev/shm"  # noqa: S108 - a fresh private folder is made inside
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="echolia-", dir=where) as folder:
        file = Path(folder, "entry.md")
        file.write_bytes(old.encode())
        result = subprocess.run([*shlex.split(command), str(file)], check=False)  # noqa: S603
        if result.returncode != 0:
            raise NothingWritten("the editor gave up, nothing kept")
        return file.read_bytes().decode("utf-8", "replace")
