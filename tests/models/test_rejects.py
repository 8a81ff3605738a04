"""The declined weigh what the tape says, are as bad as is assumed and no more, and teach a card nothing that it told them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tests.models.worlds import Frame, make_world

from obligor.core.clauses import CardScale
from obligor.core.errors import InvalidInputError, TapeError
from obligor.core.trend import Trend
from obligor.models.columns import TEST, TRAIN, VALIDATION, Predictor, Rows
from obligor.models.pairs import PairRules
from obligor.models.projection import SmoothRules
from obligor.models.rejects import (
    Accepted,
    AugmentedColumns,
    Declined,
    Fuzzy,
    Parcelling,
    augment,
    bands_of,
    inference_of,
    score_columns,
    uplifted,
    weigh,
)
from obligor.models.scaling import log_odds_of, score_column
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import Recipe, fit_card

SCALE = CardScale()
PREDICTORS = [
    Predictor("income", "numeric", Trend.AUTO),
    Predictor("age_of_file", "numeric", Trend.AUTO, specials=(-1.0,)),
    Predictor("housing", "category", Trend.AUTO),
]
UPLIFTS = st.floats(0.05, 20)


def known_rows(size: int = 40, weight: np.ndarray | None = None) -> Rows:
    return Rows(np.arange(size) % 2 == 0, np.arange(size, dtype=np.uint8) % 3, weight)  # type: ignore[arg-type]


def drawn(rows: int, seed: int = 3) -> Accepted:
    """Accepted loans whose bads come as their scores say."""
    random = np.random.default_rng(seed)
    scores = random.integers(480_000, 620_000, rows)
    bad = random.random(rows) < 1 / (1 + np.exp(log_odds_of(scores, scale=SCALE)))
    return Accepted(scores, bad.astype(np.uint8), random.uniform(0.5, 2, rows), SCALE)


# --- laws --------------------------------------------------------------------------------------------------------


@given(pd=st.floats(1e-6, 1 - 1e-6), one=UPLIFTS, other=UPLIFTS)
def test_an_uplift_multiplies_the_odds_and_no_pd_passes_one(pd: float, one: float, other: float) -> None:
    found = uplifted(np.array([pd]), one)
    assert 0 < found[0] < 1 + 1e-15
    assert found / (1 - found) == pytest.approx(one * pd / (1 - pd), rel=1e-6)
    assert uplifted(found, other) == pytest.approx(uplifted(np.array([pd]), one * other), rel=1e-9)
    assert uplifted(np.array([pd]), 1.0) == pytest.approx(pd, rel=1e-12)


@given(
    data=st.lists(st.tuples(st.integers(0, 2), st.floats(0.1, 5), st.floats(0, 1)), min_size=1, max_size=30),
    weighted=st.booleans(),
)
def test_the_declined_enter_with_their_weight_and_their_assumed_bads(
    data: list[tuple[int, float, float]], *, weighted: bool
) -> None:
    sample, weight, pds = (np.array(it) for it in zip((TRAIN, 1.0, 0.5), *data, strict=True))
    rows = known_rows(weight=np.arange(40) + 1.0 if weighted else None)
    together = augment(rows, Declined(sample.astype(np.uint8), weight), pds)
    assert together.weight is not None
    train = sample == TRAIN
    added, bads = together.weight[40:], together.bad[40:] == 1
    assert added.sum() == pytest.approx(weight[train].sum())
    assert added[bads].sum() == pytest.approx((weight * pds)[train].sum())
    assert (together.sample[40:] == TRAIN).all()
    assert (together.bad[:40] == rows.bad).all()
    assert (together.weight[:40] == (1 if rows.weight is None else rows.weight)).all()


@given(rates=st.tuples(*[st.floats(0.05, 0.95)] * 3), weighted=st.booleans(), seed=st.integers(0, 99))
def test_the_weight_of_the_declined_against_the_accepted_is_the_approval_rate_of_the_tape(
    rates: tuple[float, float, float], *, weighted: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    sample = np.concatenate([[TRAIN, VALIDATION, TEST], random.integers(0, 3, 20)]).astype(np.uint8)
    rows = known_rows(weight=random.uniform(0.5, 2, 40) if weighted else None)
    found = weigh(rows, sample, random.uniform(0.5, 2, 23), rates=rates)
    for code, rate in enumerate(rates):
        own = np.ones(40) if rows.weight is None else rows.weight
        accepted, declined = own[rows.sample == code].sum(), found.weight[sample == code].sum()
        assert accepted / (accepted + declined) == pytest.approx(rate)


def test_where_every_outcome_is_known_one_declined_application_weighs_as_one_loan() -> None:
    rows = known_rows()
    sample = np.full(25, TRAIN, dtype=np.uint8)
    accepted = int(rows.is_in(TRAIN).sum())
    found = weigh(rows, sample, np.ones(25), rates=[accepted / (accepted + 25), 1, 1])
    assert found.weight == pytest.approx(np.ones(25))


@settings(max_examples=30)
@given(seed=st.integers(0, 50), bands=st.integers(1, 20))
def test_parcelling_at_an_uplift_of_one_keeps_the_bad_rate_of_each_band(seed: int, bands: int) -> None:
    accepted = drawn(600, seed)
    declined = np.random.default_rng(seed).integers(440_000, 580_000, 300)
    edges, rates = bands_of(accepted, declined, most=bands)
    pds = Parcelling(1.0, bands).pds(declined, accepted)
    place, own = (np.searchsorted(edges, it, side="right") for it in (declined, accepted.scores))
    for band in range(len(edges) + 1):
        bads = np.average(accepted.bad[own == band], weights=accepted.weight[own == band])
        assert rates[band] == pytest.approx(bads)
        assert pds[place == band] == pytest.approx(bads)


@settings(max_examples=30)
@given(seed=st.integers(0, 50), bands=st.integers(2, 30))
def test_every_band_holds_accepted_goods_and_bads_enough(seed: int, bands: int) -> None:
    accepted = drawn(400, seed)
    edges, _ = bands_of(accepted, np.random.default_rng(seed).integers(400_000, 540_000, 500), most=bands)
    place = np.searchsorted(edges, accepted.scores, side="right")
    for outcome in (0, 1):
        held = np.bincount(place, weights=accepted.weight * (accepted.bad == outcome), minlength=len(edges) + 1)
        assert len(edges) == 0 or held.min() >= 5


def test_a_logistic_regression_that_is_shown_its_own_pds_answers_with_itself() -> None:
    """Fuzzy augmentation at an uplift of 1 teaches nothing: with the bins held, every coefficient stays."""
    random = np.random.default_rng(5)
    x = random.standard_normal((3000, 3))
    bad = (random.random(3000) < 1 / (1 + np.exp(1 - x @ [1.0, -0.5, 0.2]))).astype(np.uint8)
    others = random.standard_normal((2000, 3)) + 0.8
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, bad)
    known, new = (score_column(-model.decision_function(it), scale=SCALE) for it in (x, others))
    pds = Fuzzy(1.0).pds(new, Accepted(known, bad, np.ones(3000), SCALE))
    assert pds == pytest.approx(model.predict_proba(others)[:, 1], abs=1e-4)
    rows = augment(
        Rows(bad, np.r_[np.full(2990, TRAIN), np.full(10, VALIDATION)].astype(np.uint8)),
        Declined(np.full(2000, TRAIN, dtype=np.uint8), np.ones(2000)),
        pds,
    )
    again = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    again.fit(np.vstack([x, others, others]), rows.bad, sample_weight=rows.weight)
    assert again.coef_ == pytest.approx(model.coef_, abs=1e-3)
    assert again.intercept_ == pytest.approx(model.intercept_, abs=1e-3)


def test_fuzzy_at_an_uplift_of_one_hardly_moves_a_card_and_a_higher_one_makes_it_stricter() -> None:
    world = make_world()
    known, others = part(world.frame, slice(0, 3000)), part(world.frame, slice(3000, 4000))
    rows = Rows(world.rows.bad[:3000], world.rows.sample[:3000])
    plain = fit_card(PREDICTORS, known, rows)
    train = rows.is_in(TRAIN)
    accepted = Accepted(plain.scores[train], rows.bad[train], np.ones(int(train.sum())), SCALE)
    declined = Declined(np.full(1000, TRAIN, dtype=np.uint8), np.ones(1000))
    columns = AugmentedColumns(known, others, np.ones(1000, dtype=bool))
    scores = score_columns(plain, others, rows=1000)
    means = []
    for uplift in (1.0, 3.0):
        pds = Fuzzy(uplift).pds(scores, accepted)
        fitted = fit_card(PREDICTORS, columns, augment(rows, declined, pds), known=3000).first(3000)
        assert len(fitted.scores) == 3000
        assert fitted.design.codes(fitted.fit.features[0]).shape == (3000,)
        means.append(score_columns(fitted, others, rows=1000).mean())
    assert abs(means[0] - scores.mean()) < 1500  # thousandths: one and a half points
    assert means[1] < means[0] - 5000


def test_inferred_rows_afford_no_bins_and_earn_no_segment() -> None:
    world = make_world()
    known, others = part(world.frame, slice(0, 1500)), part(world.frame, slice(1500, 4000))
    rows = Rows(world.rows.bad[:1500], world.rows.sample[:1500])
    declined = Declined(np.full(2500, TRAIN, dtype=np.uint8), np.ones(2500))
    columns = AugmentedColumns(known, others, np.ones(2500, dtype=bool))
    augmented = augment(rows, declined, np.full(2500, 0.4))
    fitted = fit_card(PREDICTORS, columns, augmented, recipe=Recipe(segment="housing"), known=1500)
    bads = int(rows.bad[rows.is_in(TRAIN)].sum())
    assert all(it.bins.ordinary <= max(3, bads // 40) for name, it in fitted.bins.items() if name != "housing")
    assert sum(it.rows for it in fitted.segments) == rows.is_in(TRAIN).sum()
    assert sum(it.bads for it in fitted.segments) == bads
    assert len(fitted.scores) == 1500


# --- columns and scores ------------------------------------------------------------------------------------------


def part(frame: Frame, rows: slice) -> Frame:
    return Frame({name: column[rows] for name, column in frame.columns.items()})


def test_columns_of_accepted_and_declined_are_joined_level_by_level() -> None:
    known = Frame({"x": np.array([1.0, np.nan]), "level": np.array(["b", "d"])})
    others = Frame({"x": np.array([3.0, 4.0, 5.0]), "level": np.array(["d", "a", "c"])})
    both = AugmentedColumns(known, others, np.array([True, False, True]))
    assert both.numbers("x") == pytest.approx([1, np.nan, 3, 5, 3, 5], nan_ok=True)
    levels = both.levels("level")
    assert [levels.names[code] for code in levels.codes] == ["b", "d", "d", "c", "d", "c"]


def test_a_level_that_is_missing_stays_missing_beside_the_declined() -> None:
    from obligor.core.bins import Levels

    class Some:
        def __init__(self, *codes: int) -> None:
            self.codes = np.array(codes, dtype=np.int32)

        def numbers(self, name: str) -> np.ndarray:
            raise AssertionError(name)

        def levels(self, name: str) -> Levels:
            return Levels(self.codes, (name,))

    both = AugmentedColumns(Some(0, -1), Some(-1, 0), np.array([True, True]))
    assert both.levels("own").codes.tolist() == [0, -1, -1, 0, -1, 0]


@pytest.mark.parametrize("recipe", ["classical", "smooth"])
def test_other_rows_earn_the_points_that_the_fit_gives_its_own(recipe: str) -> None:
    world = make_world()
    rules = SmoothRules(pairs=PairRules(chance=1e30, folds=0))  # takes pairs, whatever they gain
    fitted = (
        world.fitted if recipe == "classical" else fit_smooth_card(PREDICTORS, world.frame, world.rows, rules=rules)
    )
    assert bool(fitted.points.grids) == (recipe == "smooth")
    assert (score_columns(fitted, world.frame, rows=4000) == fitted.scores).all()


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uplift", [0.0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize("kind", [Fuzzy, Parcelling])
def test_an_uplift_that_no_odds_can_have_is_refused(kind: type, uplift: float) -> None:
    with pytest.raises(InvalidInputError, match="uplift of"):
        kind(uplift)


def test_parcelling_needs_a_band() -> None:
    with pytest.raises(InvalidInputError, match="0 bands"):
        Parcelling(1.0, 0)


@pytest.mark.parametrize(("scores", "side"), [([100_000, 200_000], "below"), ([900_000], "above")])
def test_parcelling_refuses_declined_that_are_like_none_of_the_accepted(scores: list[int], side: str) -> None:
    with pytest.raises(TapeError, match=rf"all {len(scores)} declined applications score {side} every one of 400"):
        Parcelling().pds(np.array(scores), drawn(400))


def test_the_declined_need_weights_and_a_place_in_train() -> None:
    one = np.zeros(1, dtype=np.uint8)
    with pytest.raises(InvalidInputError, match="2 weights for 1 applications"):
        Declined(one, np.ones(2))
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(InvalidInputError, match="negative or not finite"):
            Declined(one, np.array([weight]))
    with pytest.raises(InvalidInputError, match="none in train"):
        Declined(one + np.uint8(TEST), np.ones(1))
    with pytest.raises(InvalidInputError, match="weigh nothing"):
        weigh(known_rows(), one, np.zeros(1), rates=[0.5, 1, 1])
    with pytest.raises(InvalidInputError, match="train: an approval rate of 0"):
        weigh(known_rows(), one, np.ones(1), rates=[0.0, 1, 1])


def test_an_inference_has_a_name_and_none_is_none() -> None:
    assert inference_of("none", 1.0) is None
    assert inference_of("fuzzy", 2.0) == Fuzzy(2.0)
    assert inference_of("parcelling", 1.5) == Parcelling(1.5)
