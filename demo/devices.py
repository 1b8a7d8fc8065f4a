"""A person's devices: each command a process of its own, as typed into a terminal."""

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from demo.processes import bare_environment, running

OFFLINE = 4
"""Exit status of the terminal client without a server."""

First = TypeVar("First")
Second = TypeVar("Second")


class CommandFailed(Exception):
    """A client's command ended badly; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has run."""

    status: int
    said: str
    complained: str


@dataclass(frozen=True, slots=True)
class Device:
    """The terminal client on one device: its home folder, locked with a passphrase."""

    name: str
    home: Path
    passphrase: str

    def run(self, *arguments: str, text: str = "") -> Any:
        """The command's result, read from JSON. Raises CommandFailed unless it ended well."""
        ended = self.attempt(*arguments, text=text)
        if ended.status != 0:
            raise CommandFailed(_complaint(arguments[0], ended))
        return json.loads(ended.said)

    def attempt(self, *arguments: str, text: str = "") -> Ended:
        """Run the command, `text` on its standard input, whatever comes of it."""
        with self.started(*arguments) as process:
            said, complained = process.communicate(text)
        return Ended(process.returncode, said, complained)

    def started(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """The command as a running process, to be talked to line by line."""
        folder = self.home.parent
        folder.mkdir(parents=True, exist_ok=True)
        secret = {"ECHOLIA_PASSPHRASE": self.passphrase}
        return running(
            "echolia",
            *("--home", str(self.home), "--json"),
            *arguments,
            environment=bare_environment(folder) | secret,
            folder=folder,
        )


@dataclass(frozen=True, slots=True)
class Paired:
    """What went from one screen to the other by way of the person."""

    link: str
    code: str


def pair(existing: Device, new: Device) -> Paired:
    """`new` belongs to the account of `existing`. Two processes, and a person between them."""
    to_join = ("pair", "--join", "-", "--name", new.name)
    with existing.started("pair") as laptop, new.started(*to_join) as phone:
        link = _read_line(laptop, "link")
        _type(phone, link)
        code = _read_line(phone, "code")
        _type(laptop, code)
        for process in (laptop, phone):
            said, complained = process.communicate()
            if process.returncode != 0:
                raise CommandFailed(_complaint("pair", Ended(process.returncode, said, complained)))
    return Paired(link, code)


def at_once(one: Callable[[], First], other: Callable[[], Second]) -> tuple[First, Second]:
    """Both at the same time."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(one), pool.submit(other)
        return first.result(), second.result()


def _read_line(process: subprocess.Popen[str], what: str) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        said, complained = process.communicate()
        ended = Ended(process.returncode, said, f"no {what} was shown\n{complained}")
        raise CommandFailed(_complaint("pair", ended))
    return line


def _type(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _complaint(command: str, ended: Ended) -> str:
    last = ended.complained.strip().splitlines()[-8:]
    return "\n".join([f"`echolia {command}` ended with status {ended.status}:", *last])
