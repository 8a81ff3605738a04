"""The nearest change that would reach the cut-off, each scored again."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_reasons import card, characteristic, grid

from obligor.core.counterfactuals import counterfactuals, score_of_bins
from obligor.core.scorecard import CardCutoff, Scorecard

BINS = st.tuples(*[st.integers(0, 3)] * 3)


def made(cutoff: int) -> Scorecard:
    rows = (0, 7, 12, 3)
    whole = card(
        characteristic("amount", rows, reference=None, changeable=True),
        characteristic("balance", (0, 4, 9, 2), reference=None, changeable=True),
        characteristic("age", (0, 30, 60, 1), reference=None),
        pairs=(grid("amount", "balance", ((0, 2, -3, 0), (1, -1, 4, 0), (-2, 0, 3, 0), (0, 0, 0, 0)), 0),),
    )
    return whole.model_copy(update={"cutoff": CardCutoff(score=cutoff, chosen_by="profit")})


def test_one_small_change_is_nearer_than_a_large_one_and_than_two() -> None:
    found = counterfactuals(made(7), (0, 0, 0))
    assert [(it.changes[0].feature, it.changes[0].to_bin, it.score) for it in found] == [
        ("amount", "7", 8), ("amount", "12", 10)
    ]  # fmt: skip
    assert [(change.feature, change.from_bin) for change in found[0].changes] == [("amount", "0")]


def test_what_cannot_be_changed_is_never_named_and_missing_is_no_advice() -> None:
    assert counterfactuals(made(100), (0, 0, 0)) == ()  # only a higher age would do
    for bins in product(range(4), repeat=3):
        for found in counterfactuals(made(20), bins):
            assert all(change.feature != "age" for change in found.changes)
            assert all(change.to_bin not in ("3", "2") or change.feature == "age" for change in found.changes)


@given(BINS, st.integers(-5, 90))
def test_every_answer_reaches_the_cutoff_by_the_fewest_changes_there_are(bins: tuple[int, ...], cutoff: int) -> None:
    whole = made(cutoff)
    found = counterfactuals(whole, bins)
    if score_of_bins(whole, bins) >= cutoff:
        assert found == ()
        return
    reachable = [
        sum(a != b for a, b in zip(bins, other, strict=True))
        for other in product(range(4), range(4), [bins[2]])
        if score_of_bins(whole, other) >= cutoff and all(a == b or b < 3 for a, b in zip(bins, other, strict=True))
    ]
    assert {len(it.changes) for it in found} == ({min(reachable)} if reachable else set())
    assert all(it.score >= cutoff for it in found)
