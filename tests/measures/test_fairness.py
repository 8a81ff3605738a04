"""Groups are compared at the cut-off, with intervals, and small groups are told as such."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, nct
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from obligor.core.errors import InvalidInputError
from obligor.measures.fairness import (
    Applicants,
    GroupOutcome,
    Groups,
    Share,
    Standard,
    association,
    compare_groups,
    effective,
    evened,
    impact_ratio,
    intersections,
    mean_difference,
    observed_over_expected,
    rate_difference,
    worst_ratio,
)

TABLES = [
    # (approved, rows) of the group and of the reference; ratio and interval by statsmodels, p by adding up the exact
    # hypergeometric probabilities as fractions. The first is the example of the Uniform Guidelines' questions and answers, the
    # second Fisher's lady and her tea.
    ((12, 40), (48, 80), 0.5, 0.301433, 0.829372, 0.00340922),
    ((3, 4), (1, 4), 3, 0.501284, 17.9539, 0.485714),
    ((1, 12), (9, 11), 0.101852, 0.0152783, 0.678991, 0.000644194),
    ((30, 60), (45, 60), 0.666667, 0.497759, 0.892891, 0.00795332),
    ((54, 60), (57, 60), 0.947368, 0.855169, 1.04951, 0.490613),
    ((100, 400), (300, 800), 0.666667, 0.550276, 0.807675, 1.31184e-05),
    ((700, 1000), (900, 1000), 0.777778, 0.743158, 0.81401, 9.49377e-30),
    ((50, 100), (100, 200), 1, 0.786592, 1.27131, 1),
    ((81, 100), (270, 300), 0.9, 0.812609, 0.99679, 0.0220637),
    ((24, 30), (290, 300), 0.827586, 0.691155, 0.990948, 0.00143474),
    ((5, 50), (40, 80), 0.2, 0.0846383, 0.472599, 1.59535e-06),
    ((190, 200), (150, 200), 1.26667, 1.16217, 1.38056, 1.59032e-08),
    ((60, 80), (64, 80), 0.9375, 0.793024, 1.1083, 0.570465),
    ((33, 90), (39, 91), 0.855556, 0.596561, 1.22699, 0.448593),
    ((7, 35), (350, 700), 0.4, 0.205356, 0.779133, 0.000447554),
    ((900, 1200), (2450, 2800), 0.857143, 0.827215, 0.888153, 2.08569e-21),
    ((28, 31), (900, 1000), 1.00358, 0.892717, 1.12822, 1),
    ((40, 41), (10, 40), 3.90244, 2.27656, 6.68949, 1.55946e-12),
    ((2, 300), (30, 900), 0.2, 0.0480835, 0.831887, 0.0115456),
    ((150, 500), (200, 500), 0.75, 0.631729, 0.890414, 0.00114475),
]

COUNTS = st.integers(40, 400).flatmap(lambda rows: st.tuples(st.integers(1, rows), st.just(rows)))


def table(group: tuple[int, int], reference: tuple[int, int]) -> tuple[Applicants, Groups]:
    """Write a two by two table down as applications: those of the reference come last."""
    approved = np.concatenate([np.arange(rows) < count for count, rows in (group, reference)])
    score = np.where(approved, 700.0, 500.0)
    codes = np.repeat([0, 1], [group[1], reference[1]])
    return Applicants(approved, score, np.zeros(len(score), dtype=np.uint8), np.full(len(score), 0.1)), Groups(
        codes, ("group", "reference")
    )


@pytest.mark.parametrize(("group", "reference", "ratio", "lower", "upper", "p"), TABLES)
def test_twenty_known_tables_have_their_ratio_interval_and_p(
    group: tuple[int, int], reference: tuple[int, int], ratio: float, lower: float, upper: float, p: float
) -> None:
    whole = {group[1], reference[1]}
    applicants, groups = table(group, reference)
    found = impact_ratio(group, reference)
    assert found == pytest.approx((ratio, lower, upper), rel=1e-5)
    peer = Table2x2(np.array([[group[0], group[1] - group[0]], [reference[0], reference[1] - reference[0]]]))
    assert found == pytest.approx((peer.riskratio, *peer.riskratio_confint()))
    _, told = compare_groups(applicants, groups, standard=Standard(fewest=min(whole)))
    if group[1] <= reference[1] and len(whole) == 2:  # the larger is the reference
        assert told[0].p == pytest.approx(p, rel=1e-5)
        assert (told[0].impact_ratio, told[0].impact_lower, told[0].impact_upper) == pytest.approx(found)
    shares = [Share(count / rows, rows) for count, rows in (group, reference)]
    assert association(*shares, even=True) == pytest.approx(p, rel=1e-5)


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
    _, outcomes = compare_groups(applicants, both, standard=Standard(fewest=1))
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
    told = {name: getattr(small, name) for name in GroupOutcome.__slots__}
    assert {name for name, value in told.items() if value is not None} == {"name", "rows", "effective_rows", "flag"}


def test_a_reference_group_without_approvals_leaves_no_ratio_but_a_flag_errors_and_calibration() -> None:
    applicants, groups = table((20, 50), (0, 90))
    reference, found = compare_groups(applicants, groups)
    assert reference == "reference"
    own, usual = found
    assert (own.impact_ratio, own.impact_lower, own.flag, usual.flag) == (None, None, "hard", "")
    assert own.p is not None
    assert own.p < 1e-9
    nobody = compare_groups(*table((0, 50), (0, 90)))[1]
    assert {(it.flag, it.p) for it in nobody} == {("", None)}
    assert (own.approval_rate, usual.approval_rate) == (0.4, 0.0)
    assert own.declined_goods_difference == pytest.approx(-0.4)
    assert worst_ratio(applicants.approved, groups, standard=Standard()) == 0
    assert worst_ratio(np.zeros(140, dtype=bool), groups, standard=Standard()) is None


def test_a_group_without_bads_has_no_share_of_them_and_one_without_approvals_is_flagged() -> None:
    own, usual = compare_groups(*table((0, 50), (45, 90)))[1]
    assert (own.approved_bads, own.approved_bads_difference) == (None, None)
    assert (own.observed_expected, own.observed_expected_lower) == (0, 0)
    assert own.observed_expected_upper is not None
    assert own.observed_expected_upper > 0
    assert (own.impact_ratio, own.flag, usual.flag) == (0, "hard", "")


def test_a_reference_group_that_fares_worse_is_flagged_as_any_other() -> None:
    applicants, groups = table((45, 50), (45, 90))
    own, _ = compare_groups(applicants, groups)[1]
    assert (own.impact_ratio, own.flag) == (pytest.approx(1.8), "hard")
    assert worst_ratio(applicants.approved, groups, standard=Standard()) == pytest.approx(1 / 1.8)


@given(st.integers(0, 10_000), st.sampled_from(["weighted", "even"]))
def test_the_worst_ratio_is_that_of_the_comparison(seed: int, rows: str) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(-1, random.integers(1, 7), 600)
    weight = random.uniform(0, 3, 600) if rows == "weighted" else None
    approved = random.random(600) < 0.7
    applicants = Applicants(approved, random.random(600), np.zeros(600, dtype=np.uint8), np.zeros(600), weight)
    groups, standard = Groups(codes, tuple("abcdefg")), Standard(fewest=80)
    ratios = [it.impact_ratio for it in compare_groups(applicants, groups, standard=standard)[1]]
    told = [evened(it) for it in ratios if it is not None]
    found = worst_ratio(approved, groups, weight, standard=standard)
    assert found == (pytest.approx(min(told)) if len(told) > 1 else None)


def test_a_knockout_rule_is_compared_like_a_score() -> None:
    applicants, groups = book()
    barred = (groups.codes == 1) & (np.arange(len(groups.codes)) % 2 == 0)
    approved = ~barred & (applicants.score >= 0)  # every score passes
    found = compare_groups(
        Applicants(approved, applicants.score, applicants.bad, applicants.pd), groups, standard=Standard()
    )
    assert outcomes(found[1])["f"].impact_ratio == pytest.approx(0.5, abs=0.01)
    assert outcomes(found[1])["f"].flag == "hard"


def test_a_constant_column_is_one_group_and_an_unknown_one_none() -> None:
    applicants, _ = book()
    n = len(applicants.bad)
    reference, found = compare_groups(applicants, Groups(np.zeros(n, dtype=np.int64), ("all",)))
    assert (reference, [it.impact_ratio for it in found]) == ("all", [1.0])
    assert worst_ratio(applicants.approved, Groups(np.zeros(n, dtype=np.int64), ("all",)), standard=Standard()) is None
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


@given(COUNTS, COUNTS)
def test_a_difference_of_rates_agrees_with_statsmodels(one: tuple[int, int], other: tuple[int, int]) -> None:
    found = rate_difference(*(Share(count / rows, rows) for count, rows in (one, other)))
    peer = confint_proportions_2indep(*one, *other, compare="diff", method="newcomb", correction=False)
    assert found == pytest.approx((one[0] / one[1] - other[0] / other[1], *peer), abs=1e-9)


@given(COUNTS, st.floats(0.01, 0.9))
def test_observed_over_expected_has_the_interval_of_jeffreys(bads: tuple[int, int], pd: float) -> None:
    found = observed_over_expected(Share(bads[0] / bads[1], bads[1]), pd)
    assert found is not None
    low, high = proportion_confint(*bads, method="jeffreys")
    wanted = (bads[0] / bads[1], low, 1.0 if bads[0] == bads[1] else high)
    assert found == pytest.approx([it / pd for it in wanted])
    assert observed_over_expected(Share(0.2, 50), 0.0) is None


@pytest.mark.parametrize(("shift", "rows", "others"), [(0.0, 200, 300), (0.5, 80, 900), (-1.2, 400, 400)])
def test_the_interval_of_a_mean_difference_is_near_the_exact_one(shift: float, rows: int, others: int) -> None:
    random = np.random.default_rng(5)
    one, other = random.standard_normal(rows) + shift, random.standard_normal(others)
    found = mean_difference(one, other, (np.ones(rows), np.ones(others)))
    assert found is not None
    pooled = np.sqrt(((rows - 1) * one.var(ddof=1) + (others - 1) * other.var(ddof=1)) / (rows + others - 2))
    assert found[0] == pytest.approx((one.mean() - other.mean()) / pooled)
    scale, df = np.sqrt(1 / rows + 1 / others), rows + others - 2
    for end, tail in zip(
        found[1:], (0.975, 0.025), strict=True
    ):  # t of the data stands at that tail of the noncentral t
        assert nct.cdf(found[0] / scale, df, end / scale) == pytest.approx(tail, abs=0.004)


def test_scores_that_do_not_vary_have_no_difference() -> None:
    assert mean_difference(np.ones(40), np.ones(50), (np.ones(40), np.ones(50))) is None


def weighed(applicants: Applicants, weight: np.ndarray) -> Applicants:
    return Applicants(applicants.approved, applicants.score, applicants.bad, applicants.pd, weight)


@given(st.floats(0.01, 100))
def test_rows_that_weigh_alike_are_compared_as_if_they_had_no_weight(weight: float) -> None:
    applicants, groups = book(400)
    plain, same = compare_groups(applicants, groups), compare_groups(weighed(applicants, np.full(400, weight)), groups)
    for one, other in zip(plain[1], same[1], strict=True):
        for name in GroupOutcome.__slots__:
            wanted = getattr(one, name)
            got = getattr(other, name)
            assert got == (wanted if wanted is None or isinstance(wanted, str) else pytest.approx(wanted, rel=1e-6))


def test_a_weight_of_whole_numbers_gives_the_rates_of_repeated_rows() -> None:
    applicants, groups = book(900)
    times = np.random.default_rng(1).integers(1, 5, 900)
    again = Applicants(
        *(np.repeat(it, times) for it in (applicants.approved, applicants.score, applicants.bad, applicants.pd))
    )
    one = compare_groups(weighed(applicants, times.astype(float)), groups)[1]
    other = compare_groups(again, Groups(np.repeat(groups.codes, times), groups.names))[1]
    for light, heavy in zip(one[:2], other[:2], strict=True):
        for name in ("approval_rate", "impact_ratio", "bad_rate", "pd_mean", "observed_expected", "declined_goods"):
            assert getattr(light, name) == pytest.approx(getattr(heavy, name)), name
        assert light.score_difference == pytest.approx(heavy.score_difference, rel=0.01)
        assert light.effective_rows < light.rows < heavy.rows
    assert one[1].impact_lower is not None
    assert other[1].impact_lower is not None
    assert one[1].impact_lower < other[1].impact_lower  # weights are not loans: the interval is no narrower for them


def test_uneven_weights_are_tested_by_chi_squared_on_effective_rows() -> None:
    own, other = Share(0.4, 120.0), Share(0.55, 260.0)
    table = [[own.count, own.rows - own.count], [other.count, other.rows - other.count]]
    assert association(own, other, even=False) == pytest.approx(chi2_contingency(table, correction=False).pvalue)
    assert association(Share(1.0, 50.0), Share(1.0, 90.0), even=False) == 1
    applicants, groups = book()
    weight = np.where(np.arange(len(groups.codes)) % 2, 1.0, 3.0)
    group = outcomes(compare_groups(weighed(applicants, weight), groups)[1])["f"]
    mask = groups.codes == 1
    assert group.effective_rows == pytest.approx(weight[mask].sum() ** 2 / (weight[mask] ** 2).sum())
    assert group.approval_rate == pytest.approx(np.average(applicants.approved[mask], weights=weight[mask]))


def test_a_group_whose_weight_lies_on_a_few_rows_is_insufficient() -> None:
    applicants, groups = book()
    weight = np.where(groups.codes == 1, 1e-6, 1.0)
    weight[np.flatnonzero(groups.codes == 1)[:4]] = 100.0
    assert outcomes(compare_groups(weighed(applicants, weight), groups)[1])["f"].flag == "insufficient"


def test_weights_are_worth_no_more_than_their_rows() -> None:
    assert effective(np.zeros(3)) == 0
    assert effective(np.full(7, 0.1)) == 7
    assert effective(np.array([1.0, 1.0, 0.0])) == 2


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_that_cannot_be_is_refused(weight: float) -> None:
    applicants, _ = book(100)
    with pytest.raises(InvalidInputError, match="weight is negative or not finite"):
        weighed(applicants, np.full(100, weight))
