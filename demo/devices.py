"""A person's devices: each command a process of its own, as typed into a terminal."""

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

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
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self._running(*arguments, **pipes) as process:
            said, complained = process.communicate(text)
        return Ended(process.returncode, said, complained)

    def entry(self, entry_id: str) -> Any:
        return self.run("show", entry_id)

    def append(self, entry_id: str, words: str) -> None:
        """The entry ends with these words."""
        self.run("edit", entry_id, "-", text=f"{self.entry(entry_id)['text'].rstrip()}\n\n{words}\n")

    def _running(self, *arguments: str, **streams: Any) -> Any:
        self.home.parent.mkdir(parents=True, exist_ok=True)
        return running(
            "echolia",
            "--home",
            str(self.home),
            "--json",
            *arguments,
            environment=bare_environment(self.home.parent) | {"ECHOLIA_PASSPHRASE": self.passphrase},
            folder=self.home.parent,
            **streams,
        )

    def pairing(self, *arguments: str) -> Any:
        """One side of a pairing as a running process, to be talked to line by line."""
        complaints = (self.home.parent / "pairing.txt").open("w+", encoding="utf-8")
        return self._running(
            "pair", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
        )


@dataclass(frozen=True, slots=True)
class Paired:
    """What went from one screen to the other by way of the person."""

    link: str
    code: str


def pair(existing: Device, new: Device) -> Paired:
    """`new` belongs to the account of `existing`. Two processes, and a person between them."""
    with existing.pairing() as laptop, new.pairing("--join", "-", "--name", new.name) as phone:
        link = _read_line(laptop.stdout, "link")
        _type(phone.stdin, link)
        code = _read_line(phone.stdout, "code")
        _type(laptop.stdin, code)
        for side, process in ((existing, laptop), (new, phone)):
            process.stdout.read()
            if process.wait() != 0:
                raise CommandFailed(f"pairing ended with status {process.returncode} on {side.name}")
    return Paired(link, code)


def at_once(one: Callable[[], First], other: Callable[[], Second]) -> tuple[First, Second]:
    """Both at the same time."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(one), pool.submit(other)
        return first.result(), second.result()


def _read_line(stream: IO[str], what: str) -> str:
    line = stream.readline().strip()
    if not line:
        raise CommandFailed(f"pairing ended before there was a {what}")
    return line


def _type(stream: IO[str], line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def _complaint(command: str, ended: Ended) -> str:
    last = ended.complained.strip().splitlines()[-8:]
    return "\n".join([f"`echolia {command}` ended with status {ended.status}:", *last])
