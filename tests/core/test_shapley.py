"""What a characteristic adds to a score is its exact Shapley value, whoever computes it."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_reasons import card, characteristic

from obligor.core.counterfactuals import score_of_bins
from obligor.core.errors import CardError
from obligor.core.scorecard import Characteristic, Pair, Scorecard
from obligor.core.shapley import in_log_odds, shapley_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS = st.tuples(*[st.integers(0, 2)] * 4)
POINTS = st.integers(-40_000, 40_000)


def on(it: Characteristic, codes: NDArray[np.int64]) -> Characteristic:
    """Write the rows of a background into the bins of a characteristic."""
    held = np.bincount(codes, minlength=len(it.bins))
    bins = (
        row.model_copy(update={"goods": float(n) / 4, "bads": float(n) * 3 / 4})
        for row, n in zip(it.bins, held, strict=True)
    )
    return it.model_copy(update={"bins": tuple(bins)})


def pair_on(
    names: tuple[str, str], points: Sequence[Sequence[int]], one: NDArray[np.int64], other: NDArray[np.int64]
) -> Pair:
    held = np.zeros((3, 3))
    np.add.at(held, (one, other), 1.0)
    return Pair(
        features=names, rows=(0, 1, 2), columns=(0, 1, 2), points=tuple(map(tuple, points)),
        goods=tuple(map(tuple, (held / 4).tolist())), bads=tuple(map(tuple, (held * 3 / 4).tolist())), reference=0,
    )  # fmt: skip


def made(seed: int, rows: int = 60) -> tuple[Scorecard, NDArray[np.int64]]:
    """A card of four characteristics and two pairs that share one, on a background in which they hang together."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 3, (rows, 4))
    codes[: rows // 2, 1] = codes[: rows // 2, 0]
    names = "abcd"
    parts = [
        on(characteristic(name, random.integers(-30_000, 30_000, 3).tolist(), reference=0), codes[:, at])
        for at, name in enumerate(names)
    ]
    pairs = tuple(
        pair_on(
            (names[one], names[other]), random.integers(-9_000, 9_000, (3, 3)).tolist(), codes[:, one], codes[:, other]
        )
        for one, other in ((0, 1), (2, 1))
    )
    whole = card(*parts, pairs=pairs)
    return whole.model_copy(update={"base_points": 512_345}), codes


def scores(whole: Scorecard, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([score_of_bins(whole, row) / 1000 for row in codes.astype(int)])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap's own drawing, with newer matplotlib
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_shap_library_gives_the_same_values(seed: int) -> None:
    """Its exact explainer over a masker of independent background rows, on a card with pairs."""
    import shap

    whole, background = made(seed)
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explained = shap.explainers.Exact(lambda rows: scores(whole, rows), masker)(background[:25])
    tables = shapley_tables(whole)
    assert explained.base_values == pytest.approx(np.full(25, tables.mean), abs=1e-9)
    assert explained.values == pytest.approx(np.array([tables.of(row) for row in background[:25]]), abs=1e-9)


def test_the_definition_over_every_order_of_players_gives_the_same_values() -> None:
    whole, background = made(7, rows=24)
    row = np.array([2, 0, 1, 2])
    wanted = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        played = background.copy()
        before = scores(whole, played).mean()
        for player in order:
            played[:, player] = row[player]
            after = scores(whole, played).mean()
            wanted[player] += (after - before) / len(orders)
            before = after
    assert shapley_tables(whole).of(row.tolist()) == pytest.approx(wanted.tolist(), abs=1e-9)


@given(BINS, st.integers(0, 50))
def test_contributions_lead_from_the_mean_score_to_the_score(bins: tuple[int, ...], seed: int) -> None:
    whole, _ = made(seed)
    tables = shapley_tables(whole)
    assert tables.mean + sum(tables.of(bins)) == pytest.approx(score_of_bins(whole, bins) / 1000, abs=1e-9)


def test_over_the_train_rows_contributions_have_a_mean_of_zero_where_nothing_is_paired() -> None:
    whole, background = made(5)
    tables = shapley_tables(whole.model_copy(update={"pairs": ()}))
    added = np.array([tables.of(row) for row in background])
    assert added.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-9)


@given(BINS, st.permutations(range(4)))
def test_contributions_do_not_hang_on_the_order_of_the_card(bins: tuple[int, ...], order: list[int]) -> None:
    whole, _ = made(9)
    turned = whole.model_copy(update={"characteristics": tuple(whole.characteristics[at] for at in order)})
    found = dict(zip("abcd", shapley_tables(whole).of(bins), strict=True))
    again = shapley_tables(turned)
    assert dict(zip(again.names, again.of([bins[at] for at in order]), strict=True)) == found


def test_a_pair_is_shared_alike_where_its_characteristics_are_independent_and_the_grid_is_pure() -> None:
    """Reasons share a pair alike: then, and only then, that is its Shapley value."""
    codes = np.array(list(product(range(3), repeat=2)))
    pure = ((4000, -2000, -2000), (-1000, 3000, -2000), (-3000, -1000, 4000))
    flat = [on(characteristic(name, (0, 0, 0), reference=0), codes[:, at]) for at, name in enumerate("ab")]
    whole = card(*flat, pairs=(pair_on(("a", "b"), pure, codes[:, 0], codes[:, 1]),))
    for one, other in codes.tolist():
        assert shapley_tables(whole).of((one, other)) == pytest.approx([pure[one][other] / 2000] * 2, abs=1e-12)


def test_pdo_points_are_log_odds_of_ln_two() -> None:
    whole, _ = made(1)
    assert in_log_odds(whole.scale.pdo, whole.scale) == pytest.approx(np.log(2))


def test_a_card_without_train_rows_has_no_mean_and_says_so() -> None:
    empty = characteristic("a", (0, 1, 2), reference=0)
    bins = tuple(row.model_copy(update={"goods": 0.0, "bads": 0.0}) for row in empty.bins)
    with pytest.raises(CardError, match="'a' has no train rows"):
        shapley_tables(card(empty.model_copy(update={"bins": bins})))
