"""The fake server judges as the vectors of the real one do, where it knows the rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .fake_server import FakeServer

FILE = Path(__file__).parents[3] / "spec" / "vectors" / "verdicts.json"
KNOWN = {"id", "by", "clock", "content", "deleted"}
VECTORS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))


def is_known(scenario: dict[str, Any]) -> bool:
    """Leaves out what the SDK cannot send or the fake does not judge: sizes, epochs, ranges."""
    changes = [*scenario["stored"], *scenario["changes"]]
    return (
        all(change.keys() <= KNOWN and change.get("content") for change in changes)
        and all(0 < n < 2**53 for change in changes for n in change["clock"].values())
        and all(len(change["clock"]) <= 64 for change in changes)
        and all(change["by"] == "A" for change in scenario["changes"])
        and scenario.keys().isdisjoint({"reset", "pusher", "account_key_epoch"})
    )


@pytest.mark.parametrize(
    "scenario", [one for one in VECTORS["scenarios"] if is_known(one)], ids=lambda s: s["name"]
)
def test_the_fake_agrees_with_the_vectors(scenario: dict[str, Any]) -> None:
    server = FakeServer(devices={id_of(name) for name in VECTORS["devices"] if name != "X"})
    for stored in scenario["stored"]:
        change = change_of(stored)
        row = {name: change[name] for name in change if name not in ("collection", "id")}
        row["device_id"] = id_of(stored["by"])
        server.items.setdefault((change["collection"], change["id"]), []).append(row)
    changes = [change_of(change) for change in scenario["changes"]]
    results = server.push(id_of("A"), {"changes": changes})["results"]
    judged = [result.get("code", result["verdict"]) for result in results]
    assert judged == [verdict.removeprefix("rejected ") for verdict in scenario["verdicts"]]


def id_of(name: str) -> str:
    return str(VECTORS["devices"][name])


def change_of(change: dict[str, Any]) -> dict[str, Any]:
    return {
        "collection": "entries",
        "id": VECTORS["item_ids"][change["id"]],
        "vector_clock": {id_of(name): count for name, count in change["clock"].items()},
        "key_epoch": 1,
        "is_deleted": change.get("deleted", False),
        "encrypted_data": change["content"].encode(),
    }
