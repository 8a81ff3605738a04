"""What the evaluation says of groups is what the rows say, by their weight."""

from __future__ import annotations

import numpy as np
import pytest
from tests.models.worlds import World, make_world

from obligor.core.clauses import Fairness
from obligor.measures.fairness import Groups
from obligor.models.fairness import compared, proxied, standard_of
from obligor.models.judged import Judged, judge


def judged_of(world: World, *, clause: Fairness | None = None) -> Judged:
    housing = world.frame.levels("housing")
    protected = {
        "home": Groups(housing.codes.astype(np.int64), housing.names),
        "half": Groups(np.arange(len(world.rows.bad)) % 2, ("even", "odd")),
    }
    standard = standard_of(clause or Fairness())
    return judge(world.made.card, world.fitted, world.rows, incumbent=None, protected=protected, standard=standard)


def test_rates_of_groups_are_by_weight_and_counts_are_rows() -> None:
    world = make_world(weighted=True)
    found = {it["column"]: it for it in compared(judged_of(world))}
    assert set(found) == {"home", "half", "home and half"}
    test, weight = world.rows.is_in(2), world.rows.weight
    assert weight is not None
    approved = world.fitted.scores >= world.made.card.cutoff.score
    for group in found["home"]["groups"]:
        own = test & (world.frame.columns["housing"] == group["name"])
        assert group["rows"] == own.sum()
        assert group["approval_rate"] == pytest.approx(np.average(approved[own], weights=weight[own]))
        assert group["bad_rate"] == pytest.approx(np.average(world.rows.bad[own], weights=weight[own]))
        assert group["effective_rows"] < group["rows"]


def test_the_contract_says_how_small_a_group_is_and_what_is_flagged() -> None:
    world = make_world()
    strict = Fairness(fewest=300, hard=0.99, review=1.0)
    found = {it["column"]: it for it in compared(judged_of(world, clause=strict))}
    assert {it["flag"] for it in found["home and half"]["groups"]} == {"insufficient"}
    assert "hard" in {it["flag"] for it in found["half"]["groups"]} | {it["flag"] for it in found["home"]["groups"]}


def test_a_characteristic_that_is_computed_from_the_group_is_no_proxy_of_it() -> None:
    judged = judged_of(make_world())
    read = {"home": ["housing"], "half": []}
    found = {it["column"]: it for it in proxied(judged, Fairness(), readers=read, seed=1)}
    assert "housing" not in {it["feature"] for it in found["home"]["characteristics"]}
    assert "housing" in {it["feature"] for it in found["half"]["characteristics"]}
    again = {it["column"]: it for it in proxied(judged, Fairness(), readers={"home": [], "half": []}, seed=1)}
    assert again["home"]["characteristics"][0]["feature"] == "housing"
    assert again["home"]["characteristics"][0]["proxy"]
    assert not any(it["proxy"] for it in again["half"]["characteristics"])
