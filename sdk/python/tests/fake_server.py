"""The sync rules of spec/protocol.md in memory: fast, and able to misbehave on demand.

The real server is the judge of what is right (see test_real_server.py). This one exists for
what a real server cannot be asked to do: lose, repeat, forge and forget at chosen moments.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from echolia._answers import Answer
from echolia._calls import Call, Exchange
from echolia._clocks import VectorClock
from echolia._digest import bucket_of, sums_of
from echolia._errors import Offline, QuotaExceeded, Refused
from echolia._versions import ItemKey, Version

Row = dict[str, Any]
Key = tuple[str, str]


@dataclass
class FakeServer:
    items: dict[Key, list[Row]] = field(default_factory=dict)
    log: list[Key] = field(default_factory=list)
    devices: set[str] = field(default_factory=set)
    epoch: int = 1
    floor: int = 0
    quota: int = 10**9
    page: int = 500
    max_versions: int = 8
    max_answer_versions: int = 10**6

    def handle(self, device_id: str, call: Call) -> Answer:
        if call.path == "/sync/status":
            return Answer({"limits": {"max_push_changes": 500, "max_item_bytes": 2**20}})
        if call.path == "/sync/push":
            return Answer(self.push(device_id, dict(call.body or {})))
        if call.path == "/sync/pull":
            return Answer(self.pull(dict(call.params or {})))
        if call.path == "/sync/digest":
            return Answer(self.digest(str(dict(call.params or {})["collection"])))
        raise AssertionError(call.path)

    # -- pull

    def pull(self, params: Row) -> Row:
        at = self._position(params.get("cursor"))
        latest = {key: place for place, key in enumerate(self.log)}
        fresh = sorted(
            (place, key)
            for key, place in latest.items()
            if place >= at and key in self.items and _is_asked_for(key, params)
        )
        page = fresh[: min(self.page, int(params["limit"]))]
        more = len(page) < len(fresh)
        end = page[-1][0] + 1 if more else len(self.log)
        changes = [
            {"collection": key[0], "id": key[1], "versions": list(self.items[key])}
            for _, key in page
        ]
        return {"changes": changes, "cursor": self._cursor(end), "has_more": more}

    def digest(self, collection: str) -> Row:
        held = [
            Version.read(ItemKey(*key), Answer(row))
            for key, rows in self.items.items()
            for row in rows
            if key[0] == collection
        ]
        buckets = [{"count": count, "sum": f"{total:064x}"} for count, total in sums_of(held)]
        return {"collection": collection, "buckets": buckets, "cursor": "", "server_time": 0}

    def _cursor(self, at: int) -> str:
        return f"{self.epoch}.{at}"

    def _position(self, cursor: str | None) -> int:
        if cursor is None:
            return 0
        epoch, at = (int(part) for part in cursor.split("."))
        if epoch != self.epoch:
            raise Refused(409, "reset_required", extras={"reason": "epoch_changed"})
        if at > len(self.log):
            raise Refused(409, "reset_required", extras={"reason": "cursor_ahead"})
        if at < self.floor:
            raise Refused(409, "reset_required", extras={"reason": "cursor_expired"})
        return at

    def _needs_reset(self, cursor: str) -> bool:
        try:
            self._position(cursor)
        except Refused:
            return True
        return False

    # -- push

    def push(self, device_id: str, body: Row) -> Row:
        changes = body["changes"]
        reset_from = body.get("reset_from")
        if reset_from is not None and not self._needs_reset(reset_from):
            raise Refused(422, "reset_not_needed")
        resets = "reset_from" in body
        if not resets and any("device_id" in change for change in changes):
            raise Refused(422, "invalid")
        size = sum(len(change["encrypted_data"]) for change in changes)
        if size + self.used() > self.quota and not all(one["is_deleted"] for one in changes):
            raise QuotaExceeded(
                413, "quota_exceeded", extras={"used": self.used(), "limit": self.quota}
            )
        results = [self._push_one(device_id, change, resets) for change in changes]
        return {"results": results, "cursor": self._cursor(len(self.log)), "server_time": 0}

    def used(self) -> int:
        return sum(len(row["encrypted_data"]) for rows in self.items.values() for row in rows)

    def _push_one(self, pusher: str, change: Row, resets: bool) -> Row:
        key = (change["collection"], change["id"])
        author = change.get("device_id", pusher)
        clock = VectorClock.of(change["vector_clock"])
        stored = self.items.get(key, [])
        new = {
            "device_id": author,
            "vector_clock": change["vector_clock"],
            "key_epoch": change["key_epoch"],
            "is_deleted": change["is_deleted"],
            "encrypted_data": change["encrypted_data"],
        }
        verdict = self._verdict(stored, new, clock, author, resets)
        result: Row = {"collection": key[0], "id": key[1]}
        if verdict not in ("applied", "conflict", "replayed", "stale"):
            return {**result, "verdict": "rejected", "code": verdict}
        if verdict in ("applied", "conflict"):
            kept = [row for row in stored if not clock.covers(_clock(row))]
            self.items[key] = [*kept, new]
            self.log.append(key)
        result["verdict"] = verdict
        if verdict in ("stale", "conflict"):
            few = len(self.items[key]) <= self.max_answer_versions
            result["versions"] = list(self.items[key]) if few else None
        return result

    def _verdict(
        self, stored: list[Row], new: Row, clock: VectorClock, author: str, resets: bool
    ) -> str:
        if not {author, *clock.as_dict()} <= self.devices:
            return "unknown_device"
        for row in stored:
            if _clock(row) == clock:
                return "replayed" if row == new else "clock_reuse"
        if any(_clock(row).dominates(clock) for row in stored):
            return "stale"
        own = max((_clock(row).counter(author) for row in stored), default=0)
        if clock.counter(author) <= own:
            return "clock_invalid"
        for device, counter in clock.entries:
            known = max((_clock(row).counter(device) for row in stored), default=0)
            if device != author and counter > known and not resets:
                return "clock_invalid"
        kept = [row for row in stored if not clock.covers(_clock(row))]
        if kept and len(kept) + 1 > self.max_versions:
            return "too_many_versions"
        return "conflict" if kept else "applied"


def _is_asked_for(key: Key, params: Row) -> bool:
    if "bucket" not in params:
        return True
    return key[0] == str(params["collections"]) and bucket_of(key[1]) == int(params["bucket"])


def _clock(row: Row) -> VectorClock:
    return VectorClock.of(row["vector_clock"])


def raw(row: Row) -> bytes:
    return base64.b64decode(row["encrypted_data"])


Fault = Callable[[int, Call], str]
"""For the n-th call: "" to answer, "before" to lose the request, "after" to lose the answer,
"twice" to let the request arrive twice."""


def drive(
    server: FakeServer, device_id: str, exchange: Exchange[Any], fault: Fault | None = None
) -> Any:
    """Runs an exchange against the fake; a lost call ends it as a dead network would."""
    number = 0
    try:
        call = next(exchange)
        while True:
            what = fault(number, call) if fault else ""
            number += 1
            if what == "before":
                raise Offline("lost request")
            try:
                answer = server.handle(device_id, call)
                if what == "twice":
                    answer = server.handle(device_id, call)
            except Refused as refused:
                call = exchange.throw(refused)
                continue
            if what == "after":
                raise Offline("lost answer")
            call = exchange.send(answer)
    except StopIteration as stop:
        return stop.value
    finally:
        exchange.close()
