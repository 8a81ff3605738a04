"""Groups are compared at the cut-off, with intervals, and small groups are told as such."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from obligor.core.errors import InvalidInputError
from obligor.measures.fairness import Applicants, GroupOutcome, Groups, compare_groups, impact_ratio, intersections

COUNTS = st.integers(40, 400).flatmap(lambda rows: st.tuples(st.integers(1, rows), st.just(rows)))


@given(COUNTS, COUNTS)
def test_the_ratio_and_its_interval_agree_with_statsmodels(one: tuple[int, int], other: tuple[int, int]) -> None:
    found = impact_ratio(one, other)
    assert found is not None
    ratio, lower, upper = found
    assert ratio == pytest.approx((one[0] / one[1]) / (other[0] / other[1]))
    if 0 < one[0] < one[1] and 0 < other[0] < other[1]:
        peer = confint_proportions_2indep(*one, *other, compare="ratio", method="log", correction=False)
        assert (lower, upper) == pytest.approx(peer, rel=1e-6)


@given(COUNTS, COUNTS)
def test_the_ratio_turns_over_with_the_groups(one: tuple[int, int], other: tuple[int, int]) -> None:
    there, back = impact_ratio(one, other), impact_ratio(other, one)
    assert there is not None
    assert back is not None
    assert there[0] * back[0] == pytest.approx(1)
    assert (there[1] * back[2], there[2] * back[1]) == pytest.approx((1, 1))


@given(COUNTS, st.integers(2, 9))
def test_more_applicants_narrow_the_interval(one: tuple[int, int], times: int) -> None:
    few, many = impact_ratio(one, (70, 100)), impact_ratio((one[0] * times, one[1] * times), (70 * times, 100 * times))
    assert few is not None
    assert many is not None
    assert many[2] - many[1] <= few[2] - few[1]


def test_a_reference_group_without_approvals_has_no_ratio_and_a_group_without_has_one_of_zero() -> None:
    assert impact_ratio((5, 50), (0, 50)) is None
    found = impact_ratio((0, 50), (25, 50))
    assert found is not None
    assert found[:2] == (0, 0)
    assert 0 < found[2] < 0.8


def test_only_the_groups_that_two_columns_make_are_told_and_a_crowd_of_them_is_pooled() -> None:
    random = np.random.default_rng(3)
    wide = [Groups(random.integers(-1, 400, 3000), tuple(f"{name}{at}" for at in range(400))) for name in "ab"]
    both = intersections({"a": wide[0], "b": wide[1]})["a and b"]
    known = (wide[0].codes >= 0) & (wide[1].codes >= 0)
    assert len(both.names) == len(set(zip(wide[0].codes[known], wide[1].codes[known], strict=True)))
    assert np.array_equal(both.codes >= 0, known)
    at = int(np.flatnonzero(known)[7])
    assert both.names[both.codes[at]] == f"a{wide[0].codes[at]} and b{wide[1].codes[at]}"
    applicants = Applicants(np.ones(3000, dtype=bool), np.ones(3000), np.zeros(3000, dtype=np.uint8), np.ones(3000))
    _, outcomes = compare_groups(applicants, both, fewest=1)
    assert len(outcomes) == 51
    assert sum(it.rows for it in outcomes) == known.sum()
    assert outcomes[-1].name == f"{len(both.names) - 50} smaller groups together"


def book(rows: int = 4000) -> tuple[Applicants, Groups]:
    random = np.random.default_rng(2)
    codes = np.where(np.arange(rows) < 5, 2, (np.arange(rows) % 3 == 0).astype(int))
    score = random.normal(600, 30, rows) - 18 * (codes == 1)
    pd = 1 / (1 + np.exp((score - 560) / 20))
    bad = (random.random(rows) < pd).astype(np.uint8)
    return Applicants(score >= 590, score, bad, pd), Groups(codes.astype(np.int64), ("m", "f", "x"))


def outcomes(found: list[GroupOutcome]) -> dict[str, GroupOutcome]:
    return {it.name: it for it in found}


def test_a_group_that_scores_lower_is_flagged_with_its_figures() -> None:
    applicants, groups = book()
    reference, found = compare_groups(applicants, groups)
    group, mask = outcomes(found)["f"], groups.codes == 1
    assert reference == "m"
    assert group.flag == "hard"
    assert group.impact_ratio is not None
    assert group.impact_ratio < 0.8
    assert group.p is not None
    assert group.p < 1e-6
    assert group.score_difference == pytest.approx(-18 / 30, abs=0.1)
    assert group.bad_rate == pytest.approx(applicants.bad[mask].mean())
    assert group.declined_goods == pytest.approx((~applicants.approved[mask & (applicants.bad == 0)]).mean())
    assert group.approved_bads == pytest.approx(applicants.approved[mask & (applicants.bad == 1)].mean())


def test_the_reference_group_is_level_with_itself() -> None:
    reference = outcomes(compare_groups(*book())[1])["m"]
    assert (reference.impact_ratio, reference.score_difference, reference.flag) == (1, 0, "")


def test_a_group_of_five_is_insufficient_and_tells_no_rate() -> None:
    small = outcomes(compare_groups(*book())[1])["x"]
    assert (small.rows, small.flag) == (5, "insufficient")
    assert [small.approval_rate, small.impact_ratio, small.bad_rate, small.p] == [None] * 4


def test_a_constant_column_is_one_group_and_an_unknown_one_none() -> None:
    applicants, _ = book()
    n = len(applicants.bad)
    reference, found = compare_groups(applicants, Groups(np.zeros(n, dtype=np.int64), ("all",)))
    assert (reference, [it.impact_ratio for it in found]) == ("all", [1.0])
    assert compare_groups(applicants, Groups(np.full(n, -1), ())) == ("", [])


def test_two_columns_make_groups_together_and_unknown_stays_unknown() -> None:
    one = Groups(np.array([0, 1, -1, 1]), ("f", "m"))
    other = Groups(np.array([1, 0, 0, -1]), ("young", "old"))
    found = intersections({"sex": one, "age": other})["sex and age"]
    assert [found.names[code] if code >= 0 else None for code in found.codes] == [
        "f and old",
        "m and young",
        None,
        None,
    ]


def test_columns_of_other_length_are_refused() -> None:
    applicants, _ = book()
    with pytest.raises(InvalidInputError, match="groups of 3 applications; wanted 4000"):
        compare_groups(applicants, Groups(np.zeros(3, dtype=np.int64), ("all",)))
