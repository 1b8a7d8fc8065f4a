"""write, list, show, edit, delete, import, export: none of them needs the network."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from .._client import Client
from .._folders import export_folder, import_folder
from .._journal import Entry
from ._editor import text_from
from ._output import Output, when

SHORT = 8


def write(client: Client, args: Namespace, output: Output) -> int:
    with text_from(args.text) as text:
        entry = client.entries.add(text, title=args.title)
    output.result(as_json(entry), f"written {entry.id[:SHORT]}")
    return 0


def list_entries(client: Client, args: Namespace, output: Output) -> int:
    entries = client.entries.list()
    shown = entries if args.limit is None else entries[: args.limit]
    if output.as_json:
        output.result([as_json(entry) for entry in shown], "")
        return 0
    rows = [
        [entry.id[:SHORT], entry.day.isoformat(), entry.title + _marks(entry)] for entry in shown
    ]
    output.table(["id", "day", "title"], rows)
    return 0


def show(client: Client, args: Namespace, output: Output) -> int:
    entry = client.entries.get(args.id)
    if not output.for_scripts:
        output.note(f"{entry.id}  {when(entry.created_at)}{_marks(entry)}")
    text = entry.text if output.for_scripts else entry.text.removesuffix("\n")
    output.result(as_json(entry), text)
    return 0


def edit(client: Client, args: Namespace, output: Output) -> int:
    entry = client.entries.get(args.id)
    with text_from(args.text, entry.text) as text:
        if text == entry.text and not entry.in_conflict:
            output.result(as_json(entry), "unchanged")
            return 0
        entry = client.entries.edit(entry, text)
    output.result(as_json(entry), f"edited {entry.id[:SHORT]}")
    return 0


def delete(client: Client, args: Namespace, output: Output) -> int:
    entry = client.entries.get(args.id)
    client.entries.delete(entry)
    output.result({"id": entry.id, "deleted": True}, f"deleted {entry.id[:SHORT]}")
    return 0


def import_command(client: Client, args: Namespace, output: Output) -> int:
    with output.progress() as progress:
        report = import_folder(client, Path(args.folder), progress)
    for path, reason in report.skipped:
        output.note(f"skipped {path}: {reason}")
    value = {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "kept_both": report.kept_both,
        "deleted_before": report.deleted_before,
        "skipped": len(report.skipped),
    }
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in value.items() if count)
    output.result(value, said or "no Markdown files there")
    return 0


def export_command(client: Client, args: Namespace, output: Output) -> int:
    with output.progress() as progress:
        report = export_folder(client, Path(args.folder), progress)
    value = {"written": report.written, "unchanged": report.unchanged}
    output.result(value, f"{report.written} written, {report.unchanged} unchanged")
    return 0


def as_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "text": entry.text,
        "day": entry.day.isoformat(),
        "created_at": entry.created_at,
        "edited_at": entry.edited_at,
        "in_conflict": entry.in_conflict,
        "outlived_delete": entry.outlived_delete,
    }


def _marks(entry: Entry) -> str:
    marks = "  [written on several devices]" if entry.in_conflict else ""
    return marks + ("  [deleted elsewhere, edited here]" if entry.outlived_delete else "")
