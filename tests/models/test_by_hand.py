"""Both recipes keep the bins that a person made, and tell where they break what the contract asks."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models.test_smooth import frame, offered
from tests.models.worlds import ORIGIN, Frame

from obligor.core.bins import Bins, CategoryBins, NumericBins
from obligor.core.edits import Edits
from obligor.core.errors import EditError
from obligor.core.rebinning import Merge, Split
from obligor.core.trend import Trend
from obligor.models.alternatives import Change, classical_refitter, smooth_refitter
from obligor.models.binning import BinningRules, count_by_hand
from obligor.models.edited import draft_of, tell_edits
from obligor.models.histograms import information_value
from obligor.models.projection import SmoothRules
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import Recipe, fit_card
from obligor.models.trends import broken_at, shape_of

if TYPE_CHECKING:
    from obligor.models.columns import Rows
    from obligor.models.fitted import FittedCard

FIXED: dict[str, Bins] = {
    "income": NumericBins("income", (-1.0, -0.123456, 0.7)),
    "age_of_file": NumericBins("age_of_file", (7.5,), (-1.0,)),
    "housing": CategoryBins("housing", (("rent",), ("family", "own"))),
}
LOOSE = BinningRules(min_share=0.0, min_bads=1.0, min_goods=1.0)


def fitted_by(
    recipe: str, columns: Frame, rows: Rows, *, fixed: dict[str, Bins], trend: Trend = Trend.AUTO
) -> FittedCard:
    if recipe == "smooth":
        return fit_smooth_card(offered(trend), columns, rows, rules=SmoothRules(fixed=fixed))
    return fit_card(offered(trend), columns, rows, recipe=Recipe(fixed=fixed))


@pytest.fixture(scope="module")
def loans() -> tuple[Frame, Rows]:
    return frame(6000)


@pytest.mark.parametrize("recipe", ["classical", "smooth"])
def test_bins_made_by_hand_are_the_bins_of_the_card_and_every_row_is_in_the_bin_of_its_value(
    recipe: str, loans: tuple[Frame, Rows]
) -> None:
    columns, rows = loans
    fitted = fitted_by(recipe, columns, rows, fixed=FIXED)
    assert {"income", "housing"} <= set(fitted.fit.features)
    for name in fitted.fit.features:
        found = fitted.bins[name]
        assert found.bins == FIXED[name]
        column = columns.levels(name) if name == "housing" else columns.numbers(name)
        codes = FIXED[name].assign_column(column)
        assert np.array_equal(fitted.design.codes(name), codes)
        train = rows.is_in(0)
        assert np.array_equal(found.train.rows, np.bincount(codes[train], minlength=FIXED[name].size))
        assert np.array_equal(found.train.bads, np.bincount(codes[train], rows.bad[train], minlength=FIXED[name].size))
        assert found.note is not None
        assert found.note.startswith("bins made by hand")


def test_a_predictor_that_nobody_edited_is_binned_as_before(loans: tuple[Frame, Rows]) -> None:
    """On a classical card; the smooth recipe fits all of them together."""
    columns, rows = loans
    plain = fitted_by("classical", columns, rows, fixed={})
    edited = fitted_by("classical", columns, rows, fixed={"housing": FIXED["housing"]})
    assert edited.bins["income"].bins == plain.bins["income"].bins
    assert edited.bins["income"].note == plain.bins["income"].note


def test_bins_by_hand_that_repeat_those_of_the_fit_give_the_same_card(loans: tuple[Frame, Rows]) -> None:
    columns, rows = loans
    plain = fitted_by("classical", columns, rows, fixed={})
    again = fitted_by("classical", columns, rows, fixed={name: it.bins for name, it in plain.bins.items()})
    assert again.points == plain.points
    assert np.array_equal(again.scores, plain.scores)


@pytest.mark.parametrize("recipe", ["classical", "smooth"])
def test_less_discriminatory_alternatives_are_sought_on_the_bins_made_by_hand(
    recipe: str, loans: tuple[Frame, Rows]
) -> None:
    columns, rows = loans
    base = fitted_by(recipe, columns, rows, fixed=FIXED)
    refitter = (
        smooth_refitter(base, offered(), columns, rows, rules=SmoothRules(fixed=FIXED))
        if recipe == "smooth"
        else classical_refitter(base, offered(), columns, rows, recipe=Recipe(fixed=FIXED))
    )
    for change in (Change(without=("housing",)), Change(max_bins=2)):
        found = refitter.fit(change)
        assert found.bins["income"].bins == FIXED["income"]
        assert ("housing" in found.fit.features) == (not change.without)


@pytest.mark.parametrize("recipe", ["classical", "smooth"])
def test_a_trend_that_the_contract_asks_and_a_person_breaks_is_told_and_kept_so(
    recipe: str, loans: tuple[Frame, Rows]
) -> None:
    columns, rows = loans
    fitted = fitted_by(recipe, columns, rows, fixed={"income": FIXED["income"]}, trend=Trend.ASCENDING)
    found = fitted.bins["income"]
    assert found.bins == FIXED["income"]
    assert "The contract asks for the trend ascending, which breaks from bin 1 to bin 2" in (found.note or "")
    assert found.trend != Trend.ASCENDING


@pytest.mark.parametrize("recipe", ["classical", "smooth"])
@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        (NumericBins("income", (0.0, 90.0)), r"'income': bin 3 \(90 or more\) would hold no row of train"),
        (NumericBins("income", (0.5, 0.5000000001)), r"'income': bin 2 \(0.5 to 0.5\) would hold no row of train"),
        (CategoryBins("housing", (("own",), ("yacht",))), r"'housing': bin 2 \(yacht\) would hold no row of train"),
        (CategoryBins("income", (("own",),)), "'income': the bins made by hand and the column are"),
        (NumericBins("housing", (0.5,)), "'housing': the bins made by hand and the column are"),
        (NumericBins("height", (0.5,)), "'height' is no predictor of the contract"),
        (NumericBins("age_of_file", (0.5,)), "have the special codes none; the contract has -1.0"),
    ],
)
def test_bins_that_say_nothing_of_this_tape_are_refused(
    recipe: str, fixed: Bins, message: str, loans: tuple[Frame, Rows]
) -> None:
    with pytest.raises(EditError, match=message):
        fitted_by(recipe, *loans, fixed={fixed.feature: fixed})


def test_the_figures_of_bins_by_hand_are_those_of_paper_and_pencil() -> None:
    """Ten loans below 5 of which four turn bad, ten above of which one does, five missing of which two do."""
    values = np.array([1.0] * 10 + [9.0] * 10 + [np.nan] * 5)
    bad = np.array([1] * 4 + [0] * 6 + [1] + [0] * 9 + [1] * 2 + [0] * 3, dtype=np.uint8)
    everywhere = np.ones(25, dtype=bool)
    found = count_by_hand(NumericBins("income", (5.0,)), values, bad=bad, train=everywhere, rules=LOOSE)
    assert found.train.goods.tolist() == [6, 9, 3]
    assert found.train.bads.tolist() == [4, 1, 2]
    assert (found.trend, found.note) == (Trend.DESCENDING, "bins made by hand")
    shares = [(6 / 18, 4 / 7), (9 / 18, 1 / 7), (3 / 18, 2 / 7)]
    assert information_value(found.train) == pytest.approx(sum((g - b) * math.log(g / b) for g, b in shares))


def test_a_bin_with_less_than_the_rules_ask_is_told() -> None:
    values, bad = np.arange(100.0), (np.arange(100) % 4 == 0).astype(np.uint8)
    rules = BinningRules(min_share=0.05, min_bads=2.0, min_goods=2.0)
    found = count_by_hand(NumericBins("age", (2.0,)), values, bad=bad, train=np.ones(100, dtype=bool), rules=rules)
    assert found.note == (
        "bins made by hand. Bin 1 holds 1 bads, fewer than 2. Bin 1 holds 1 goods, fewer than 2. "
        "Bin 1 holds 2.0% of train, less than 5.0%"
    )


@pytest.mark.parametrize(
    ("rates", "asked", "broken"),
    [
        ([1, 2, 3], Trend.ASCENDING, ()),
        ([1, 2, 2], Trend.ASCENDING, ()),
        ([1, 3, 2], Trend.ASCENDING, (1,)),
        ([1, 3, 2], Trend.DESCENDING, (0,)),
        ([4, 3, 1, 2], Trend.EITHER, (2,)),
        ([1, 3, 2, 4], Trend.PEAK, (2,)),
        ([1, 3, 2, 1], Trend.PEAK, ()),
        ([3, 1, 2], Trend.VALLEY, ()),
        ([1, 3, 2], Trend.VALLEY, (1,)),
        ([1, 3, 2], Trend.FREE, ()),
        ([1, 3, 2], Trend.AUTO, ()),
        ([1], Trend.ASCENDING, ()),
    ],
)
def test_the_steps_that_break_a_trend_are_found(rates: list[float], asked: Trend, broken: tuple[int, ...]) -> None:
    assert broken_at(np.array(rates, dtype=float), asked) == broken
    kept = shape_of(np.array(rates, dtype=float))
    assert broken_at(np.array(rates, dtype=float), kept) == ()


def evaluation(card: str, gini: float, value: float | None) -> dict[str, Any]:
    on_card = [] if value is None else [{"feature": "income", "information_value": value}]
    figures = {"gini": gini, "ks": 0.3, "log_loss": 0.2, "at_cutoff": {"approval_rate": 0.8, "npl_rate": 0.05}}
    return {
        "card_sha256": card,
        "validation": figures,
        "characteristics": on_card,
        "trends": {"income": "bins made by hand"},
    }


def test_what_an_edit_did_is_read_from_the_draft_of_the_next() -> None:
    first, edits = NumericBins("income", (1.0, 2.0)), Edits()
    for gini, value, change in ((0.40, 0.11, Merge(bins=(1, 2))), (0.38, 0.09, Split(at=1.5))):
        bins = edits.fixed.get("income", first)
        draft = draft_of(evaluation(f"{gini}", gini, value), bins, ORIGIN)
        at = datetime(2026, 1, 2, tzinfo=UTC)
        edits = edits.followed_by("income", change, author="Ann", reason="why", at=at, draft=draft)
    told = tell_edits(edits, evaluation("now", 0.41, None), ORIGIN)
    steps = [(it["before"]["gini"], it["after"]["gini"]) for it in told["made"]]
    assert steps == [(0.40, 0.38), (0.38, 0.41)]
    values = [(it["before"]["information_value"], it["after"]["information_value"]) for it in told["made"]]
    assert values == [(0.11, 0.09), (0.09, None)]
    assert told["bins_by_hand"] == [{"characteristic": "income", "on_card": False, "note": "bins made by hand"}]
    elsewhere = tell_edits(
        edits, evaluation("now", 0.41, None), ORIGIN.model_copy(update={"snapshot_sha256": "another"})
    )
    assert [it["elsewhere"] for it in elsewhere["made"]] == [True, True]
    assert [it["after"] is None for it in elsewhere["made"]] == [False, True]
