"""What was done beside a decision moves the day of its notice, or takes the notice away; and no pack's clock is lost."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.governance.law.packs import the_packs
from obligor.governance.notices.clocks import Situation, due_of, left

APPLIED, DECIDED, OFFERED = date(2027, 3, 1), date(2027, 3, 10), date(2027, 3, 20)
US = [the_packs()["US-FED"]]
ADVERSE, COMBINED, INCOMPLETE = "us-fed-adverse-action", "us-fed-counter-offer", "us-fed-incomplete"
DECLINED = Situation("decline", APPLIED, DECIDED)
OFFER_OPEN = DECLINED._replace(offered_on=OFFERED)
LACKING = Situation("refer", APPLIED, APPLIED, incomplete=True)


def told(of: Situation, packs: list[str] | None = None) -> list[tuple[str, str]]:
    of_packs = US if packs is None else [the_packs()[it] for it in packs]
    return [(it.what, it.by.isoformat()) for it in due_of(of_packs, of)]


def test_a_counter_offer_that_nobody_took_has_ninety_days_from_its_own_and_one_that_was_taken_has_no_notice() -> None:
    assert told(DECLINED) == [(ADVERSE, "2027-03-31")]
    assert told(OFFER_OPEN) == told(OFFER_OPEN._replace(accepted=False)) == [(ADVERSE, "2027-06-18")]
    assert told(OFFER_OPEN._replace(accepted=True)) == []
    assert told(OFFER_OPEN._replace(outcome="approve")) == []  # a person decided otherwise meanwhile


def test_a_notice_that_offers_and_declines_in_one_does_for_that_of_the_decline() -> None:
    due = due_of(US, OFFER_OPEN)
    assert left(due, {COMBINED}) == left(due, {ADVERSE}) == ()
    assert left(due, {INCOMPLETE}) == due
    assert left(due_of(US, DECLINED), {COMBINED}) != ()  # of a decline without an offer it says too much


def test_what_is_missing_is_asked_for_within_thirty_days_of_an_application_that_waits() -> None:
    assert told(LACKING) == told(LACKING._replace(outcome="hold")) == [(INCOMPLETE, "2027-03-31")]
    assert told(LACKING._replace(outcome="approve")) == []
    assert told(LACKING._replace(incomplete=False)) == []


def test_a_decline_of_an_incomplete_application_has_thirty_days_from_its_own_where_the_applicant_was_asked() -> None:
    later = Situation("decline", APPLIED, DECIDED, incomplete=True)
    assert told(later) == [(ADVERSE, "2027-03-31")]  # nobody was asked: the day the application came counts
    assert told(later._replace(written=[INCOMPLETE])) == [(ADVERSE, "2027-04-09")]


@pytest.mark.parametrize(("pack", "by"), [("US-CO", "2027-04-09"), ("EU-CCD2", "2027-04-09")])
def test_a_pack_without_a_clock_of_counter_offers_runs_that_of_the_decline(pack: str, by: str) -> None:
    assert [it for _, it in told(OFFER_OPEN, [pack])] == [by]
    assert [it for _, it in told(DECLINED._replace(incomplete=True, written=[INCOMPLETE]), [pack])] == [by]


@given(
    outcome=st.sampled_from(["approve", "refer", "hold"]),
    offered=st.sampled_from([None, OFFERED]),
    accepted=st.sampled_from([None, False, True]),
)
def test_what_does_not_stand_as_a_decline_has_no_notice_of_one(
    *, outcome: str, offered: date | None, accepted: bool | None
) -> None:
    of = Situation(outcome, APPLIED, DECIDED, offered, accepted)
    assert due_of(the_packs().values(), of, score_used=True) == ()
