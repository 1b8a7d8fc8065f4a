"""What rounds come to."""

import pytest

from bench.results import ROWS, Rounds, as_json, as_table, results_of

FLOOR = [{"push": 200.0, "single_p50": 1.0}, {"push": 100.0, "single_p50": 2.0}]


def rounds(*pushes: float, single: float = 4.0) -> Rounds:
    ours = [{"push": push, "single_p50": single} for push in pushes]
    return {"echolia": ours, "floor": FLOOR}  # type: ignore[dict-item]


def test_a_share_is_of_the_floors_median_and_its_spread_is_round_by_round() -> None:
    (push,) = results_of(rounds(100, 90), ["push"])
    assert push.share_of_medians == pytest.approx(95 / 150)
    assert (push.share.least, push.share.most) == pytest.approx((0.5, 0.9))


def test_half_as_fast_is_one_half_for_rates_and_for_waits() -> None:
    push, single = results_of(rounds(75, 75, single=3.0), ["push", "single"])
    assert push.share_of_medians == single.share_of_medians == pytest.approx(0.5)


@pytest.mark.parametrize(("pushes", "is_met"), [((90, 90), True), ((89, 89), False)])
def test_an_aim_is_met_from_its_very_value_on(pushes: tuple[float, ...], is_met: bool) -> None:
    (push,) = results_of(rounds(*pushes), ["push"])
    assert push.is_met is is_met


def test_a_measure_without_an_aim_is_neither_met_nor_missed() -> None:
    (single,) = results_of(rounds(1, 1), ["single"])
    assert single.is_met is None


def test_what_a_round_did_not_take_is_left_out() -> None:
    assert results_of(rounds(1, 1), ["pull", "memory"]) == []


def test_people_and_machines_are_told_the_same() -> None:
    results = results_of(rounds(80, 80), ["push"])
    told = as_json(results)["push"]
    assert (told["share_of_medians"], told["met"]) == (0.5333, False)
    assert "0.53" in as_table(results)
    assert "NO" in as_table(results)


def test_every_measure_is_shown_once() -> None:
    assert len({row.measure for row in ROWS}) == len(ROWS)
