"""A device's store that dies at any statement, and tells what it has come to hold."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from echolia._sqlite import Connection
from echolia._store import Store
from echolia._versions import Version


class Died(Exception):
    """The device's process is gone."""


class MortalConnection(Connection):
    """Runs so many more statements, and then none but what a dead process's journal amounts to."""

    left: int | None = None

    def execute(self, sql: str, *values: Any) -> Any:
        self._live(sql)
        return super().execute(sql, *values)

    def executemany(self, sql: str, *values: Any) -> Any:
        self._live(sql)
        return super().executemany(sql, *values)

    def _live(self, sql: str) -> None:
        if self.left is None or sql == "ROLLBACK":
            return
        if self.left <= 0:
            raise Died
        self.left -= 1


class WatchedStore(Store):
    """Tells `on_kept` of every version that it holds, once that is on disk."""

    def __init__(self, path: Path, on_kept: Callable[[Version], None]) -> None:
        self._on_kept = on_kept
        self._kept: list[Version] = []
        super().__init__(path)
        # Dying is an exception here, and its rollback needs no file.
        self._db.executescript("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;")

    def live_for(self, statements: int | None) -> None:
        connection: Any = self._db
        connection.left = statements

    def keep(self, version: Version, *, held: bool) -> None:
        super().keep(version, held=held)
        self._kept.append(version)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        is_outermost = self._depth == 0
        try:
            with super().transaction():
                yield
        except BaseException:
            if is_outermost:
                self._kept.clear()
            raise
        if is_outermost:
            kept, self._kept = self._kept, []
            for version in kept:
                self._on_kept(version)
