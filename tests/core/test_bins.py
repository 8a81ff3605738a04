"""A binning is a partition: a bin for every value, and only one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.bins import CategoryBins, Levels, NumericBins
from obligor.core.errors import CardError

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
CUTS = st.lists(NUMBERS, min_size=0, max_size=12, unique=True).map(
    lambda cuts: tuple(sorted(c + 0.0 for c in set(cuts)))
)


@given(
    cuts=CUTS, specials=st.lists(NUMBERS, max_size=3, unique=True), values=st.lists(st.none() | NUMBERS, max_size=30)
)
def test_a_column_and_its_values_fall_into_the_same_bins(
    cuts: tuple[float, ...], specials: list[float], values: list[float | None]
) -> None:
    bins = NumericBins("income", cuts, tuple(specials))
    column = np.array([np.nan if value is None else value for value in values])
    assert bins.assign_column(column).tolist() == [bins.assign(value) for value in values]


@given(cuts=CUTS, value=NUMBERS)
def test_a_value_lies_in_the_interval_of_its_bin(cuts: tuple[float, ...], value: float) -> None:
    bins = NumericBins("income", cuts)
    code = bins.assign(value)
    edges = (-np.inf, *cuts, np.inf)
    assert edges[code] <= value < edges[code + 1]


def test_a_special_code_wins_over_the_interval_it_lies_in() -> None:
    bins = NumericBins("arrears", (1.0, 97.0), (96.0, 98.0))
    assert [bins.assign(value) for value in (0.0, 96.0, 98.0, 99.0, None)] == [0, 3, 4, 2, 5]
    assert bins.labels() == ("below 1", "1 to 97", "97 or more", "special 96", "special 98", "missing")


def test_minus_zero_is_zero() -> None:
    bins = NumericBins("balance", (0.0,))
    assert bins.assign(-0.0) == bins.assign(0.0) == 1
    assert bins.assign_column(np.array([-0.0])).tolist() == [1]


def test_a_level_that_was_never_seen_has_a_bin_of_its_own() -> None:
    bins = CategoryBins("purpose", (("car",), ("house", "wedding")), ("XNA",))
    levels = Levels(np.array([0, 1, 2, 3, -1], dtype=np.int32), ("car", "wedding", "XNA", "yacht"))
    assert bins.assign_column(levels).tolist() == [0, 1, 2, 4, 3]
    assert [bins.assign(level) for level in ("car", "wedding", "XNA", "yacht", None)] == [0, 1, 2, 4, 3]


@pytest.mark.parametrize(
    ("cuts", "specials", "message"),
    [
        ((1.0, 1.0), (), "overlap or stand out of order"),
        ((2.0, 1.0), (), "overlap or stand out of order"),
        ((float("nan"),), (), "finite"),
        ((1.0,), (float("inf"),), "finite"),
        ((1.0,), (9.0, 9.0), "overlap"),
        (tuple(float(i) for i in range(300)), (), "at most 250"),
    ],
)
def test_bins_that_are_no_partition_are_refused(
    cuts: tuple[float, ...], specials: tuple[float, ...], message: str
) -> None:
    with pytest.raises(CardError, match=message):
        NumericBins("income", cuts, specials)


@pytest.mark.parametrize("groups", [(), ((),), (("car",), ("car", "house"))])
def test_groups_with_gaps_or_overlaps_are_refused(groups: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(CardError, match=r"gap|overlap"):
        CategoryBins("purpose", groups)
