"""A characteristic that stands in for a protected group is found, and one that does not is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import association
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import OneHotEncoder

from obligor.measures.fairness import Groups
from obligor.models.proxies import MOST_GROUPS, Proxies, cramers_v, find_proxies

ROWS = 4000


def world(rows: int = ROWS, groups: int = 2) -> tuple[dict[str, np.ndarray], Groups]:
    """Codes of a strong proxy, a weak one and pure noise, beside the groups."""
    random = np.random.default_rng(4)
    member = random.integers(0, groups, rows)
    codes = {
        "noise": random.integers(0, 6, rows),
        "phone": np.where(random.random(rows) < 0.8, member % 4, random.integers(0, 4, rows)),
        "region": np.where(random.random(rows) < 0.2, member % 4, random.integers(0, 4, rows)),
    }
    names = tuple("fmxyzuvwabcdeg"[:groups])
    return {name: it.astype(np.uint8) for name, it in codes.items()}, Groups(member, names)


def find(codes: dict[str, np.ndarray], groups: Groups, *, fewest: int = 30, seed: int = 1) -> Proxies:
    return find_proxies(codes, "sex", groups, fewest=fewest, threshold=0.7, seed=seed)


def test_a_strong_proxy_is_flagged_and_noise_is_chance() -> None:
    found = find(*world())
    assert [it.feature for it in found.characteristics] == ["phone", "region", "noise"]
    assert [it.proxy for it in found.characteristics] == [True, False, False]
    phone, region, noise = found.characteristics
    assert phone.auc > 0.8
    assert 0.65 > region.auc > 0.55
    assert noise.auc == pytest.approx(0.5, abs=0.03)
    assert phone.cramers_v > 0.6 > region.cramers_v > 0.1 > noise.cramers_v
    (together,) = found.groups
    assert together.auc_lower < together.auc < together.auc_upper
    assert together.auc >= phone.auc - 0.01


def test_the_area_agrees_with_a_cross_validated_logistic_regression_of_scikit_learn() -> None:
    codes, groups = world()
    columns = np.column_stack(list(codes.values()))
    model = LogisticRegression(C=1.0, max_iter=500)
    marked = groups.codes == int(np.argmin(np.bincount(groups.codes)))
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    peer = cross_val_predict(
        model, OneHotEncoder().fit_transform(columns), marked, cv=folds, method="decision_function"
    )
    assert find(codes, groups).groups[0].auc == pytest.approx(roc_auc_score(marked, peer), abs=0.005)


def test_what_a_group_hides_is_found_the_same_on_every_run_and_near_it_on_other_folds() -> None:
    codes, groups = world()
    assert find(codes, groups) == find(codes, groups)
    assert find(codes, groups, seed=9).groups[0].auc == pytest.approx(find(codes, groups).groups[0].auc, abs=0.01)


def test_of_two_groups_the_smaller_is_told_and_of_more_each() -> None:
    codes, groups = world()
    (only,) = find(codes, groups).groups
    assert only.rows == np.bincount(groups.codes).min()
    assert {it.name for it in find(*world(groups=4)).groups} == set("fmxy")
    assert len(find(*world(groups=14)).groups) == MOST_GROUPS


def test_a_group_of_five_is_not_told_and_stands_among_the_others() -> None:
    codes, groups = world()
    member = groups.codes.copy()
    member[:5] = 2
    found = find(codes, Groups(member, ("f", "m", "x")))
    assert {it.name for it in found.groups} == {"f", "m"}
    assert {it.group for it in found.characteristics} <= {"f", "m"}


@pytest.mark.parametrize("member", [np.zeros(ROWS, dtype=np.int64), np.full(ROWS, -1)])
def test_one_group_or_none_leaves_nothing_to_tell(member: np.ndarray) -> None:
    found = find(world()[0], Groups(member, ("all",)))
    assert (found.groups, found.characteristics) == ((), ())


def test_a_card_without_other_characteristics_leaves_nothing_to_tell() -> None:
    found = find({}, world()[1])
    assert (found.groups, found.characteristics) == ((), ())


def test_a_perfect_proxy_is_told_as_such() -> None:
    _, groups = world()
    found = find({"sex_again": groups.codes.astype(np.uint8)}, groups)
    assert found.groups[0].auc == pytest.approx(1)
    assert (found.characteristics[0].auc, found.characteristics[0].cramers_v) == pytest.approx((1, 1), abs=1e-3)


@given(st.integers(0, 1000))
def test_cramers_v_lies_within_its_bounds_and_below_the_uncorrected_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    table = random.integers(1, 60, random.integers(2, 6, 2)).astype(float)
    found = cramers_v(table)
    assert 0 <= found <= 1
    assert found <= association(table.astype(int), method="cramer") + 0.05


def test_cramers_v_of_many_rows_is_the_textbook_one_and_of_one_bin_is_nothing() -> None:
    table = np.array([[30_000, 10_000], [20_000, 40_000]])
    assert cramers_v(table.astype(float)) == pytest.approx(association(table, method="cramer"), abs=1e-4)
    assert cramers_v(np.array([[50.0, 70.0], [0.0, 0.0]])) == 0
