"""Where the passphrase comes from; never from the command line, which others can read."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import Namespace
from pathlib import Path

from .._client import Client
from .._errors import KeyringError
from ._output import Output

VARIABLE = "ECHOLIA_PASSPHRASE"
_WARNING = "warning: no passphrase: whoever can read the files of this device can read the journal"


def passphrase_to_open(args: Namespace) -> str:
    """Given by file or environment, else asked for if there is somebody to ask."""
    given = _given(args)
    if given is not None:
        return given
    if not Client.needs_passphrase(args.home):
        return ""
    if not sys.stdin.isatty():
        raise KeyringError("a passphrase is needed: set ECHOLIA_PASSPHRASE or --passphrase-file")
    return getpass.getpass("Passphrase: ")


def passphrase_to_create(args: Namespace, output: Output) -> str:
    """Asked for twice on a terminal; empty is allowed, with a plain warning."""
    chosen = _given(args)
    if chosen is None and Client.needs_passphrase(args.home):
        return passphrase_to_open(args)
    if chosen is None and sys.stdin.isatty():
        chosen = getpass.getpass("Choose a passphrase (empty for none): ")
        if chosen and getpass.getpass("Once more: ") != chosen:
            raise KeyringError("the two passphrases differ")
    if not chosen:
        output.note(_WARNING)
    return chosen or ""


def _given(args: Namespace) -> str | None:
    if args.passphrase_file is not None:
        try:
            return Path(args.passphrase_file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise KeyringError("the passphrase file cannot be read") from None
    return os.environ.get(VARIABLE)
