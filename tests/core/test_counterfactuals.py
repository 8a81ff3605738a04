"""The nearest change that would reach the cut-off, each scored again."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_reasons import card, characteristic, grid

from obligor.core.counterfactuals import Counterfactual, counterfactuals, score_of_bins
from obligor.core.scorecard import CardBin, CardCutoff, Characteristic, Scorecard

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def groups(name: str, points: Sequence[int], **more: bool) -> Characteristic:
    """A category with a group for each of such points, and no points for missing and unseen levels."""
    bins = (
        CardBin(label=f"{name}{at}", points=each, woe=0.0, goods=1.0, bads=1.0)
        for at, each in enumerate((*points, 0, 0))
    )
    return Characteristic(
        feature=name, kind="category", groups=tuple((f"{name}{at}",) for at in range(len(points))), bins=tuple(bins),
        trend="free", information_value=0.1, coefficient=1.0, reference=0, **more,
    )  # fmt: skip


SMALL = st.integers(-6, 6)


@st.composite
def cards(draw: st.DrawFn) -> Scorecard:
    """Four characteristics, numbers and a category, some of them changeable, with pairs that share one."""

    def points(size: int) -> list[int]:
        return draw(st.lists(SMALL, min_size=size, max_size=size))

    parts = [characteristic(name, points(5), reference=0, changeable=draw(st.booleans())) for name in "abc"]
    parts.append(groups("d", points(3), changeable=True))
    pairs = [
        grid(one, other, tuple(tuple(points(5)) for _ in range(5)), 0)
        for one, other in draw(st.sampled_from([(), (("a", "b"),), (("a", "b"), ("d", "b")), (("c", "d"), ("a", "d"))]))
    ]
    cutoff = CardCutoff(score=draw(st.integers(-5, 20)), chosen_by="profit")
    return card(*parts, pairs=tuple(pairs)).model_copy(update={"cutoff": cutoff})


def brute_force(whole: Scorecard, bins: Sequence[int], most_changes: int) -> list[tuple[int, int, tuple[int, ...]]]:
    """Every way of the fewest changes that reaches the cut-off: its steps, its score and its bins, the nearest first."""
    for count in range(1, most_changes + 1):
        found = []
        for places in combinations([at for at, it in enumerate(whole.characteristics) if it.changeable], count):
            for codes in product(*(range(whole.characteristics[at].binning.ordinary) for at in places)):
                moved = list(bins)
                for at, code in zip(places, codes, strict=True):
                    moved[at] = code
                if all(moved[at] != bins[at] for at in places) and score_of_bins(whole, moved) >= whole.cutoff.score:
                    steps = sum(steps_between(whole.characteristics[at], bins[at], moved[at]) for at in places)
                    found.append((steps, score_of_bins(whole, moved), tuple(moved)))
        if found:
            return sorted(found)
    return []


def steps_between(it: Characteristic, here: int, there: int) -> int:
    return abs(here - there) if it.kind == "numeric" and here < it.binning.ordinary else 1


def told(whole: Scorecard, bins: Sequence[int], way: Counterfactual) -> tuple[int, int, tuple[int, ...]]:
    codes = {change.feature: change.to_code for change in way.changes}
    moved = [codes.get(it.feature, code) for it, code in zip(whole.characteristics, bins, strict=True)]
    steps = sum(
        steps_between(it, here, there) if here != there else 0
        for it, here, there in zip(whole.characteristics, bins, moved, strict=True)
    )
    return steps, way.score, tuple(moved)


@settings(max_examples=400)
@given(cards(), st.tuples(*[st.integers(0, 4)] * 4), st.integers(1, 3), st.integers(1, 5))
def test_the_search_finds_what_trying_everything_finds(
    whole: Scorecard, bins: tuple[int, ...], most_changes: int, most: int
) -> None:
    found = [told(whole, bins, way) for way in counterfactuals(whole, bins, most_changes=most_changes, most=most)]
    if score_of_bins(whole, bins) >= whole.cutoff.score:
        assert found == []
        return
    wanted = brute_force(whole, bins, most_changes)
    assert [it[:2] for it in found] == [it[:2] for it in wanted[:most]]
    assert set(found) <= set(wanted)


def test_three_changes_among_thirty_characteristics_of_ten_bins_are_found_without_trying_three_million() -> None:
    """Two changes never suffice; of the 2,958,930 sets of three the nearest are those of the least to spare."""
    parts = [groups(f"c{at}", [0, *(at * 10 + to for to in range(1, 10))], changeable=True) for at in range(30)]
    whole = card(*parts).model_copy(update={"cutoff": CardCutoff(score=299 + 298 + 1, chosen_by="profit")})
    found = counterfactuals(whole, (0,) * 30, most_changes=3)
    assert [(len(way.changes), way.score) for way in found] == [(3, 598)] * 3


def test_a_check_may_refuse_a_way_and_the_next_nearest_is_asked() -> None:
    whole = made(7)
    asked: list[Counterfactual] = []

    def check(way: Counterfactual) -> Counterfactual | None:
        asked.append(way)
        return way if len(way.changes) == 2 else None

    found = counterfactuals(whole, (0, 0, 0), check=check)
    assert {len(way.changes) for way in asked} == {1, 2}
    assert {len(way.changes) for way in found} == {2}


def test_more_than_three_changes_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted 0 to 3"):
        counterfactuals(made(7), (0, 0, 0), most_changes=4)
