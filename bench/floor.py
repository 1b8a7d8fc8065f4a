"""The floor: FastAPI, orjson and one SQLite file. No accounts, no rules, no strict parsing.

It does what nobody can leave out who keeps a journal on a server: take the body apart, write the
rows in one synced transaction, hand them out again page by page. It is kept as fast as such a
thing can honestly be, because the server's own numbers are told as a share of it: content stays
the text it came as, one thread owns the one connection, answers bypass every model.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

Result = TypeVar("Result")

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE item (
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    vector_clock TEXT NOT NULL,
    key_epoch INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    encrypted_data TEXT NOT NULL,
    received_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX item_id ON item (id, collection);
"""
_INSERT = "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PAGE = "SELECT rowid, * FROM item WHERE rowid > ? ORDER BY rowid LIMIT ?"


class Store:
    """One file, one connection, one thread."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._thread = ThreadPoolExecutor(1)
        self._connection = apsw.Connection(str(folder / "floor.db"))
        self._connection.execute(_SCHEMA).fetchall()  # runs to its end

    async def run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def write(self, changes: list[dict[str, Any]]) -> int:
        """All changes in one transaction, synced when this returns."""
        now = int(time.time())
        rows = [_row(change, now) for change in changes]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_INSERT, rows)
        self._connection.execute("COMMIT")
        return len(rows)

    def page(self, cursor: int, limit: int) -> bytes:
        """The items after the cursor, as an answer's body."""
        rows: list[tuple[Any, ...]]
        rows = self._connection.execute(_PAGE, (cursor, limit)).fetchall()
        return orjson.dumps(
            {
                "changes": [_change(*row) for row in rows],
                "cursor": str(rows[-1][0] if rows else cursor),
                "has_more": len(rows) == limit,
                "server_time": int(time.time()),
            }
        )

    def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()


def _row(change: dict[str, Any], now: int) -> tuple[Any, ...]:
    clock = change["vector_clock"]
    return (
        change["collection"],
        change["id"],
        next(iter(clock)),
        orjson.dumps(clock).decode(),
        change["key_epoch"],
        change["is_deleted"],
        change["encrypted_data"],
        now,
    )


def _change(
    _rowid: int,
    collection: str,
    item_id: str,
    device_id: str,
    clock: str,
    key_epoch: int,
    is_deleted: int,
    data: str,
    received_at: int,
) -> dict[str, Any]:
    version = {
        "device_id": device_id,
        "vector_clock": orjson.Fragment(clock),
        "key_epoch": key_epoch,
        "is_deleted": is_deleted == 1,
        "encrypted_data": data,
        "received_at": received_at,
    }
    return {"collection": collection, "id": item_id, "versions": [version]}


def create_app(folder: Path) -> FastAPI:
    """The floor's application, on a folder of its own."""
    opened: list[Store] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        opened.append(Store(folder))
        yield
        opened.pop().close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    @app.post("/push")
    async def push(request: Request) -> Response:
        changes = orjson.loads(await request.body())["changes"]
        stored = await opened[0].run(partial(opened[0].write, changes))
        return Response(orjson.dumps({"ok": stored}), media_type="application/json")

    @app.get("/pull")
    async def pull(cursor: int = 0, limit: int = 500) -> Response:
        body = await opened[0].run(partial(opened[0].page, cursor, limit))
        return Response(body, media_type="application/json")

    return app


def main() -> None:
    """Serve until interrupted, by the same event loop and parser as the server itself."""
    parser = argparse.ArgumentParser(prog="bench.floor", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--port", required=True, type=int)
    arguments = parser.parse_args()
    uvicorn.run(
        create_app(arguments.folder),
        host="127.0.0.1",
        port=arguments.port,
        server_header=False,
        access_log=False,
        log_level="warning",
        loop="uvloop",
        http="httptools",
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
