"""What an assumption leads to is counted over all applicants, and only known outcomes judge the ranking."""

from __future__ import annotations

import numpy as np
import pytest

from obligor.core.calibration import PdTable
from obligor.measures.discrimination import auc, delong_test
from obligor.models.columns import TEST, TRAIN, Rows
from obligor.models.rejects import Declined
from obligor.models.sensitivity import Assumed, Contender, sensitivity

TABLE = PdTable((400_000, 700_000), (0.5, 0.1))
BAD = np.array([0, 1, 0, 1, 0, 0, 1, 0], dtype=np.uint8)
SAMPLE = np.array([0, 0, 1, 1, 2, 2, 2, 2], dtype=np.uint8)
KNOWN = np.array([600, 500, 600, 500, 650, 560, 520, 610]) * 1000
DECLINED = Declined(np.array([TRAIN, TRAIN, TEST, TEST], dtype=np.uint8), np.array([1.0, 3.0, 2.0, 1.0]))
PLAIN = Contender(KNOWN, np.array([480, 510, 450, 590]) * 1000, TABLE, 550_000)
PDS = np.array([0.5, 0.1, 0.4, 0.2])


def test_the_declined_count_as_bad_by_the_assumption_and_the_accepted_by_what_became_of_them() -> None:
    found = sensitivity(PLAIN, [Assumed(1.5, PDS, PLAIN)], rows=Rows(BAD, SAMPLE), declined=DECLINED)
    (entry,) = found["band"]
    # At 550 points: three of four accepted, all good, and one of the declined, of weight 1 and a PD of 0.2.
    assert entry["approval_rate"] == pytest.approx(4 / 7)
    assert entry["bad_rate"] == entry["plain_bad_rate"] == pytest.approx(0.2 / 4)
    assert entry["assumed_bad_rate"] == pytest.approx((0.5 + 3 * 0.1) / 4)
    assert entry["mean_pd_declined"] == pytest.approx((2 * TABLE.pd(450_000) + TABLE.pd(590_000)) / 3)
    assert found["beyond"] == pytest.approx(1 / 4)


def test_a_card_beside_itself_moves_nothing() -> None:
    (entry,) = sensitivity(PLAIN, [Assumed(1.0, PDS, PLAIN)], rows=Rows(BAD, SAMPLE), declined=DECLINED)["band"]
    assert entry["p"] == 1
    assert entry["points_psi"] == 0
    assert entry["same_approval"] == {"bad_rate": entry["plain_bad_rate"], "swapped": 0}


def test_cards_are_compared_where_they_approve_the_same_share() -> None:
    turned = Contender(KNOWN[::-1].copy(), PLAIN.declined[::-1].copy(), TABLE, 550_000)
    (entry,) = sensitivity(PLAIN, [Assumed(2.0, PDS, turned)], rows=Rows(BAD, SAMPLE), declined=DECLINED)["band"]
    # Turned round, the test scores 500, 600, 500, 600 and the declined of it 510 and 480: ties carry more than the plain share.
    weight, bad = np.array([1, 1, 1, 1, 2, 1.0]), np.array([0, 0, 1, 0, 0.4, 0.2])
    new = np.array([500, 600, 500, 600, 510, 480])
    alike = new >= 510
    old = np.array([1, 1, 0, 1, 0, 1], dtype=bool)
    assert entry["same_approval"]["bad_rate"] == pytest.approx((weight * bad)[alike].sum() / weight[alike].sum())
    assert entry["same_approval"]["swapped"] == pytest.approx(weight[alike & ~old].sum() / 7)


def test_only_known_outcomes_of_the_test_judge_the_ranking() -> None:
    random = np.random.default_rng(2)
    sample = np.repeat(np.array([0, 1, 2], dtype=np.uint8), [50, 50, 300])
    bad = (random.random(400) < 0.3).astype(np.uint8)
    one, other = (600_000 - 40_000 * bad.astype(np.int64) + random.integers(0, 90_000, 400) for _ in range(2))
    cards = [Contender(it, PLAIN.declined, TABLE, 600_000) for it in (one, other)]
    found = sensitivity(cards[0], [Assumed(1.0, PDS, cards[1])], rows=Rows(bad, sample), declined=DECLINED)
    test = sample == TEST
    assert found["plain"]["gini"] == pytest.approx(2 * auc(bad[test], -one[test]) - 1)
    assert found["band"][0]["p"] == pytest.approx(delong_test(bad[test], -other[test], -one[test]).p)
    assert found["band"][0]["gini_lower"] < found["band"][0]["gini"] < found["band"][0]["gini_upper"]


def test_where_the_test_has_no_declined_its_rates_are_those_of_the_accepted() -> None:
    declined = Declined(np.array([TRAIN], dtype=np.uint8), np.ones(1))
    card = Contender(KNOWN, np.array([480_000]), TABLE, 550_000)
    found = sensitivity(card, [Assumed(1.0, np.array([0.3]), card)], rows=Rows(BAD, SAMPLE), declined=declined)
    assert found["plain"]["approval_rate"] == pytest.approx(3 / 4)
    assert np.isnan(found["plain"]["mean_pd_declined"])
    assert found["band"][0]["bad_rate"] == 0
