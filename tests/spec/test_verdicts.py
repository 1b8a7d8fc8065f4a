"""spec/vectors/verdicts.json against the rules that judge a push."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.sync.clock import compare
from app.sync.plan import Account, PushPlan, Reset, Result, plan_push
from app.sync.versions import Change, ItemKey, Version
from tests.spec.vectors import name_of, vectors

VECTORS = vectors("verdicts")
DEVICES: Mapping[str, str] = VECTORS["devices"]
ITEMS: Mapping[str, str] = VECTORS["item_ids"]
SCENARIOS = VECTORS["scenarios"]
STRANGER = "X"
RESETS = {None: None, "cursor": Reset(everywhere=True), "null": Reset(everywhere=False)}
NOW = 1_800_000_000


def change_of(told: Any) -> Change:
    content = bytes(told["size"]) if "size" in told else told["content"].encode()
    return Change(
        collection=told.get("collection", "entries"),
        id=ITEMS[told["id"]],
        author=DEVICES[told["by"]],
        vector_clock={DEVICES[name]: counter for name, counter in told["clock"].items()},
        key_epoch=told.get("key_epoch", 1),
        is_deleted=told.get("deleted", False),
        encrypted_data=content,
        entry_id=ITEMS[told["entry_id"]] if "entry_id" in told else None,
    )


def stored_version(told: Any) -> Version:
    change = change_of(told)
    return Version(
        author=change.author,
        vector_clock=change.vector_clock,
        key_epoch=change.key_epoch,
        is_deleted=change.is_deleted,
        entry_id=change.entry_id,
        received_at=NOW - 1,
        size=len(change.encrypted_data),
        digest=change.digest(),
    )


def stored_items(scenario: Any) -> dict[ItemKey, list[Version]]:
    items: dict[ItemKey, list[Version]] = {}
    for told in scenario["stored"]:
        items.setdefault(change_of(told).key, []).append(stored_version(told))
    return items


def planned(scenario: Any) -> PushPlan:
    account = Account(
        devices=frozenset(each for name, each in DEVICES.items() if name != STRANGER),
        key_epoch=scenario.get("account_key_epoch", 1),
        max_item_bytes=VECTORS["max_item_bytes"],
    )
    return plan_push(
        account,
        stored_items(scenario),
        [change_of(told) for told in scenario["changes"]],
        now=NOW,
        reset=RESETS[scenario.get("reset")],
    )


def told_verdict(result: Result) -> str:
    return result.verdict if result.code is None else f"{result.verdict} {result.code}"


def remaining(scenario: Any, plan: PushPlan) -> dict[str, set[tuple[str, frozenset[Any]]]]:
    items = {**stored_items(scenario), **plan.after}
    return {
        f"{collection}/{next(short for short, each in ITEMS.items() if each == item_id)}": {
            (version.author, frozenset(version.vector_clock.items())) for version in versions
        }
        for (collection, item_id), versions in items.items()
        if versions
    }


def told_remaining(scenario: Any) -> dict[str, set[tuple[str, frozenset[Any]]]]:
    return {
        key: {
            (DEVICES[by], frozenset((DEVICES[name], count) for name, count in clock.items()))
            for by, clock in versions
        }
        for key, versions in scenario["remain"].items()
    }


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_each_change_gets_its_verdict(scenario: Any) -> None:
    assert [told_verdict(result) for result in planned(scenario).results] == scenario["verdicts"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_exactly_these_versions_remain(scenario: Any) -> None:
    assert remaining(scenario, planned(scenario)) == told_remaining(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_no_version_that_remains_descends_from_another(scenario: Any) -> None:
    for versions in ({**stored_items(scenario), **planned(scenario).after}).values():
        for at, one in enumerate(versions):
            for other in versions[at + 1 :]:
                assert compare(one.vector_clock, other.vector_clock) == "concurrent"


@pytest.mark.parametrize(
    "scenario", [each for each in SCENARIOS if {"used", "deletes"} & each.keys()], ids=name_of
)
def test_the_sums_change_by_what_is_told(scenario: Any) -> None:
    totals = planned(scenario).totals()
    assert totals.used_bytes == scenario.get("used", totals.used_bytes)
    assert totals.deletes == scenario.get("deletes", totals.deletes)


@pytest.mark.parametrize(
    "scenario",
    [each for each in SCENARIOS if not all("rejected" in told for told in each["verdicts"])],
    ids=name_of,
)
def test_what_was_answered_with_anything_but_a_rejection_can_be_sent_again(scenario: Any) -> None:
    """A lost answer costs nothing: the second time round nothing is stored."""
    plan = planned(scenario)
    after = {**stored_items(scenario), **plan.after}
    kept = [result.change for result in plan.results if result.verdict != "rejected"]
    epoch = scenario.get("account_key_epoch", 1)
    account = Account(frozenset(DEVICES.values()), epoch, VECTORS["max_item_bytes"])
    again = plan_push(account, after, kept, now=NOW + 1, reset=RESETS[scenario.get("reset")])
    assert {result.verdict for result in again.results} <= {"replayed", "stale"}
    assert not again.after


def test_every_verdict_and_every_code_occurs() -> None:
    told = {verdict for scenario in SCENARIOS for verdict in scenario["verdicts"]}
    codes = (
        "clock_reuse",
        "clock_invalid",
        "too_many_versions",
        "too_large",
        "stale_key_epoch",
        "unknown_key_epoch",
        "unknown_device",
    )
    assert told == {"applied", "replayed", "stale", "conflict"} | {f"rejected {c}" for c in codes}


def test_no_two_scenarios_share_a_name() -> None:
    names = [scenario["name"] for scenario in SCENARIOS]
    assert len(names) == len(set(names))
