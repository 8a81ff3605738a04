"""Movement month by month, and bins that change places, on a world whose applicants are known to move."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models.worlds import World, make_world

from obligor.measures.stability import psi
from obligor.models.judged import effective_rows, judge
from obligor.models.stability import stability

if TYPE_CHECKING:
    from obligor.models.judged import Judged


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def dated(world: World, months: np.ndarray) -> Judged:
    rows = replace(world.rows, period=(2020 * 12 + months).astype(np.int32))
    return judge(world.made.card, world.fitted, rows, incumbent=None)


def test_without_dates_nothing_is_said_of_months(world: World) -> None:
    found = stability(judge(world.made.card, world.fitted, world.rows, incumbent=None))
    assert found["by_month"] is None
    assert found["flips"] == []
    assert found["score_psi"]["test"]["psi"] >= 0


def test_every_month_is_held_against_train(world: World) -> None:
    months = np.arange(len(world.rows.bad)) % 14
    judged = dated(world, months)
    found = stability(judged)["by_month"]
    assert found["months"] == [f"2020-{at:02d}" for at in range(1, 13)] + ["2021-01", "2021-02"]
    assert sum(found["rows"]) == len(months)
    assert [each["feature"] for each in found["characteristics"]] == [it.feature for it in judged.card.characteristics]
    first = judged.card.characteristics[0]
    codes, train = judged.codes[first.feature], judged.rows.is_in(0)
    counts = [np.bincount(codes[mask], minlength=len(first.bins)) for mask in (train, months == 3)]
    assert found["characteristics"][0]["psi"][3] == pytest.approx(psi(*counts))


def test_chance_is_told_by_the_size_of_the_month_and_most_months_keep_within_it(world: World) -> None:
    random = np.random.default_rng(3)
    months = np.where(random.random(len(world.rows.bad)) < 0.1, 0, 1 + random.integers(0, 30, len(world.rows.bad)) // 3)
    found = stability(dated(world, months))["by_month"]
    small, large = int(np.argmin(found["rows"])), int(np.argmax(found["rows"]))
    assert found["score"]["quantile_95"][small] > found["score"]["quantile_95"][large]
    above = np.array(found["score"]["psi"]) > np.array(found["score"]["quantile_95"])
    assert above.mean() <= 0.3


def test_a_month_of_other_applicants_stands_out(world: World) -> None:
    scores = world.fitted.scores
    months = np.arange(len(scores)) % 12
    months[scores < np.quantile(scores, 0.2)] = 11  # the worst applicants all come in December
    found = stability(dated(world, months))["by_month"]["score"]
    assert int(np.argmax(found["psi"])) == 11
    assert found["psi"][11] > 10 * found["quantile_95"][11]


def test_a_period_in_which_good_bins_turn_bad_is_named(world: World) -> None:
    months = np.arange(len(world.rows.bad)) % 12
    judged = dated(world, months)
    housing = next(it for it in judged.card.characteristics if it.feature == "housing")
    best = int(np.argmax([row.points if row.goods else -(10**9) for row in housing.bins]))
    bad = judged.rows.bad.copy()
    bad[(months >= 9) & (judged.codes["housing"] == best)] = 1
    flips = stability(replace(judged, rows=replace(judged.rows, bad=bad)))["flips"]
    named = [flip for flip in flips if flip["feature"] == "housing"]
    assert {flip["period"] for flip in named} == {"2020-Q4"}
    assert {flip["better"] for flip in named} == {housing.bins[best].label}
    assert all(flip["better_rate"] == 1 and flip["p"] < 0.05 for flip in named)


def test_weights_count_for_as_many_rows_as_they_tell(world: World) -> None:
    judged = judge(world.made.card, world.fitted, world.rows, incumbent=None)
    mask = judged.rows.is_in(0)
    alike = replace(judged, rows=replace(judged.rows, weight=np.full(len(mask), 7.0)))
    assert effective_rows(judged, mask) == mask.sum()
    assert effective_rows(alike, mask) == pytest.approx(mask.sum())
    uneven = replace(judged, rows=replace(judged.rows, weight=np.where(np.arange(len(mask)) % 2 == 0, 1.0, 9.0)))
    assert effective_rows(uneven, mask) < 0.7 * mask.sum()
