"""account, account delete, and import and export of a whole account."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from .._account import erase_device
from .._client import Client
from .._errors import KeyringError
from .._folders import export_folder
from . import _journal_commands as journal
from ._output import Output, when

INCOMPLETE = 7
CANCELLED = 1
WORD = "delete"


def account(client: Client, args: Namespace, output: Output) -> int:
    if args.action == "delete":
        return _delete(client, args, output)
    held = client.account()
    lines = [
        f"account    {held.user_id}",
        f"since      {when(held.created_at)}",
        f"devices    {held.devices}",
        f"storage    {held.used} of {held.limit} bytes",
    ]
    output.result(asdict(held), "\n".join(lines))
    return 0


def _delete(client: Client, args: Namespace, output: Output) -> int:
    output.note("The account goes for all its devices, with everything the server holds of it.")
    output.note("Then the journal and the keys on this device go too. Nothing brings them back.")
    _export_first(client, args, output)
    if _asked(f'Type "{WORD}" to go on: ') != WORD:
        output.note("nothing was deleted")
        return CANCELLED
    client.delete_account()
    client.close()
    erase_device(args.home)
    output.result({"deleted": True}, "the account is gone, here and on the server")
    return 0


def _export_first(client: Client, args: Namespace, output: Output) -> None:
    """What was not synced yet is exported as well."""
    folder = args.export
    if folder is None and sys.stdin.isatty():
        folder = _asked("Folder for the entries as Markdown, to keep (empty for none): ")
    if not folder:
        return
    report = export_folder(client, Path(folder))
    output.note(f"{report.written} written to {folder}, {report.unchanged} there already")


def _asked(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def export_command(client: Client, args: Namespace, output: Output) -> int:
    if args.account is None:
        return journal.export_command(client, args, output)
    with output.progress() as progress:
        summary = client.export_account(args.account, progress=progress)
    value = {"user_id": summary.user_id, "counts": summary.counts}
    items = summary.counts.get("item", 0)
    output.result(value, f"{items} items, sealed; to read them you need a copy of {args.home} too")
    return 0


def import_command(client: Client, args: Namespace, output: Output) -> int:
    if args.account is None:
        return journal.import_command(client, args, output)
    passphrase = "" if args.old_home is None else _old_passphrase(args)
    with output.progress() as progress:
        report = client.import_account(
            args.account, old_home=args.old_home, old_passphrase=passphrase, progress=progress
        )
    value = asdict(report)
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in value.items() if count)
    output.result(value, said or "the export holds no items")
    is_whole = not (report.unopenable or report.in_part or client.status().pending)
    return 0 if is_whole else INCOMPLETE


def _old_passphrase(args: Namespace) -> str:
    if args.old_passphrase_file is not None:
        try:
            return Path(args.old_passphrase_file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise KeyringError("the passphrase file cannot be read") from None
    if not Client.needs_passphrase(args.old_home):
        return ""
    if not sys.stdin.isatty():
        raise KeyringError("the old folder's passphrase is needed: --old-passphrase-file")
    return getpass.getpass("Passphrase of the old folder: ")
