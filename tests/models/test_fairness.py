"""What the evaluation says of groups is what the rows say, by their weight."""

from __future__ import annotations

import numpy as np
import pytest
from tests.models.worlds import World, make_world

from obligor.core.clauses import Fairness, Knockout
from obligor.measures.fairness import Groups
from obligor.models.fairness import compared, proxied, ruled, standard_of
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


def test_a_rule_that_stops_one_group_more_than_another_is_flagged_and_one_that_stops_all_alike_is_not() -> None:
    world = make_world(weighted=True)
    judged, weight = judged_of(world), world.rows.weight
    assert weight is not None
    rules = [
        Knockout(name=name, when="income < 1", outcome="decline", reason="A rule")
        for name in ("homes", "chance", "off")
    ]
    chance = np.random.default_rng(3).random(len(weight)) < 0.3
    fired = {"homes": (world.frame.columns["housing"] == "rent") & chance, "chance": chance}
    homes, even = ruled(judged, rules, fired)
    assert (homes["name"], homes["when"], homes["outcome"]) == ("homes", "income < 1", "decline")
    test = world.rows.is_in(2)
    assert homes["test"]["rows"] == (test & fired["homes"]).sum()
    assert homes["test"]["rate"] == pytest.approx(np.average(fired["homes"][test], weights=weight[test]))
    own = test & fired["homes"]
    assert homes["test"]["bad_rate"] == pytest.approx(np.average(world.rows.bad[own], weights=weight[own]))
    by_home = {it["column"]: {group["name"]: group for group in it["groups"]} for it in homes["fairness"]}["home"]
    assert "hard" in {group["flag"] for group in by_home.values()}
    passed = np.average(
        ~fired["homes"][test & (world.frame.columns["housing"] == "rent")],
        weights=weight[test & (world.frame.columns["housing"] == "rent")],
    )
    assert by_home["rent"]["approval_rate"] == pytest.approx(passed)
    assert "hard" not in {group["flag"] for it in even["fairness"] for group in it["groups"]}


def test_a_rule_that_stops_everybody_or_nobody_has_figures_or_none() -> None:
    judged = judged_of(make_world())
    rules = [Knockout(name=name, when="TRUE", outcome="refer") for name in ("all", "none")]
    size = len(judged.rows.bad)
    every, none = ruled(judged, rules, {"all": np.ones(size, bool), "none": np.zeros(size, bool)})
    assert every["test"]["rate"] == 1.0
    assert none["test"] == {"rows": 0, "rate": 0.0, "bad_rate": None}
    assert {group["flag"] for it in none["fairness"] for group in it["groups"]} == {""}
    assert {group["impact_ratio"] for it in every["fairness"] for group in it["groups"]} == {None}


def test_a_rule_that_stops_the_whole_largest_group_is_flagged_though_there_is_no_ratio() -> None:
    world = make_world()
    judged = judged_of(world)
    largest = next(it["reference"] for it in compared(judged) if it["column"] == "home")
    rule = Knockout(name="all_of_them", when="TRUE", outcome="refer")
    (found,) = ruled(judged, [rule], {rule.name: world.frame.columns["housing"] == largest})
    groups = next(it["groups"] for it in found["fairness"] if it["column"] == "home")
    for group in groups:
        itself = group["name"] == largest
        assert (group["flag"], group["impact_ratio"]) == ("" if itself else "hard", None)
        assert (group["p"] is None) == itself
        assert group["p"] is None or group["p"] < 1e-9
