"""The terminal client: `echolia`, or `python -m echolia`."""

from __future__ import annotations

import os
import sqlite3
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence

from .. import _errors as errors
from .._client import Client
from .._home import Options
from . import _account_commands as account
from . import _journal_commands as journal
from . import _recovery_commands as recovery
from . import _whole_account as whole
from ._output import Output, busy, duration
from ._parser import build_parser
from ._secrets import passphrase_to_open

Command = Callable[[Client, Namespace, Output], int]

_COMMANDS: Mapping[str, Command] = {
    "pair": account.invite,
    "write": journal.write,
    "list": journal.list_entries,
    "show": journal.show,
    "edit": journal.edit,
    "delete": journal.delete,
    "sync": account.sync,
    "import": whole.import_command,
    "export": whole.export_command,
    "account": whole.account,
    "status": account.status,
    "devices": account.devices,
    "revoke": account.revoke,
    "recovery": recovery.run,
}
# The first that fits counts.
_EXIT_CODES: Sequence[tuple[type[Exception], int]] = (
    (errors.NotSetUp, 3),
    (errors.AlreadySetUp, 1),
    (errors.KeyringError, 9),
    (errors.Offline, 4),
    (errors.ServerError, 5),
    (errors.ItemNotFound, 6),
    (errors.PairingError, 8),
    (errors.RecoveryError, 10),
    (errors.EcholiaError, 1),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; errors are one line on stderr."""
    args = build_parser().parse_args(arguments)
    output = Output(as_json=args.json, plain=args.plain)
    try:
        return _run(args, output)
    except errors.RateLimited as error:
        output.note(f"echolia: {busy(error.code)}: try again in {duration(error.retry_after)}")
        return 5
    except errors.EcholiaError as error:
        output.note(f"echolia: {error}")
        return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
    except EOFError as error:
        output.note(f"echolia: {error}")
        return 8
    except BrokenPipeError:
        # Whoever read our output has gone; say nothing at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, sqlite3.Error) as error:
        output.note(f"echolia: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(args: Namespace, output: Output) -> int:
    if args.command == "init":
        return account.init(args, output)
    if args.command == "pair" and args.join is not None:
        return account.join(args, output)
    if args.command == "recovery" and args.action == "use":
        return recovery.use(args, output)
    options = Options(on_wait=output.waiting)
    with Client.open(args.home, passphrase_to_open(args), options=options) as client:
        return _COMMANDS[args.command](client, args, output)
