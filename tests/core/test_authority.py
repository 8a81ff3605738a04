"""Authority is delegated by the policy: by role, amount and PD; and an override lies on a side of the cut-off, or on none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_contract import PLAIN, changed
from tests.core.test_policy import made, plain

from obligor.core.authority import Authority, direction_of
from obligor.core.contract import Contract, parse_contract
from obligor.core.errors import ContractError, PolicyError
from obligor.core.policy import amount_under_authority, parse_policy
from obligor.core.policy_reader import compile_policy

SAID: dict[str, Any] = {
    "reasons": {"compensating": "Strengths that the card does not count"},
    "limits": {"analyst": {"amount": 1000, "pd": 0.1}, "chief": {"pd": 0.2}, "senior": {"amount": 5000, "pd": 0.2}},
    "amount": "amount",
    "approved_for_days": 30,
}
AUTHORITY = Authority.model_validate(SAID)
PDS = st.floats(0, 1)
AMOUNTS = st.none() | st.floats(0.01, 1e6)


@pytest.mark.parametrize(
    ("amount", "pd", "wanted"),
    [
        (1000.0, 0.1, ("analyst", "senior", "chief")),
        (1000.01, 0.1, ("senior", "chief")),
        (1000.0, 0.11, ("senior", "chief")),
        (5000.01, 0.2, ("chief",)),
        (None, 0.01, ("chief",)),
        (1.0, 0.21, ()),
    ],
)
def test_a_limit_is_met_up_to_its_amount_and_its_pd_and_the_nearest_comes_first(
    amount: float | None, pd: float, wanted: tuple[str, ...]
) -> None:
    assert AUTHORITY.covering(["chief", "senior", "analyst", "auditor"], amount=amount, pd=pd) == wanted
    assert AUTHORITY.covering([], amount=amount, pd=pd) == ()


def test_the_lower_pd_goes_less_far_whatever_the_amounts_and_names_part_what_goes_equally_far() -> None:
    limits = {"b": {"amount": 5, "pd": 0.2}, "a": {"amount": 5, "pd": 0.2}, "c": {"pd": 0.1}}
    authority = Authority.model_validate(SAID | {"limits": limits})
    assert authority.covering(["b", "a", "c"], amount=5, pd=0.1) == ("c", "a", "b")


@given(amount=AMOUNTS, pd=PDS, more=st.floats(1, 1e6), riskier=PDS)
def test_what_lies_within_a_limit_does_so_with_a_lower_amount_and_pd(
    amount: float | None, pd: float, more: float, riskier: float
) -> None:
    larger = None if amount is None else amount + more
    for role in AUTHORITY.covering(AUTHORITY.limits, amount=larger, pd=max(pd, riskier)):
        assert role in AUTHORITY.covering(AUTHORITY.limits, amount=amount, pd=pd)


@given(score=st.integers(), cutoff=st.integers())
def test_whoever_agrees_with_the_score_is_on_no_side_of_the_cut_off(score: int, cutoff: int) -> None:
    sides = {it: direction_of(it, score=score, cutoff=cutoff) for it in ("approve", "decline")}
    below = {"approve": "low_side", "decline": "none"}
    assert sides == (below if score < cutoff else {"approve": "none", "decline": "high_side"})


@pytest.mark.parametrize(
    ("authority", "words"),
    [
        (SAID | {"reasons": {}}, "authority.reasons"),
        (SAID | {"limits": {}}, "authority.limits"),
        (SAID | {"limits": {"analyst": {"amount": 5}}}, "authority.limits.analyst: lacks the key 'pd'"),
        (SAID | {"limits": {"analyst": {"amount": 0, "pd": 1}}}, "authority.limits.analyst.amount"),
        (SAID | {"limits": {"analyst": {"pd": 1.1}}}, "authority.limits.analyst.pd"),
        (SAID | {"approved_for_days": 0}, "authority.approved_for_days"),
        (SAID | {"approved_for_days": 367}, "authority.approved_for_days"),
        (SAID | {"forever": True}, "authority.forever: is a key that is not known"),
        (SAID | {"amount": None}, "a limit has an amount; wanted authority.amount"),
        (SAID | {"amount": "size"}, "authority.amount: there is no column 'size'"),
        (SAID | {"amount": "channel"}, "authority.amount: 'channel' is a text, wanted a number"),
    ],
)
def test_an_authority_that_limits_nothing_or_contradicts_itself_is_refused(authority: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse_policy(json.dumps(plain(authority=authority)).encode())


def test_a_policy_that_delegates_says_so_in_its_hash_and_reads_the_amount() -> None:
    delegating = made(authority=SAID)
    assert parse_policy(delegating.to_json()) == delegating
    assert delegating.sha256 != made().sha256
    assert dict(compile_policy(delegating).inputs) == {"amount": "number"}
    assert dict(compile_policy(made()).inputs) == {}
    by_pd_alone = {"limits": {"chief": {"pd": 0.2}}, "amount": None}
    assert dict(compile_policy(made(authority=SAID | by_pd_alone)).inputs) == {}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [(7, 7.0), (0.5, 0.5), (0, None), (-9, None), (None, None), ("7", None), (True, None), (99, None), (98, None)],
)
def test_a_code_or_what_is_no_amount_counts_as_not_known(said: Any, wanted: float | None) -> None:
    column = {"type": "number", "special": {"99": "declined to say"}, "missing": ["98"]}
    policy = made(authority=SAID, columns={"amount": column})
    assert amount_under_authority(policy, {"amount": said}) == wanted
    assert amount_under_authority(policy, {}) is None
    assert amount_under_authority(made(), {"amount": said}) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"amount": None}, "authority.amount: is absent, and a limit has an amount"),
        ({"amount": "amout"}, "authority.amount: there is no column 'amout'"),
        ({"amount": "status"}, "authority.amount: 'status' is a text, wanted a number"),
        ({"reasons": {}}, "authority.reasons"),
        ({"limits": {"analyst": {}}}, "authority.limits.analyst: lacks the key 'pd'"),
    ],
)
def test_a_contract_says_from_where_the_amount_comes(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_contract(changed("authority", to=SAID | {"amount": "income"} | change))
    assert told in str(refused.value)


def test_a_contract_that_delegates_nothing_keeps_its_hash() -> None:
    plain_one, delegating = parse_contract(PLAIN), parse_contract(changed("authority", to=SAID | {"amount": "income"}))
    assert "authority" not in plain_one.model_dump()
    assert delegating.sha256 != plain_one.sha256
    assert Contract.model_validate_json(delegating.model_dump_json(by_alias=True)) == delegating
