"""recovery create, use, remove, cancel. The words go to the screen and nowhere else."""

from __future__ import annotations

import getpass
import secrets
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from .._client import Client
from .._errors import PhraseInvalid, RecoveryDelayed, RecoveryError
from .._phrase import entropy_of, grid, new_phrase, whole_word, words_of
from ._account_commands import INCOMPLETE, warn_of_plain_http
from ._output import Output, printable, when
from ._secrets import passphrase_to_create

_ASKED_BACK = 2
_TRIES = 3
# The other screen of a terminal leaves nothing to scroll back to.
_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[2J\x1b[H", "\x1b[2J\x1b[?1049l"
_ADVICE = """\
Write these words down on paper, in this order, and keep them where you would find them without
any of your devices. Whoever has them has the journal. They are shown only this once."""


def run(client: Client, args: Namespace, output: Output) -> int:
    actions: Mapping[str, Callable[[Client, Namespace, Output], int]] = {
        "create": create,
        "remove": remove,
        "cancel": cancel,
    }
    return actions[args.action](client, args, output)


def create(client: Client, args: Namespace, output: Output) -> int:
    """The words are in force only once two of them came back from paper."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RecoveryError("the words are shown on a terminal only: run this in one")
    words = new_phrase(args.words).split(" ")
    with _other_screen():
        print("\n".join(["", *(f"  {line}" for line in grid(words)), "", _ADVICE, ""]), flush=True)
        getpass.getpass("Press Enter when they are on paper. ")
    _ask_back(words, output)
    client.set_recovery(" ".join(words), delay_seconds=args.delay * 3600)
    output.result({"recovery": "set"}, "these words now open the journal; any earlier ones do not")
    return 0


@contextmanager
def _other_screen() -> Iterator[None]:
    print(_OTHER_SCREEN, end="", flush=True)
    try:
        yield
    finally:
        print(_OWN_SCREEN, end="", flush=True)


def _ask_back(words: Sequence[str], output: Output) -> None:
    asked = sorted(secrets.SystemRandom().sample(range(1, len(words) + 1), _ASKED_BACK))
    for position in asked:
        for _ in range(_TRIES):
            if _is_word(getpass.getpass(f"Word {position}, from the paper: "), words, position):
                break
            output.note(f"that is not word {position}")
        else:
            raise RecoveryError("the words were not put in force; begin again: recovery create")


def _is_word(typed: str, words: Sequence[str], position: int) -> bool:
    try:
        return whole_word(typed.strip().lower(), position) == words[position - 1]
    except PhraseInvalid:
        return False


def use(args: Namespace, output: Output) -> int:
    phrase = _phrase(output)
    passphrase = passphrase_to_create(args, output)
    warn_of_plain_http(args.server, output)
    try:
        recovered = Client.recover(
            args.home,
            phrase,
            server=args.server,
            passphrase=passphrase,
            device_name=args.name,
            key=args.key,
        )
    except RecoveryDelayed as delayed:
        output.note("the account's other devices have been told, and may still object")
        raise RecoveryError(
            f"run the same command again after {when(delayed.available_at)}"
        ) from None
    with recovered as client, output.progress() as progress:
        report = client.sync(progress=progress)
        status = client.status()
    value = {"recovered": True, "device_id": status.device_id, "items": status.items}
    output.result(value, f'recovered: this device is "{printable(status.device_name)}"')
    return 0 if report.complete else INCOMPLETE


def _phrase(output: Output) -> str:
    """A whole phrase, from a pipe, or typed without being shown until it is one."""
    if not sys.stdin.isatty():
        return words_of(entropy_of(sys.stdin.readline()))
    while True:
        typed = getpass.getpass("The 12 or 24 words (four letters of each will do): ")
        try:
            return words_of(entropy_of(typed))
        except PhraseInvalid as error:
            output.note(str(error))


def remove(client: Client, args: Namespace, output: Output) -> int:
    client.remove_recovery()
    output.result({"recovery": "removed"}, "no words open this journal any more")
    return 0


def cancel(client: Client, args: Namespace, output: Output) -> int:
    client.cancel_recovery()
    output.result(
        {"recovery": "cancelled"},
        "whoever waited has to begin anew; to shut them out: recovery create, or recovery remove",
    )
    return 0
