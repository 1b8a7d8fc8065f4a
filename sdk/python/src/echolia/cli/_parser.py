"""The command line as data."""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from .._client import DEFAULT_SERVER
from .._version import __version__

_EPILOG = """\
exit status:
  0 done                       5 the server refused
  1 something else is wrong    6 no such entry or device, or not a unique id
  2 wrong usage                7 synced, but something was left behind
  3 no device here yet         8 pairing failed
  4 offline                    9 wrong passphrase, or none given
                              10 recovery failed, or has to wait

environment: ECHOLIA_HOME, ECHOLIA_PASSPHRASE, VISUAL, EDITOR
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="echolia",
        description="A private journal that works offline and syncs as ciphertext.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"echolia {__version__}")
    _add_common(parser, top=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str) -> ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        _add_common(sub, top=False)
        return sub

    new = command("init", "make a new account with this device as its first")
    new.add_argument("--server", default=DEFAULT_SERVER, metavar="URL")
    new.add_argument("--name", help="name of this device (sealed; a random one by default)")
    _add_key(new)

    pair = command("pair", "bring another device into the account, or join with --join")
    pair.add_argument("--join", metavar="LINK", help="join by this link; - reads it from stdin")
    pair.add_argument("--name", help="name of this device when joining")
    _add_key(pair)

    write = command("write", "write an entry")
    write.add_argument("text", nargs="?", metavar="TEXT", help="- for stdin; default: $EDITOR")
    write.add_argument("--title")

    listing = command("list", "list entries, newest first")
    listing.add_argument("-n", "--limit", type=_count, metavar="N")

    command("show", "show an entry").add_argument("id", metavar="ID")
    edit = command("edit", "edit an entry")
    edit.add_argument("id", metavar="ID")
    edit.add_argument("text", nargs="?", metavar="TEXT", help="- for stdin; default: $EDITOR")
    command("delete", "delete an entry").add_argument("id", metavar="ID")

    sync = command("sync", "send and fetch what is new")
    sync.add_argument("--confirm-deletes", type=_count, metavar="N")
    sync.add_argument("--verify", action="store_true", help="compare both sides as a whole")

    reading = command("import", "read a folder of Markdown, or an account export; safe to repeat")
    _add_source(reading)
    reading.add_argument(
        "--old-home", metavar="DIR", help="folder of a device of the account that was exported"
    )
    reading.add_argument("--old-passphrase-file", metavar="FILE", help="of that folder's keys")
    writing = command("export", "write all entries as Markdown, or all that the server holds")
    _add_source(writing)

    account = command("account", "show what the server holds of the account, or delete it")
    account.add_argument("action", nargs="?", choices=["delete"])
    account.add_argument("--export", metavar="DIR", help="write the entries as Markdown first")

    command("status", "show where this device stands, without the network")
    command("devices", "list the account's devices")
    command("revoke", "lock a device out").add_argument("id", metavar="ID")

    phrase = command("recovery", "come back by words on paper when every device is lost")
    phrase.add_argument(
        "action",
        choices=("create", "use", "remove", "cancel"),
        help="make new words; come in by them; let none open the account; stop who waits",
    )
    phrase.add_argument("--words", type=int, choices=(12, 24), default=24, help="of create")
    phrase.add_argument(
        "--delay",
        type=_hours,
        default=0,
        metavar="HOURS",
        help="of create: how long other devices may object (at most 168)",
    )
    phrase.add_argument("--server", default=DEFAULT_SERVER, metavar="URL", help="of use")
    phrase.add_argument("--name", help="of use: name of this device")
    _add_key(phrase)
    return parser


def _add_key(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--key", choices=("rsa", "p256"), default="rsa", help="kind of a new device's keys"
    )


def _add_source(command: ArgumentParser) -> None:
    either = command.add_mutually_exclusive_group(required=True)
    either.add_argument("folder", nargs="?", metavar="DIR")
    either.add_argument("--account", metavar="FILE", help="the whole account, sealed")


def _add_common(parser: ArgumentParser, *, top: bool) -> None:
    """The same options before and after the command; the later one counts."""

    def default(value: str | bool | None) -> Any:
        return value if top else SUPPRESS

    home = os.environ.get("ECHOLIA_HOME") or "~/.echolia"
    parser.add_argument("--home", metavar="DIR", default=default(home), help="default: ~/.echolia")
    parser.add_argument("--passphrase-file", metavar="FILE", default=default(None))
    parser.add_argument("--json", action="store_true", default=default(False), help="JSON results")
    parser.add_argument("--plain", action="store_true", default=default(False), help="bare lines")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("negative")
    return number


def _hours(text: str) -> int:
    number = _count(text)
    if number > 168:
        raise ValueError("more than a week")
    return number
