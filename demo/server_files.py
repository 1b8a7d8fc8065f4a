"""What a thief of the server's files would see."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.sweep import quoted, table_names

ENVELOPE_BYTES = 89
"""Of every sealed version: header, salt, commitment and tag around the padded text."""
PADDING_FLOOR = 256


@dataclass(frozen=True, slots=True)
class Table:
    """A table and how many rows it has."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Held:
    """One version as it is stored; `size` in bytes."""

    item_id: str
    vector_clock: str
    is_deleted: bool
    size: int
    data: bytes


def user_databases(data: Path) -> list[Path]:
    """The accounts' own database files."""
    return sorted((data / "users").glob("*/user_*.db"))


def tables(database: Path) -> list[Table]:
    """Every table of a database that may be in use."""
    with _reading(database) as connection:
        return [Table(name, _count(connection, name)) for name in table_names(connection)]


def held_entries(database: Path) -> list[Held]:
    """Every version of every entry of one account."""
    columns = "id, vector_clock, is_deleted, size, encrypted_data"
    with _reading(database) as connection:
        rows = connection.execute(f"SELECT {columns} FROM synced_entries ORDER BY seq, id")
        return [Held(row[0], row[1], bool(row[2]), row[3], bytes(row[4])) for row in rows]


def is_padded(size: int) -> bool:
    """Whether a version is of one of the few sizes that padding leaves (Padmé: PURBs, PETS 2019,
    section 4): only the highest bits of a padded length may be set."""
    padded = size - ENVELOPE_BYTES
    if padded < PADDING_FLOOR:
        return False
    exponent = padded.bit_length() - 1
    free_bits = exponent - exponent.bit_length()
    return padded % (1 << free_bits) == 0


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def _count(connection: sqlite3.Connection, table: str) -> int:
    (rows,) = connection.execute(f"SELECT COUNT(*) FROM {quoted(table)}").fetchone()
    return int(rows)
