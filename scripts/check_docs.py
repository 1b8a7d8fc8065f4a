"""Docs against code: one sentence per difference; tables can be written anew from the code.

Links and the changelog are checked, never written.
"""

import argparse
import importlib
import pkgutil
import re
import sys
import tomllib
from pathlib import Path

from scripts.doc_links import broken_links
from scripts.doc_tables import (
    Table,
    differences,
    errors_of,
    events_of,
    example_of,
    rows_in,
    settings_of,
    variable_of,
    variables_in,
    with_table,
)


def changelog_faults(root: Path) -> list[str]:
    """Return a sentence if the changelog has no heading for the version in `pyproject.toml`."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    heading = rf"^## +\[?{re.escape(version)}\]?(\s|$)"
    if re.search(heading, _read(root / "CHANGELOG.md"), re.MULTILINE):
        return []
    return [f"CHANGELOG.md has no entry for version {version}."]


def tables() -> tuple[list[Table], list[str]]:
    """Return the three tables of this project and what is wrong with the code they come from."""
    _import_everything()
    config, errors, events = (
        importlib.import_module(f"app.{each}") for each in ("config", "errors", "events")
    )
    found = [
        settings_of(config.Settings),
        errors_of(errors.EcholiaError, "app"),
        events_of(events),
    ]
    return [table for table, _ in found], [fault for _, faults in found for fault in faults]


def _import_everything() -> None:
    """Make every class of the app known, wherever an error may hide; what starts it stays out."""
    for module in pkgutil.walk_packages(importlib.import_module("app").__path__, "app."):
        if module.name not in ("app.main", "app.__main__"):
            importlib.import_module(module.name)


def check(root: Path) -> list[str]:
    """Return a sentence for each difference between the docs below `root` and the code."""
    found, faults = tables()
    for table in found:
        faults += differences(table.page, table.lines(), rows_in(_read(root / table.page)))
    example = {name: variable_of(found[0], name) for name in found[0].rows}
    faults += differences(".env.example", example, variables_in(_read(root / ".env.example")))
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "spec").rglob("*.md")]
    faults += broken_links(root, sorted(page for page in pages if page.exists()))
    return faults + changelog_faults(root)


def write(root: Path) -> None:
    """Put the tables into their pages and write `.env.example`; all other words stay."""
    found, _ = tables()
    for table in found:
        page = root / table.page
        page.parent.mkdir(exist_ok=True)
        page.write_text(with_table(_read(page), table))
    (root / ".env.example").write_text(example_of(found[0]))


def main() -> int:
    """Check, after writing if asked to; 1 if anything differs."""
    parser = argparse.ArgumentParser(description="Check the docs against the code.")
    parser.add_argument("--write", action="store_true", help="first write the tables anew")
    root = Path.cwd()
    if parser.parse_args().write:
        write(root)
    faults = check(root)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print("Tables can be written anew with `make docs`.", file=sys.stderr)
    return 1 if faults else 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
