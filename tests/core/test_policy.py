"""A policy gives every application one cut-off, and refuses to be anything else."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_scorer import CARD
from tests.models.worlds import make_world

from obligor.core.errors import PolicyError
from obligor.core.policy import Policy, check_policy, cutoff_for, outcome_for, parse_policy, threshold_for

if TYPE_CHECKING:
    from obligor.core.scorecard import Scorecard

NONE_SEEN = {"rows": 0, "bads": 0, "approval_rate": None, "npl_rate": None, "profit": 0.0, "expected_profit": 0.0}
CUTOFF = 560_000


def threshold(
    cutoff: int = CUTOFF, *, segment: str | None = None, start: float | None = None, end: float | None = None
) -> dict[str, Any]:
    said = {"segment": segment, "amount_from": start, "amount_to": end, "cutoff": cutoff, "chosen_by": "risk"}
    return {**said, "risk_shift": 0.0, "evidence": NONE_SEEN}


def plain(thresholds: list[dict[str, Any]] | None = None, **said: Any) -> dict[str, Any]:
    segment = "channel" if any(it["segment"] for it in thresholds or []) else None
    amount = "amount" if any((it["amount_from"], it["amount_to"]) != (None, None) for it in thresholds or []) else None
    return {
        "schema": "obligor/policy/1",
        "name": "lender",
        "card_sha256": "0" * 64,
        "economics": {"lgd": 0.5, "margin": 0.1},
        "bands": [{"name": "all", "pd_max": 1.0, "score_min": None}],
        "cutoff": threshold() | {"chosen_by": "profit"},
        "segment": segment,
        "amount": amount,
        "thresholds": thresholds or [],
        "columns": {"channel": {"type": "text"}, "amount": {"type": "number"}},
    } | said


def made(thresholds: list[dict[str, Any]] | None = None, **said: Any) -> Policy:
    return parse_policy(json.dumps(plain(thresholds, **said)).encode())


BY_CHANNEL_AND_AMOUNT = [
    threshold(540_000, segment="branch", end=1000.0),
    threshold(530_000, segment="branch", start=1000.0),
    threshold(560_000, end=500.0),
    threshold(570_000, start=500.0, end=1000.0),
    threshold(550_000, start=1000.0),
]


@pytest.fixture(scope="module")
def card() -> Scorecard:
    return make_world().made.card


@pytest.mark.parametrize(
    ("segment", "amount", "wanted"),
    [
        ("branch", 999.99, 540_000),
        ("branch", 1000.0, 530_000),
        ("branch", None, 540_000),  # the amount is not known: the highest of the branch
        ("web", 0.0, 560_000),  # a level that the policy does not know: that of the others
        (None, 500.0, 570_000),
        (None, None, 570_000),
    ],
)
def test_an_application_meets_the_cutoff_of_its_segment_and_amount(
    segment: str | None, amount: float | None, wanted: int
) -> None:
    for thresholds in (BY_CHANNEL_AND_AMOUNT, BY_CHANNEL_AND_AMOUNT[::-1]):  # in whatever order they are written
        assert cutoff_for(made(thresholds), segment=segment, amount=amount) == wanted


@given(
    st.lists(st.floats(-1e6, 1e9), max_size=6, unique=True).map(sorted),
    st.sampled_from(["branch", "web", None]),
    st.floats(-1e9, 1e12),
)
def test_thresholds_part_the_amounts_so_that_each_application_has_one(
    cuts: list[float], segment: str | None, amount: float
) -> None:
    edges = [None, *cuts, None]
    rows = [
        threshold(500_000 + at, segment=level, start=start, end=end)
        for level in ("branch", None)
        for at, (start, end) in enumerate(pairwise(edges))
    ]
    policy = made(rows)
    found = threshold_for(policy, segment=segment, amount=amount)
    assert found.cutoff - 500_000 == sum(cut <= amount for cut in cuts)
    assert found.segment == ("branch" if segment == "branch" else None)


@given(st.integers(0, 20_000), st.integers(500_000, 620_000))
def test_a_score_below_its_cutoff_is_never_approved_and_one_above_never_declined(grey: int, score: int) -> None:
    policy = made(BY_CHANNEL_AND_AMOUNT, grey=grey)
    for segment, amount in (("branch", 10.0), ("branch", 1e6), ("web", 700.0), (None, None)):
        margin = score - cutoff_for(policy, segment=segment, amount=amount)
        outcome = outcome_for(policy, score, segment=segment, amount=amount)
        assert (outcome == "approve") == (margin >= grey)
        assert (outcome == "decline") == (margin < -grey)
        assert (outcome == "refer") == (-grey <= margin < grey)


def test_the_grey_zone_ends_at_a_thousandth_of_a_point() -> None:
    policy = made(grey=2500)
    found = [outcome_for(policy, CUTOFF + apart) for apart in (-2501, -2500, 0, 2499, 2500)]
    assert found == ["decline", "refer", "refer", "refer", "approve"]
    assert [outcome_for(made(), CUTOFF + apart) for apart in (-1, 0)] == ["decline", "approve"]


def test_a_policy_round_trips_and_its_hash_is_of_what_it_says() -> None:
    policy = made(BY_CHANNEL_AND_AMOUNT, grey=1000)
    assert parse_policy(policy.to_json()) == policy
    assert parse_policy(policy.to_json()).sha256 == policy.sha256
    assert parse_policy(json.dumps(json.loads(policy.to_json())).encode()).sha256 == policy.sha256
    assert made(BY_CHANNEL_AND_AMOUNT, grey=1001).sha256 != policy.sha256


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ([threshold(end=500.0), threshold(start=600.0)], "leave a gap: no cut-off for amounts from 500 to 600"),
        ([threshold(end=500.0), threshold(start=400.0)], "overlap: amounts from 400 on have two cut-offs"),
        ([threshold(start=500.0)], "leave a gap: no cut-off for amounts below 500"),
        ([threshold(end=500.0)], "leave a gap: no cut-off for amounts from 500 on"),
        (
            [threshold(end=500.0), threshold(start=500.0, end=400.0)],
            "thresholds of the other levels: amounts from 500 to 400; wanted the lower first",
        ),
        (
            [threshold(end=500.0), threshold(start=500.0, end=500.0), threshold(start=500.0)],
            "amounts from 500 to 500; wanted the lower first",
        ),
        ([threshold(segment="web")], "none is for the levels that have no cut-off of their own"),
        ([threshold(segment="web"), threshold(segment="web"), threshold()], "of 'web': thresholds overlap"),
    ],
)
def test_thresholds_that_gap_or_overlap_are_refused(thresholds: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        made(thresholds)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"segment": "region", "thresholds": [threshold()]}, "segment: there is no column or feature 'region'"),
        ({"amount": "sum", "thresholds": [threshold()]}, "amount: there is no column 'sum'"),
        ({"amount": "channel", "thresholds": [threshold()]}, "'channel' is a text, wanted a number"),
        ({"segment": "channel"}, "wanted one or more where there is a segment"),
        (
            {"thresholds": [threshold(segment="web"), threshold()], "segment": None, "amount": "amount"},
            "name a segment, and the policy has none",
        ),
        (
            {"thresholds": [threshold(end=5.0), threshold(start=5.0)], "amount": None, "segment": "channel"},
            "has a limit of the amount, and the policy has no amount",
        ),
        ({"thresholds": [threshold()]}, "none without"),
        ({"cutoff": threshold(segment="web")}, "the common cut-off holds for every segment"),
        ({"bands": []}, "bands: wanted a score_min"),
        ({"grey": -1}, "grey: got -1, wanted at least 0"),
        ({"grey": 1.5}, "grey: got 1.5, wanted a whole number"),
        ({"cutoff": threshold() | {"cutoff": 560_000.5}}, "cutoff.cutoff"),
        ({"economics": {"margin": -0.1}}, "economics.margin: got -0.1, wanted at least 0"),
        ({"economics": {"cost_per_loan": -1}}, "economics.cost_per_loan"),
        ({"economics": {"cost_declined_good": -1}}, "economics.cost_declined_good"),
        ({"card_sha256": "card"}, "card_sha256"),
        ({"outcome": "approve"}, "outcome: is a key that is not known"),
        ({"schema": "obligor/policy/2"}, "schema"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse_policy(json.dumps(plain(**said)).encode())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b'{"grey": 1, "grey": 2}', "the key 'grey' stands twice"),
        (b'{"grey": NaN}', "NaN is not a number that JSON knows"),
        (b"{}", "policy: lacks the key 'name'"),
    ],
)
def test_a_file_that_not_everybody_reads_alike_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse_policy(data)


def test_an_amount_that_is_no_number_is_refused_without_a_value() -> None:
    for amount in (math.nan, math.inf):
        with pytest.raises(PolicyError, match="the amount is not a finite number"):
            cutoff_for(made(BY_CHANNEL_AND_AMOUNT), amount=amount)


def test_a_policy_goes_with_one_card_and_only_with_cutoffs_that_it_can_give(card: Scorecard) -> None:
    low, high = card.score_range
    common = {"cutoff": threshold(card.cutoff.score), "bands": [band.model_dump() for band in card.bands]}

    def beside(thresholds: list[dict[str, Any]] | None = None, **said: Any) -> Policy:
        return made(thresholds, **({"card_sha256": card.sha256, **common} | said))

    check_policy(beside(), card)
    check_policy(beside([threshold(low, end=5.0), threshold(high + 1, start=5.0)]), card)  # everybody; nobody
    for cutoff in (low - 1, high + 2):
        words = f"the cut-off {cutoff} lies outside the scores of the card; wanted {low} to {high + 1}"
        with pytest.raises(PolicyError, match=words):
            check_policy(beside([threshold(cutoff, end=5.0), threshold(start=5.0)]), card)
    with pytest.raises(PolicyError, match="belongs to the card 000000000000, got the card"):
        check_policy(beside(card_sha256="0" * 64), card)
    with pytest.raises(PolicyError, match="wanted those of the card"):
        check_policy(beside(bands=plain()["bands"]), card)
    with pytest.raises(PolicyError, match=f"the common cut-off is 1, that of the card {card.cutoff.score}"):
        check_policy(beside(cutoff=threshold(1)), card)


def test_what_a_policy_and_its_card_both_read_they_read_alike() -> None:
    said = json.loads(CARD.to_json())
    columns, histories, features = said["applications"]["columns"], said["histories"], said["features"]
    common = {"cutoff": threshold(CARD.cutoff.score), "bands": said["bands"], "card_sha256": CARD.sha256}
    whole = {"columns": columns, "histories": histories, "features": features} | common
    check_policy(made(**whole), CARD)
    added = {"days": {"type": "number"}, "seen": {"type": "date"}}
    more = histories["bureau"] | {"columns": histories["bureau"]["columns"] | added}
    check_policy(
        made(**whole | {"histories": {"bureau": more}, "columns": columns | {"debt": {"type": "number"}}}), CARD
    )
    other = histories["bureau"]["columns"]
    for change, words in (
        (
            {"columns": columns | {"income": columns["income"] | {"missing": []}}},
            "columns.income: is described otherwise",
        ),
        ({"features": features | {"ratio": {"expression": "income / amount"}}}, "features.ratio"),
        *(
            ({"histories": {"bureau": more | part}}, "histories.bureau: is described")
            for part in (
                {"tie": "balance"},
                {"key": ["customer", "balance"]},
                {"event_at": "seen"},
                {"arrived_at": "seen"},
            )
        ),
        (
            {"histories": {"bureau": more | {"columns": other | {"balance": {"type": "number", "missing": [0]}}}}},
            "histories.bureau.columns.balance",
        ),
    ):
        with pytest.raises(PolicyError, match=words):
            check_policy(made(**whole | change), CARD)
