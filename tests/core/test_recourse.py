"""What would be approved is said as a person would say it: in few digits, inside the bin that earns enough."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.bins import CategoryBins, NumericBins
from obligor.core.counterfactuals import Change
from obligor.core.recourse import round_value

INCOME = NumericBins("income", (1013.0, 2087.0))
BELOW = math.nextafter(2087.0, -math.inf)


def change(to_code: int, value: object) -> Change:
    return Change("income", "from", "to", to_code, value)


@pytest.mark.parametrize(
    ("to_code", "value", "own", "told"),
    [
        (1, 1013.0, 700.0, 1100.0),
        (1, 1013.0, 700.25, 1100.0),
        (1, BELOW, 5000.0, 2000.0),
        (2, 2087.0, 700.0, 2100.0),
        (1, 1013.0, None, 1100.0),
    ],
)
def test_a_value_is_a_little_beyond_what_would_just_do(
    to_code: int, value: float, own: float | None, told: float
) -> None:
    assert round_value(change(to_code, value), INCOME, own) == told


@pytest.mark.parametrize(
    ("cuts", "to_code", "value", "own", "told"),
    [
        ((1.0, 3.0), 1, 1.0, 0.0, 1.0),  # one credit line is one credit line
        ((1.0, 3.0), 0, math.nextafter(1.0, 0.0), 3.0, 0.0),
        ((11.0, 12.0), 1, 11.0, 5.0, 11.0),  # the only whole number there
        ((0.35,), 0, math.nextafter(0.35, 0.0), 0.5, 0.34),
        ((0.351, 0.352), 1, 0.351, 0.123, 0.3511),
    ],
)
def test_a_count_stays_a_count_and_a_share_a_share(
    cuts: tuple[float, ...], to_code: int, value: float, own: float, told: float
) -> None:
    assert round_value(change(to_code, value), NumericBins("x", cuts), own) == told


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e4), st.floats(-1e6, 1e6))
def test_what_is_told_lies_in_the_bin(low: float, width: float, own: float) -> None:
    binning = NumericBins("x", (low, low + width))
    value = low if own < low else math.nextafter(low + width, -math.inf)
    assert binning.assign(round_value(change(1, value), binning, own)) == 1  # type: ignore[arg-type]  # a number


def test_a_category_is_told_as_it_is() -> None:
    assert round_value(change(0, "car"), CategoryBins("purpose", (("car",), ("home",))), "home") == "car"
    assert round_value(change(0, None), INCOME, 700.0) is None
