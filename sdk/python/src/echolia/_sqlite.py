"""The connection of the local store: what SQLite raises, in the library's words."""

from __future__ import annotations

import sqlite3
from typing import Any

from ._errors import StoreError


class Connection(sqlite3.Connection):
    """Speaks of a full disk or a lock held for long as a StoreError."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*arguments)
        except sqlite3.Error as error:
            raise _in_our_words(error) from error

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        try:
            return super().executemany(*arguments)
        except sqlite3.Error as error:
            raise _in_our_words(error) from error


def _in_our_words(error: sqlite3.Error) -> StoreError:
    return StoreError(f"the local store does not answer ({error})")
