"""One decision explained: sums that hold, reasons that are real, and changes that the scorer confirms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_counterfactuals import groups
from tests.core.test_reasons import card, characteristic, grid

from obligor.core.columns import Column, Feature, Table
from obligor.core.explanation import Explaining, waterfall
from obligor.core.recourse import rescoring
from obligor.core.scorecard import CardCutoff, Scorecard, parse_card
from obligor.core.scorer import compile_card

TOLD = {"reason": "too low", "reason_missing": "not stated"}


def lender(cutoff: int = 40_000) -> Scorecard:
    """A card that reads an income, an amount, a purpose and what the amount is of the income, with a pair."""
    parts = (
        characteristic("income", (0, 12_000, 20_000, 3_000), reference=13_000, changeable=True, **TOLD),
        characteristic("amount", (15_000, 9_000, 0, 4_000), reference=8_000, changeable=True, **TOLD),
        groups("purpose", (5_000, 9_000), changeable=True).model_copy(update={"reference": 7_000, **TOLD}),
        characteristic("share", (18_000, 6_000, 2_000), reference=9_000, **TOLD),
    )
    whole = card(
        *parts,
        pairs=(grid("income", "amount", ((-3000, 0, 2000, 0), (1000, 0, -1000, 0), (0, 500, 0, 0), (0,) * 4), 100),),
    )
    columns = {"income": Column(type="number"), "amount": Column(type="number"), "purpose": Column(type="text")}
    changed = {
        "applications": Table(columns=columns),
        "features": {"share": Feature(expression="amount / income")},
        "cutoff": CardCutoff(score=cutoff, chosen_by="profit"),
        "base_points": 1_000,
    }
    return parse_card(whole.model_copy(update=changed).to_json())


VALUES = st.none() | st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 7.0])
APPLICATIONS = st.fixed_dictionaries(
    {"income": VALUES, "amount": VALUES, "purpose": st.none() | st.sampled_from(["purpose0", "purpose1", "yacht"])}
)
Plain = Mapping[str, object]


@given(APPLICATIONS, st.integers(0, 70_000))
def test_an_explanation_says_what_the_scorer_says(application: Plain, cutoff: int) -> None:
    whole = lender(cutoff)
    scored = compile_card(whole).score(application)
    told = Explaining.of(whole).explain(scored.bins)
    assert (told.score, told.pd, told.band) == (scored.score, scored.pd, scored.band)
    points = (*(it.points for it in told.contributions), *(it.points for it in told.pairs))
    assert points == scored.points
    assert told.base_points + sum(points) == told.score
    assert told.approved == (told.score >= cutoff)
    assert bool(told.counterfactuals) <= (not told.approved)


@given(APPLICATIONS)
def test_the_waterfall_leads_from_the_mean_to_the_score_whatever_is_shown(application: Plain) -> None:
    whole = lender()
    told = Explaining.of(whole).explain(compile_card(whole).score(application).bins)
    for most in (1, 2, 3, 12):
        steps = waterfall(told, most=most)
        assert len(steps) == min(most, len(told.contributions))
        assert steps[0].start == told.mean
        assert steps[-1].end == pytest.approx(told.score / 1000, abs=1e-9)
        assert all(one.end == other.start for one, other in pairwise(steps))


@given(APPLICATIONS)
def test_every_counterfactual_of_an_application_is_approved_by_the_scorer(application: Plain) -> None:
    """A value of each wanted bin is put into the application, which is scored from its columns: what they feed moves too."""
    whole = lender()
    scorer = compile_card(whole)
    made = {"income": (0.7, 1.3, 9.0), "amount": (0.7, 1.3, 9.0), "purpose": ("purpose0", "purpose1")}
    scored = scorer.score(application)
    told = Explaining.of(whole).explain(scored.bins, most_changes=3, check=rescoring(scorer, application, {}))
    for way in told.counterfactuals:
        assert way.scored == "application"
        assert way.score >= whole.cutoff.score
        assert {change.feature for change in way.changes} <= set(made)
        for change in way.changes:
            place = [it.feature for it in whole.characteristics].index(change.feature)
            value = made[change.feature][change.to_code]
            assert scorer.score({**application, change.feature: value}).bins[place] == change.to_code


@given(APPLICATIONS, st.integers(20_000, 60_000))
def test_the_nearest_approving_bin_change_is_scored_to_approve_from_raw_values(application: Plain, cutoff: int) -> None:
    """Without characteristics that are computed, a bin is all that a value is to the card: any value of it will do."""
    whole = lender(cutoff)
    direct = whole.model_copy(update={"characteristics": whole.characteristics[:3], "features": {}})
    scorer = compile_card(direct)
    values = {"income": (0.7, 1.3, 9.0), "amount": (0.2, 1.9, 2.0), "purpose": ("purpose0", "purpose1")}
    for way in Explaining.of(direct).explain(scorer.score(application).bins, most_changes=3).counterfactuals:
        changed = {change.feature: values[change.feature][change.to_code] for change in way.changes}
        assert scorer.score({**application, **changed}).score == way.score >= cutoff


def test_a_change_that_the_columns_undo_is_not_told() -> None:
    """A higher amount would earn more by its own bin; but what it is of the income would cost more than that."""
    parts = (
        characteristic("amount", (0, 9_000, 0), reference=0, changeable=True, **TOLD),
        characteristic("share", (20_000, 0, 0), reference=0, **TOLD),
    )
    columns = {"amount": Column(type="number"), "income": Column(type="number")}
    changed = {
        "applications": Table(columns=columns),
        "features": {"share": Feature(expression="amount / income")},
        "cutoff": CardCutoff(score=25_000, chosen_by="profit"),
    }
    whole = card(*parts[:1], characteristic("income", (0, 0, 0), reference=0)).model_copy(
        update={**changed, "characteristics": parts}
    )
    scorer = compile_card(whole)
    explaining = Explaining.of(whole)

    def ways(income: float) -> list[str]:
        application = {"amount": 0.5, "income": income}
        bins = scorer.score(application).bins
        assert len(explaining.explain(bins).counterfactuals) == 1
        found = explaining.explain(bins, check=rescoring(scorer, application, {})).counterfactuals
        return [way.scored for way in found]

    assert ways(0.9) == []
    assert ways(40.0) == ["application"]


def test_a_change_of_what_is_computed_is_told_by_its_bins() -> None:
    whole = lender(40_000)
    fixed = (it.model_copy(update={"changeable": it.feature == "share"}) for it in whole.characteristics)
    whole = whole.model_copy(update={"characteristics": tuple(fixed)})
    scorer = compile_card(whole)
    application = {"income": 1.5, "amount": 1.5, "purpose": "purpose0"}
    told = Explaining.of(whole).explain(scorer.score(application).bins, check=rescoring(scorer, application, {}))
    assert [(way.scored, way.changes[0].feature) for way in told.counterfactuals] == [("bins", "share")]


def test_a_truth_value_is_changed_to_the_other() -> None:
    owner = groups("owner", (0, 9_000), changeable=True).model_copy(update={"groups": (("false",), ("true",))})
    whole = card(owner, characteristic("x", (0, 0, 0), reference=0)).model_copy(
        update={"applications": Table(columns={"owner": Column(type="bool"), "x": Column(type="number")}),
                "cutoff": CardCutoff(score=9_000, chosen_by="profit")}
    )  # fmt: skip
    scorer = compile_card(whole)
    application = {"owner": False, "x": None}
    (way,) = (
        Explaining.of(whole)
        .explain(scorer.score(application).bins, check=rescoring(scorer, application, {}))
        .counterfactuals
    )
    assert (way.scored, way.score) == ("application", 9_000)


def test_a_decline_without_a_shortfall_has_no_reason_and_none_is_made_up() -> None:
    flat = card(*(characteristic(name, (5, 5, 5), reference=5) for name in "ab"))
    told = Explaining.of(flat.model_copy(update={"cutoff": CardCutoff(score=11, chosen_by="pd")})).explain((0, 1))
    assert not told.approved
    assert told.reasons == ()


@given(APPLICATIONS)
def test_an_explanation_is_plain_data_and_holds_no_value_that_a_person_gave(application: Plain) -> None:
    whole = lender()
    told = Explaining.of(whole).explain(compile_card(whole).score(application).bins)
    plain = json.loads(json.dumps(told.to_plain()))
    assert plain["score"] == told.score / 1000
    assert [it["bin"] for it in plain["contributions"]] == [it.bin for it in told.contributions]
    missing = {it["feature"]: it["missing"] for it in plain["contributions"]}
    assert all(missing[name] == (value is None) for name, value in application.items())
    assert "yacht" not in json.dumps(plain)
    assert len(plain["waterfall"]) == 4
