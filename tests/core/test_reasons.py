"""Reasons name what fell short of applicants near the cut-off, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.calibration import PdTable
from obligor.core.clauses import CardScale
from obligor.core.columnar import principal_reasons, score_bins
from obligor.core.columns import Column, Feature, Table
from obligor.core.errors import CardError
from obligor.core.reasons import check_reasons, explain, shortfalls_of
from obligor.core.scorecard import CardBand, CardBin, CardCutoff, Characteristic, Origin, Pair, Scorecard, parse_card

if TYPE_CHECKING:
    from collections.abc import Sequence


def characteristic(name: str, points: Sequence[int], *, reference: int | None, **more: Any) -> Characteristic:
    """A characteristic with bins of such points, the last one for missing values."""
    bins = tuple(CardBin(label=str(each), points=each, woe=0.0, goods=1.0, bads=1.0) for each in points)
    cuts = tuple(float(at) for at in range(1, len(points) - 1))
    return Characteristic(
        feature=name, kind="numeric", cuts=cuts, bins=bins, trend="free", information_value=0.1, coefficient=1.0,
        reference=reference, **more,
    )  # fmt: skip


def card(*characteristics: Characteristic, pairs: tuple[Pair, ...] = ()) -> Scorecard:
    return Scorecard(
        name="reasons",
        horizon_months=12,
        origin=Origin(contract="", contract_sha256="", snapshot_sha256="", obligor="", seed=0, rows={}),
        applications=Table(columns={it.feature: Column(type="number") for it in characteristics}),
        histories={},
        features={},
        caps={},
        scale=CardScale(),
        base_points=0,
        characteristics=characteristics,
        pairs=pairs,
        pd=PdTable((0,), (0.1,)),
        bands=(CardBand(name="all", pd_max=1.0, score_min=None),),
        cutoff=CardCutoff(score=0, chosen_by="profit"),
    )


def test_the_golden_applicant_is_told_inquiries_debt_and_tenure_and_not_utilisation() -> None:
    """Points of 40, 10, 22 and 20 against 38, 34, 26 and 36 of applicants at the cut-off; the most are 80, 40, 60, 50."""
    golden = card(
        characteristic("utilisation", (40, 80, 0), reference=38),
        characteristic("inquiries", (10, 40, 0), reference=34),
        characteristic("tenure", (22, 60, 0), reference=26),
        characteristic("debt", (20, 50, 0), reference=36),
    )
    found = [(reason.code, reason.shortfall * 1000) for reason in explain(golden, (0, 0, 0, 0))]
    assert found == [("inquiries", 24), ("debt", 16), ("tenure", 4)]


def grid(first: str, second: str, points: tuple[tuple[int, ...], ...], reference: int) -> Pair:
    ones = tuple(tuple(1.0 for _ in row) for row in points)
    return Pair(
        features=(first, second), rows=tuple(range(len(points))), columns=tuple(range(len(points[0]))),
        points=points, goods=ones, bads=ones, reference=reference,
    )  # fmt: skip


SMALL = card(
    characteristic("a", (0, 9, 5), reference=5, reason="a is low", reason_missing="a is not known"),
    characteristic("b", (0, 9, 5), reference=5, reason="b is low"),
    characteristic("c", (0, 9, 5), reference=5, family="both", reason="c is low"),
    characteristic("d", (0, 9, 5), reference=5, family="both", reason="d is low"),
    pairs=(grid("a", "b", ((-6, 2, 0), (3, -1, 0), (0, 0, 0)), 1),),
)
BINS = st.tuples(*[st.integers(0, 2)] * 4)


def test_a_pair_counts_half_for_each_and_a_family_as_one() -> None:
    reasons = explain(SMALL, (0, 0, 0, 1))
    assert [(it.code, it.shortfall * 1000) for it in reasons] == [("a", 8.5), ("b", 8.5), ("both", 1.0)]
    assert [it.text for it in reasons] == ["a is low", "b is low", "c is low"]


def test_a_family_is_told_by_the_worst_of_it_and_of_equals_by_the_first() -> None:
    assert [(it.code, it.feature) for it in explain(SMALL, (1, 1, 0, 0))] == [("both", "c")]
    worse = SMALL.characteristics[3].model_copy(update={"reference": 6})
    (reason,) = explain(card(*SMALL.characteristics[:3], worse), (1, 1, 0, 0))
    assert (reason.feature, reason.text) == ("d", "d is low")


def test_missing_values_have_a_text_of_their_own() -> None:
    low = SMALL.characteristics[0].model_copy(update={"reference": 6})
    reasons = explain(card(low, *SMALL.characteristics[1:]), (2, 1, 1, 1))
    assert [it.text for it in reasons] == ["a is not known"]


@given(BINS)
def test_nobody_is_given_a_reason_in_which_they_do_not_fall_short(bins: tuple[int, ...]) -> None:
    reasons = explain(SMALL, bins)
    assert all(it.shortfall > 0 for it in reasons)
    assert [it.shortfall for it in reasons] == sorted((it.shortfall for it in reasons), reverse=True)
    assert len({it.code for it in reasons}) == len(reasons) <= 3


@given(BINS)
def test_shortfalls_add_up_to_the_distance_from_the_reference_score(bins: tuple[int, ...]) -> None:
    known = shortfalls_of(SMALL)
    reference = sum(it.reference or 0 for it in SMALL.characteristics) + sum(it.reference or 0 for it in SMALL.pairs)
    score = sum(it.points[code] for it, code in zip(SMALL.characteristics, bins, strict=True))
    score += SMALL.pairs[0].by_bin[bins[0]][bins[1]]
    assert sum(known.of(bins)) == 2 * (reference - score)


@given(BINS, st.permutations(range(4)))
def test_reasons_do_not_hang_on_the_order_of_the_card_but_for_ties(bins: tuple[int, ...], order: list[int]) -> None:
    turned = card(*(SMALL.characteristics[at] for at in order), pairs=SMALL.pairs)
    found = {it.code: it.shortfall for it in explain(SMALL, bins)}
    assert {it.code: it.shortfall for it in explain(turned, [bins[at] for at in order])} == found


def test_an_applicant_at_the_means_has_no_reasons() -> None:
    flat = card(*(characteristic(name, (5, 5, 5), reference=5) for name in "ab"))
    assert explain(flat, (0, 1)) == ()
    assert explain(card(), ()) == ()


@given(st.lists(BINS, min_size=1, max_size=30), st.integers(1, 5))
def test_columns_give_the_reasons_of_each_row(rows: list[tuple[int, ...]], most: int) -> None:
    known = shortfalls_of(SMALL)
    columns = [np.array(column, dtype=np.uint8) for column in zip(*rows, strict=True)]
    found = principal_reasons(known, columns, rows=len(rows), most=most)
    for row, bins in zip(found, rows, strict=True):
        wanted = [it.code for it in explain(SMALL, bins, most=most)]
        assert [known.codes[at] for at in row if at >= 0] == wanted
        assert (row[len(wanted) :] == -1).all()


def test_the_columnar_scorer_adds_the_points_of_pairs() -> None:
    rows = [(a, b, 0, 0) for a in range(3) for b in range(3)]
    columns = dict(zip("abcd", (np.array(column, dtype=np.uint8) for column in zip(*rows, strict=True)), strict=True))
    scores = score_bins(SMALL, columns, rows=9).score
    points = [0, 9, 5]
    wanted = [points[a] + points[b] + ((-6, 2, 0), (3, -1, 0), (0, 0, 0))[a][b] for a, b, _, _ in rows]
    assert scores.tolist() == wanted


def test_a_card_without_reference_means_gives_no_reasons_and_says_why() -> None:
    with pytest.raises(CardError, match="'a' has no reference mean"):
        shortfalls_of(card(characteristic("a", (0, 1, 2), reference=None)))
    pair = SMALL.pairs[0].model_copy(update={"reference": None})
    with pytest.raises(CardError, match=f"'{pair.name}' has no reference mean"):
        shortfalls_of(card(*SMALL.characteristics, pairs=(pair,)))


@given(BINS)
def test_improving_a_listed_factor_to_its_reference_never_lowers_the_score(bins: tuple[int, ...]) -> None:
    alone = card(*SMALL.characteristics)
    names = [it.feature for it in alone.characteristics]
    for reason in explain(alone, bins):
        at = names.index(reason.feature)
        own = alone.characteristics[at]
        for code, points in enumerate(own.points):
            if points >= (own.reference or 0):
                assert sum_of(alone, [*bins[:at], code, *bins[at + 1 :]]) > sum_of(alone, bins)


def sum_of(whole: Scorecard, bins: Sequence[int]) -> int:
    return sum(it.points[code] for it, code in zip(whole.characteristics, bins, strict=True))


@given(BINS)
def test_the_same_card_gives_the_same_reasons_after_it_was_written_down(bins: tuple[int, ...]) -> None:
    again = parse_card(SMALL.to_json())
    assert again.sha256 == SMALL.sha256
    assert explain(again, bins) == explain(SMALL, bins)


def test_what_is_said_of_a_value_is_never_said_of_its_absence() -> None:
    low = characteristic("a", (0, 9, 1), reference=6, reason="a is low")
    (reason,) = explain(card(low), (2,))
    assert (reason.code, reason.text) == ("a", "")


def lacking(*characteristics: Characteristic, pairs: tuple[Pair, ...] = ()) -> list[tuple[str, str]]:
    return [(it.feature, it.bin) for it in check_reasons(card(*characteristics, pairs=pairs))]


def test_every_bin_that_can_be_a_reason_needs_a_text() -> None:
    assert lacking(characteristic("a", (0, 9, 1), reference=6)) == [("a", "0"), ("a", "1")]
    assert lacking(characteristic("a", (0, 9, 1), reference=6, reason="a is low")) == [("a", "1")]
    assert lacking(characteristic("a", (0, 9, 1), reference=6, reason_missing="a is unknown")) == [("a", "0")]
    told = {"reason": "a is low", "reason_missing": "a is unknown"}
    assert lacking(characteristic("a", (0, 9, 1), reference=6, **told)) == []


def test_a_bin_that_never_falls_short_needs_no_text_unless_a_pair_makes_it() -> None:
    high = characteristic("a", (6, 9, 8), reference=6)
    other = characteristic("b", (5, 5, 5), reference=5, reason="b", reason_missing="b is unknown")
    assert lacking(high, other) == []
    cells = ((0, 0, 0), (-7, 0, 0), (0, 0, 0))
    assert lacking(high, other, pairs=(grid("a", "b", cells, 0),)) == [("a", "9")]
    assert lacking(other, high, pairs=(grid("b", "a", tuple(zip(*cells, strict=True)), 0),)) == [("a", "9")]


def test_a_column_that_must_have_a_value_and_a_count_need_no_text_for_missing_values() -> None:
    low = characteristic("a", (0, 9, 1), reference=6, reason="a is low")
    required = card(low).model_copy(update={"applications": Table(columns={"a": Column(type="number", required=True)})})
    assert check_reasons(required) == ()
    untold = required.model_copy(update={"characteristics": (characteristic("a", (0, 9, 1), reference=6),)})
    assert [it.bin for it in check_reasons(untold)] == ["0"]
    count = Feature(history="bureau", aggregate="count")
    assert check_reasons(card(low).model_copy(update={"features": {"a": count}})) == ()
    assert check_reasons(card(low).model_copy(update={"features": {"a": Feature(expression="1 / b")}})) != ()


@given(BINS)
def test_a_reason_without_a_text_is_always_among_those_that_the_check_names(bins: tuple[int, ...]) -> None:
    named = {it.feature for it in check_reasons(SMALL)}
    assert {reason.feature for reason in explain(SMALL, bins, most=9) if not reason.text} <= named
