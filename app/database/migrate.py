"""Numbered schema steps, and which of them a database still needs."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

from app.database.port import Statement

Schema: TypeAlias = Literal["master", "user"]

READ_VERSION = Statement("SELECT COALESCE(MAX(version), 0) FROM schema_version")
HAS_VERSION = Statement("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'")


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered migration; it and the note that it ran are committed together."""

    version: int
    statements: tuple[Statement, ...]


@cache
def steps(schema: Schema) -> tuple[Step, ...]:
    """All steps of a schema, in order, from `migrations/<schema>/NNNN_name.sql`."""
    folder = files("app.database") / "migrations" / schema
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".sql"))
    return tuple(
        Step(int(name[:4]), _statements((folder / name).read_text("utf-8"), int(name[:4])))
        for name in names
    )


def latest(schema: Schema) -> int:
    """The version this code works with."""
    return steps(schema)[-1].version


def _statements(text: str, version: int) -> tuple[Statement, ...]:
    """The file's statements (each ends with `;` at a line's end) and the note that they ran."""
    ran = Statement(
        "INSERT INTO schema_version (version, applied_at) VALUES (?, unixepoch())", (version,)
    )
    parts = (part.strip() for part in text.replace(";\n", ";\0").split("\0"))
    return (*(Statement(part) for part in parts if part), ran)
