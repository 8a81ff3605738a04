"""A policy is made of what validation showed, tells what the test shows, and decides as the one value that is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.models.worlds import World, make_world

from obligor.core.errors import InvalidInputError
from obligor.core.policy import check_policy, cutoff_for, parse_policy
from obligor.measures.fairness import Groups
from obligor.models.assembly import economy_of
from obligor.models.columns import SAMPLES
from obligor.models.judged import judge
from obligor.models.policies import Made, make_policy

CUTOFF = {"segment": "housing", "amounts": [3, 6], "grey_points": 2.5}
COLUMNS = {"amount": {"type": "number", "role": ["exposure"]}}


def world_with(**said: Any) -> World:
    columns = {name: it for name, it in make_world(rows=400).contract.columns.items() if name != "amount"}
    plain = {name: it.model_dump(mode="json", by_alias=True) for name, it in columns.items()}
    return make_world(applications={"columns": {**plain, **COLUMNS}}, **said)


def policy_of(world: World, segments: Groups | None, **judged: Any) -> Made:
    return make_policy(
        world.contract,
        judge(world.made.card, world.fitted, world.rows, **({"incumbent": None} | judged)),
        segments=segments,
        features=world.features,
        caps={},
        economy=economy_of(world.contract),
    )


def housing(world: World) -> Groups:
    levels = world.frame.levels("housing")
    return Groups(levels.codes.astype(np.int64), tuple(levels.names))


@pytest.fixture(scope="module")
def world() -> World:
    return world_with(cutoff=CUTOFF, economics={"cost_per_loan": 0.1, "lgd": 0.6, "margin": 0.2})


@pytest.fixture(scope="module")
def made(world: World) -> Made:
    return policy_of(world, housing(world))


def test_every_loan_meets_the_cutoff_that_the_stored_policy_gives_it(world: World, made: Made) -> None:
    policy, groups = parse_policy(made.policy.to_json()), housing(world)
    check_policy(policy, world.made.card)
    assert made.plain["sha256"] == policy.sha256
    assert world.rows.exposure is not None
    for code, name in ((1, "validation"), (2, "test")):
        rows = np.flatnonzero(world.rows.is_in(code))
        cutoffs = np.array(
            [
                cutoff_for(policy, segment=groups.names[groups.codes[at]], amount=float(world.rows.exposure[at]))
                for at in rows
            ]
        )
        approved = world.fitted.scores[rows] >= cutoffs
        told = made.plain["outcome"][name]
        assert told["thresholds"]["approval_rate"] == pytest.approx(approved.mean())
        assert told["thresholds"]["npl_rate"] == pytest.approx(world.rows.bad[rows][approved].mean())
        grey = np.abs(world.fitted.scores[rows] - cutoffs + 0.5) < policy.grey
        assert told["referred"] == pytest.approx(grey.mean())


def test_thresholds_add_up_to_the_whole_sample(made: Made) -> None:
    for name in ("validation", "test"):
        whole = made.plain["outcome"][name]["thresholds"]
        parts = [it[name] for it in made.plain["thresholds"]]
        for figure in ("rows", "bads", "profit", "expected_profit"):
            assert sum(it[figure] for it in parts) == pytest.approx(whole[figure]), figure
    for it, told in zip(made.policy.thresholds, made.plain["thresholds"], strict=True):
        assert it.evidence.model_dump() == told["validation"]


def test_the_gain_is_the_difference_of_the_profits_on_the_test(made: Made) -> None:
    test, gain = made.plain["outcome"]["test"], made.plain["gain"]
    more = (test["thresholds"]["profit"] - test["common"]["profit"]) / test["common"]["rows"]
    assert gain["value"] == pytest.approx(more)
    assert gain["lower"] <= gain["value"] <= gain["upper"]


def test_small_loans_meet_a_higher_cutoff_where_each_costs_something(made: Made) -> None:
    other = [it.cutoff for it in made.policy.thresholds if it.segment is None]
    assert other == sorted(other, reverse=True)
    assert other[0] > other[-1]


def test_a_policy_without_segments_is_the_cutoff_of_the_card() -> None:
    plain = make_world(rows=1500)
    made = policy_of(plain, None)
    assert made.policy.thresholds == ()
    assert made.plain["gain"] is None
    assert cutoff_for(made.policy, segment="own", amount=5.0) == plain.made.card.cutoff.score
    first = made.plain["cutoffs"][0]
    assert (first["rule"], first["cutoff"]) == ("contract", plain.made.card.cutoff.score)
    assert made.plain["outcome"]["test"]["common"] == first["test"] == made.plain["outcome"]["test"]["thresholds"]
    assert made.plain["incumbent"] is None


def test_the_profit_best_cutoff_earns_most_of_all_that_are_named_on_validation(world: World) -> None:
    random = np.random.default_rng(3)
    risk = world.rows.bad + 2 * random.standard_normal(len(world.rows.bad))
    risk[::17] = np.nan
    made = policy_of(world, housing(world), incumbent=("grade", risk), incumbent_approval_rate=0.6)
    named = {it["rule"]: it for it in made.plain["cutoffs"]}
    assert list(named) == ["contract", "profit", "break_even", "incumbent_approvals", "incumbent_npl"]
    assert named["profit"]["cutoff"] == named["contract"]["cutoff"]
    assert max(it["validation"]["profit"] for it in named.values()) == named["profit"]["validation"]["profit"]
    assert named["incumbent_approvals"]["validation"]["approval_rate"] == pytest.approx(0.6, abs=0.02)
    old = made.plain["incumbent"]["validation"]
    assert old["approval_rate"] == 0.6
    assert named["incumbent_approvals"]["validation"]["npl_rate"] < old["npl_rate"]
    assert named["incumbent_npl"]["validation"]["approval_rate"] > 0.6
    assert set(made.plain["outcome"]) == set(SAMPLES[1:])


def test_a_segment_of_a_hundred_levels_is_refused(world: World) -> None:
    many = Groups(np.zeros(len(world.rows.bad), dtype=np.int64), tuple(f"level {at}" for at in range(100)))
    with pytest.raises(InvalidInputError, match="'housing' has 100 levels; wanted at most 50"):
        policy_of(world, many)


def test_a_policy_carries_all_that_finding_a_threshold_reads(made: Made) -> None:
    assert made.policy.segment == "housing"
    assert made.policy.amount == "amount"
    assert set(made.policy.columns) == {"housing", "amount"}
    assert made.policy.grey == 2500
