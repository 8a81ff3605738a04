"""What the challengers read of a loan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.lenders import PREDICTORS, Loans, make_loans

from obligor.core.errors import InvalidInputError
from obligor.core.trend import Trend
from obligor.models.columns import Predictor, Rows
from obligor.models.inputs import CategoryInput, Inputs, NumberInput, SpecialInput, learn_inputs, parse_inputs

SAMPLE = np.array([0, 0, 0, 0, 1, 1, 2, 2], dtype=np.uint8)
ROWS = Rows(np.array([0, 1, 0, 1, 0, 1, 0, 1], dtype=np.uint8), SAMPLE)


def of_number(values: list[float], *specials: float, trend: Trend = Trend.AUTO) -> np.ndarray:
    loans = Loans({"n": np.array(values)})
    return learn_inputs([Predictor("n", "numeric", trend, specials)], loans, ROWS).matrix(loans)


def test_a_missing_number_stays_missing_where_train_knows_missing_numbers() -> None:
    assert np.isnan(of_number([1, np.nan, 3, 4, np.nan, 6, 7, 8])[4, 0])


def test_a_missing_number_that_train_never_shows_counts_as_the_median_of_train() -> None:
    found = of_number([1, 2, 3, 40, np.nan, 6, 7, np.nan])[:, 0]
    assert found.tolist() == [1, 2, 3, 40, 2, 6, 7, 2]


def test_a_special_code_is_missing_and_told_by_an_indicator() -> None:
    found = of_number([1, -9, 3, 4, -9, 6, -1, 8], -9.0, -1.0)
    assert found.shape == (8, 2)  # train shows -9 only; of -1 it tells nothing
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [1, 4, 6]
    assert found[:, 1].tolist() == [0, 1, 0, 0, 1, 0, 0, 0]


def test_a_level_that_train_never_shows_is_missing() -> None:
    loans = Loans({"c": np.array(["b", "a", "", "b", "z", "a", "z", ""])})
    inputs = learn_inputs([Predictor("c", "category", Trend.AUTO)], loans, ROWS)
    assert inputs.inputs == (CategoryInput(name="c", levels=("a", "b")),)
    assert np.nan_to_num(inputs.matrix(loans)[:, 0], nan=-1).tolist() == [1, 0, -1, 1, -1, 0, -1, -1]


def test_a_predictor_that_is_missing_throughout_train_is_left_out() -> None:
    loans, rows = make_loans(500)
    assert "nothing" not in {it.name for it in learn_inputs(PREDICTORS, loans, rows).inputs}


def test_where_every_predictor_is_missing_the_error_says_so() -> None:
    loans, rows = make_loans(500)
    with pytest.raises(InvalidInputError, match="every predictor is missing in train"):
        learn_inputs([PREDICTORS[-1]], loans, rows)


def test_only_a_trend_that_the_contract_states_gives_a_direction() -> None:
    loans, rows = make_loans(500)
    predictors = [Predictor("income", "numeric", trend) for trend in Trend]
    found = learn_inputs(predictors, loans, rows).directions
    assert dict(zip(Trend, found, strict=True)) == dict.fromkeys(Trend, 0) | {Trend.ASCENDING: 1, Trend.DESCENDING: -1}


def test_the_rows_asked_for_are_those_of_the_whole_matrix() -> None:
    loans, rows = make_loans(500)
    inputs = learn_inputs(PREDICTORS, loans, rows)
    np.testing.assert_array_equal(inputs.matrix(loans, rows.is_in(1)), inputs.matrix(loans)[rows.is_in(1)])


@given(
    st.lists(st.text(), min_size=1, max_size=4).map(tuple),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-1, 0, 1]),
)
def test_inputs_are_read_back_as_they_were_written(levels: tuple[str, ...], number: float, direction: int) -> None:
    inputs = Inputs(
        inputs=(
            NumberInput(name='odd "name"', codes=(number,), fill=number, direction=direction),
            SpecialInput(name="n", code=number),
            CategoryInput(name="c", levels=tuple(level.encode(errors="replace").decode() for level in levels)),
        )
    )
    assert parse_inputs(inputs.to_json()) == inputs


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"pickle?", "is not JSON"),
        (b'{"schema": "obligor/challenger-inputs/1", "inputs": []}', "inputs: "),
        (b'{"schema": "obligor/challenger-inputs/1", "inputs": [{"kind": "odd"}]}', "inputs.0"),
    ],
)
def test_a_file_that_is_not_one_of_inputs_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        parse_inputs(data)
