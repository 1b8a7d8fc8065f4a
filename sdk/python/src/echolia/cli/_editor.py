"""Text from the command line, from a pipe, or from the user's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .._errors import EcholiaError
from .._markdown import decode_text
from ._secrets import VARIABLE as SECRET


class NothingWritten(EcholiaError):
    """The editor was left without a text."""


@contextmanager
def text_from(argument: str | None, old: str = "") -> Iterator[str]:
    """`argument` itself, stdin for `-` or in a pipe, else what $EDITOR leaves behind.

    The bytes of stdin are the text: no line end is changed or taken away. What was written in
    the editor is not thrown away before the block has stored it.
    """
    if argument == "-" or (argument is None and not sys.stdin.isatty()):
        try:
            yield _checked(sys.stdin.buffer.read().decode("utf-8"))
        except UnicodeDecodeError:
            raise NothingWritten("the text is not UTF-8") from None
    elif argument is not None:
        yield _checked(argument)
    else:
        with _edited(old) as text:
            yield text


def _checked(text: str) -> str:
    if not text.strip():
        raise NothingWritten("nothing written, nothing kept")
    return text


@contextmanager
def _edited(old: str) -> Iterator[str]:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    # In memory where the system has such a folder: an editor needs a file, a disk does not.
    memory = "/dev/shm"  # noqa: S108 - a fresh private folder is made inside
    where = memory if os.access(memory, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="echolia-", dir=where)
    file = Path(folder, "entry.md")
    file.write_bytes(old.encode())
    # The editor and whatever it starts have no use for the passphrase.
    environment = {name: value for name, value in os.environ.items() if name != SECRET}
    result = subprocess.run(  # noqa: S603 - the user's own editor
        [*shlex.split(command), str(file)], check=False, env=environment
    )
    if result.returncode != 0:
        shutil.rmtree(folder)
        raise NothingWritten("the editor gave up, nothing kept")
    try:
        yield _checked(decode_text(file.read_bytes()))
    except NothingWritten:
        shutil.rmtree(folder)
        raise
    except BaseException:
        print(f"echolia: not stored; what was written is in {file}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
