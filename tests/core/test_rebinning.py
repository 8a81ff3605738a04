"""A person may change bins as they like, and they stay a partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.bins import Bins, CategoryBins, NumericBins
from obligor.core.errors import EditError
from obligor.core.rebinning import Merge, MoveCut, MoveLevel, Split, SplitLevels, describe, parse_change, rebin

if TYPE_CHECKING:
    from obligor.core.rebinning import Change

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda value: value + 0.0)
CUTS = st.lists(NUMBERS, min_size=1, max_size=10, unique=True).map(lambda cuts: tuple(sorted(cuts)))
LEVELS = ("boat", "car", "family", "house", "own", "rent", "wedding")

INCOME = NumericBins("income", (10.0, 20.0, 41237.4567), (-9.0,))
HOUSING = CategoryBins("housing", (("family", "own"), ("rent",)), ("XNA",))


@st.composite
def groups(draw: st.DrawFn) -> CategoryBins:
    """Draw groups of levels, each sorted."""
    places = draw(st.lists(st.integers(0, 3), min_size=len(LEVELS), max_size=len(LEVELS)))
    found = [tuple(level for level, at in zip(LEVELS, places, strict=True) if at == place) for place in range(4)]
    return CategoryBins("purpose", tuple(group for group in found if group))


@given(cuts=CUTS, data=st.data())
def test_bins_that_are_joined_and_split_at_the_same_cut_are_as_before(
    cuts: tuple[float, ...], data: st.DataObject
) -> None:
    bins = NumericBins("income", cuts)
    at = data.draw(st.integers(1, len(cuts)))
    joined = rebin(Merge(bins=(at, at + 1)), bins)
    assert joined.ordinary == bins.ordinary - 1
    assert rebin(Split(at=cuts[at - 1]), joined) == bins


@given(cuts=CUTS, at=NUMBERS, value=NUMBERS)
def test_a_split_parts_the_values_of_one_bin_and_leaves_the_others_together(
    cuts: tuple[float, ...], at: float, value: float
) -> None:
    bins = NumericBins("income", cuts)
    if at in cuts:
        with pytest.raises(EditError, match="has a cut at"):
            rebin(Split(at=at), bins)
        return
    parted = rebin(Split(at=at), bins)
    assert isinstance(parted, NumericBins)
    assert rebin(Merge(bins=(parted.assign(at), parted.assign(at) + 1)), parted) == bins
    assert parted.assign(value) == bins.assign(value) + (value >= at)


@given(cuts=CUTS, to=NUMBERS, data=st.data())
def test_a_cut_that_moves_and_moves_back_leaves_no_trace(
    cuts: tuple[float, ...], to: float, data: st.DataObject
) -> None:
    bins = NumericBins("income", cuts)
    place = data.draw(st.integers(0, len(cuts) - 1))
    low, high = (float("-inf"), *cuts)[place], (*cuts, float("inf"))[place + 1]
    if not low < to < high:
        with pytest.raises(EditError, match="cannot go to"):
            rebin(MoveCut(cut=cuts[place], to=to), bins)
        return
    moved = rebin(MoveCut(cut=cuts[place], to=to), bins)
    assert rebin(MoveCut(cut=to, to=cuts[place]), moved) == bins


@given(bins=groups(), level=st.sampled_from(LEVELS), data=st.data())
def test_no_change_of_groups_loses_a_level_or_gives_it_two_bins(
    bins: CategoryBins, level: str, data: st.DataObject
) -> None:
    number = st.integers(1, bins.ordinary)
    change = data.draw(
        st.one_of(
            st.builds(Merge, bins=st.tuples(number, number)),
            st.builds(SplitLevels, levels=st.just((level,))),
            st.builds(MoveLevel, level=st.just(level), bin=number),
        )
    )
    try:
        found = rebin(change, bins)
    except EditError:
        return
    assert isinstance(found, CategoryBins)
    assert sorted(it for group in found.groups for it in group) == sorted(LEVELS)
    assert all(list(group) == sorted(group) for group in found.groups)
    assert found != bins


def test_levels_split_off_a_group_and_joined_again_are_as_before() -> None:
    parted = rebin(SplitLevels(levels=("own",)), HOUSING)
    assert parted.labels()[:3] == ("family", "own", "rent")
    assert rebin(Merge(bins=(1, 2)), parted) == HOUSING


def test_groups_need_not_be_neighbours_to_be_joined() -> None:
    bins = CategoryBins("housing", (("own",), ("rent",), ("family",)))
    assert rebin(Merge(bins=(3, 1)), bins) == CategoryBins("housing", (("family", "own"), ("rent",)))


def test_a_cut_is_found_by_the_digits_that_the_bins_show() -> None:
    assert rebin(MoveCut(cut=41237.5, to=40000.0), INCOME) == NumericBins("income", (10.0, 20.0, 40000.0), (-9.0,))


@pytest.mark.parametrize(
    ("plain", "bins", "message"),
    [
        (
            {"kind": "merge", "bins": [1, 3]},
            INCOME,
            r"bin 1 \(below 10\) and bin 3 \(20 to 41237.5\) are not neighbours",
        ),
        ({"kind": "merge", "bins": [1, 2, 4]}, INCOME, r"bin 2 .* and bin 4 .* are not neighbours"),
        ({"kind": "merge", "bins": [2]}, INCOME, "got 1 bin to join, wanted at least 2"),
        ({"kind": "merge", "bins": [2, 2]}, INCOME, "got 1 bin to join, wanted at least 2"),
        ({"kind": "merge", "bins": [0, 1]}, INCOME, "has no bin 0; wanted 1 to 4"),
        ({"kind": "merge", "bins": [4, 5]}, INCOME, r"bin 5 \(special -9\) keeps a bin of its own"),
        ({"kind": "merge", "bins": [1, 6]}, INCOME, r"bin 6 \(missing\) keeps a bin of its own"),
        ({"kind": "merge", "bins": [2, 5]}, HOUSING, r"bin 5 \(unseen\) keeps a bin of its own"),
        ({"kind": "split", "at": 20}, INCOME, "has a cut at 20.0 already"),
        ({"kind": "split", "at": "inf"}, INCOME, "split.at: got a text, wanted a finite number"),
        ({"kind": "split", "at": 1}, HOUSING, "is a category, which has no place for a split at a cut"),
        ({"kind": "split_levels", "levels": ["a"]}, INCOME, "is a number, which has no place for a split by levels"),
        ({"kind": "split_levels", "levels": ["own", "family"]}, HOUSING, "would have no level"),
        ({"kind": "split_levels", "levels": ["own", "rent"]}, HOUSING, "stand in 2 bins; wanted levels of one bin"),
        ({"kind": "move_cut", "cut": 11, "to": 12}, INCOME, "has no cut 11; it has 10, 20, 41237.5"),
        ({"kind": "move_cut", "cut": 10, "to": 20}, INCOME, "cannot go to 20; .* its neighbours, no limit and 20"),
        ({"kind": "move_cut", "cut": 20, "to": 9}, INCOME, "cannot go to 9; .* its neighbours, 10 and 41237.5"),
        ({"kind": "move_level", "level": "rent", "bin": 1}, HOUSING, "would have no level; wanted a level that stays"),
        ({"kind": "move_level", "level": "own", "bin": 1}, HOUSING, "stands in bin 1 already"),
        ({"kind": "move_level", "level": "own", "bin": 3}, HOUSING, r"bin 3 \(special XNA\) keeps a bin of its own"),
        ({"kind": "move_level", "level": "yacht", "bin": 1}, HOUSING, "has no level 'yacht'"),
        ({"kind": "move_level", "level": "XNA", "bin": 1}, HOUSING, "'XNA' is a special code"),
        ({"kind": "explode"}, INCOME, "kind: got 'explode', wanted one of 'merge', 'split', "),
        ({"kind": "merge", "bins": [1, 2], "weight": 3}, INCOME, "merge.weight: is a key that is not known"),
    ],
)
def test_a_change_that_the_bins_do_not_allow_is_refused_by_the_name_of_the_bin(
    plain: dict[str, object], bins: Bins, message: str
) -> None:
    with pytest.raises(EditError, match=message):
        rebin(parse_change(plain), bins)


@pytest.mark.parametrize(
    ("change", "bins", "words"),
    [
        (Merge(bins=(3, 2)), INCOME, "joined bin 2 (10 to 20) and bin 3 (20 to 41237.5)"),
        (Split(at=60000), INCOME, "split bin 4 (41237.5 or more) at 60000"),
        (MoveCut(cut=41237.5, to=40000), INCOME, "moved the cut 41237.5 to 40000"),
        (SplitLevels(levels=("own",)), HOUSING, "split off 'own' from bin 1"),
        (MoveLevel(level="own", bin=2), HOUSING, "moved 'own' from bin 1 to bin 2"),
    ],
)
def test_a_change_is_told_in_words(change: Change, bins: Bins, words: str) -> None:
    assert describe(change, bins) == words
