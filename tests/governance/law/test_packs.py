"""Rule packs say what is due of a decision, and when; they are added up to the earliest deadline and the longest keeping."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import GateError, LawError
from obligor.governance.law.origins import find_forbidden, refuse_forbidden
from obligor.governance.law.packs import (
    Due,
    Pack,
    Period,
    activate_packs,
    applying,
    check_pack,
    held_due,
    keep_until,
    notices_due,
    read_pack,
    review_due,
    the_packs,
)
from obligor.governance.law.rules import the_law
from obligor.governance.law.strict_yaml import read_yaml
from obligor.governance.notices.catalogue import Catalogue
from obligor.ingestion.contract_file import read_contract

SCENARIOS = Path(__file__).parents[1] / "packs"
ALL = ("EU-AIA", "EU-CCD2", "GDPR", "NY-500", "US-CO", "US-FED")
TEMPLATES = {it.id for it in Catalogue().templates}
FAR = date(2030, 1, 1)


def scenario(name: str) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    return said


def test_every_pack_has_a_scenario_and_every_scenario_a_pack() -> None:
    assert tuple(the_packs()) == ALL == tuple(sorted(it.stem for it in SCENARIOS.glob("*.yaml")))


@pytest.mark.parametrize("name", ALL)
def test_what_a_pack_asks_of_a_decision_is_as_its_scenario_says(name: str) -> None:
    said, pack = scenario(name), the_packs()[name]
    days = said["days"]
    due = notices_due([pack], days=days, outcome=said["outcome"], score_used=said["score_used"])
    assert [(it.what, it.by, it.rule) for it in due] == [(it["what"], it["by"], it["rule"]) for it in said["notices"]]
    review = review_due([pack], outcome=said["outcome"], requested=days.get("review_requested", days["decided"]))
    if said["review"] == "none":
        assert review is None
    else:
        assert review is not None
        assert {"by": review.by, "rule": review.rule, "set_by": review.set_by} == said["review"]
    for it in said["keep"]:
        kept = keep_until([pack], of=it["of"], days=days, on=days["decided"])
        assert (kept.until or "none", kept.because) == (it["until"], it["because"])
    assert pack.fairness.compare is said["compare_groups"]
    assert pack.second_factor == said.get("second_factor")


@pytest.mark.parametrize("name", [it for it in ALL if it != "US-FED"])
def test_a_pack_asks_nothing_the_day_before_it_applies(name: str) -> None:
    said, pack = scenario(name), the_packs()[name]
    days = dict.fromkeys(said["days"], said["before"])
    assert pack.applies_from == said["before"] + timedelta(days=1)
    assert notices_due([pack], days=days, outcome=said["outcome"], score_used=True) == ()
    assert review_due([pack], outcome=said["outcome"], requested=said["before"]) is None
    assert keep_until([pack], of="decision", days=days, on=said["before"]).because == "nothing"


def test_an_incomplete_application_and_a_counter_offer_have_clocks_of_their_own() -> None:
    us = [the_packs()["US-FED"]]
    decided = date(2026, 12, 1)
    incomplete = notices_due(
        us, days={"decided": decided, "incomplete": decided}, outcome="incomplete", score_used=False
    )
    offered = notices_due(
        us, days={"decided": decided, "counter_offered": decided}, outcome="counter_offer", score_used=True
    )
    assert [it.by for it in incomplete] == [date(2026, 12, 31)]
    assert [it.by for it in offered] == [date(2027, 3, 1)]


@pytest.mark.parametrize("outcome", ["approve", "refer", "hold"])
def test_what_is_no_adverse_action_has_no_notice(outcome: str) -> None:
    days = {"applied": FAR, "decided": FAR}
    assert notices_due(the_packs().values(), days=days, outcome=outcome, score_used=True) == ()


def test_who_is_held_is_due_by_the_notice_whose_clock_runs_from_the_application() -> None:
    day = date(2027, 3, 1)
    assert held_due(the_packs().values(), applied=day) == Due("US-FED", "held", date(2027, 3, 31), "us.reg-b.1002.9")
    others = [it for name, it in the_packs().items() if name != "US-FED"]
    assert held_due(others, applied=day) is None
    assert held_due([the_packs()["US-FED"]], applied=date(2011, 12, 29)) is None  # it did not apply yet


def test_of_two_reviews_the_earlier_deadline_counts() -> None:
    due = review_due(the_packs().values(), outcome="decline", requested=date(2027, 3, 1))
    assert due is not None
    assert (due.pack, due.by) == ("EU-CCD2", date(2027, 3, 31))


@given(st.sets(st.sampled_from(ALL)), st.dates(date(2018, 1, 1), date(2040, 1, 1)))
def test_more_packs_never_shorten_what_is_kept(names: set[str], day: date) -> None:
    days = dict.fromkeys(("applied", "decided", "notified", "account_closed"), day)
    packs = [the_packs()[it] for it in names]
    for kind in ("decision", "identity", "documents", "audit_trail"):
        whole = keep_until(packs, of=kind, days=days, on=day)
        alone = [keep_until([it], of=kind, days=days, on=day) for it in packs]
        assert whole.until is not None
        assert whole.until == max([day, *(it.until for it in alone if it.until)])
        assert keep_until(packs, of=kind, days=days, on=day, holds=["case 7"]).until is None


def test_what_waits_for_an_account_to_close_is_kept() -> None:
    kept = keep_until([the_packs()["US-FED"]], of="identity", days={"decided": FAR}, on=FAR)
    assert (kept.until, kept.because) == (None, "account_closed")
    closed = keep_until([the_packs()["US-FED"]], of="identity", days={"account_closed": FAR}, on=FAR)
    assert closed.until == date(2035, 1, 1)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 240))
def test_a_month_ends_on_the_same_day_or_on_the_last(day: date, months: int) -> None:
    end = Period(months=months).after(day)
    assert (end.year * 12 + end.month) - (day.year * 12 + day.month) == months
    assert end.day == day.day or (end + timedelta(days=1)).day == 1


def test_all_packs_go_active_with_the_templates_and_the_law_that_there_are() -> None:
    assert tuple(it.id for it in activate_packs(ALL, law=the_law(), templates=TEMPLATES)) == ALL
    assert [it.id for it in applying(the_packs().values(), date(2026, 11, 26))] == [
        "EU-CCD2",
        "GDPR",
        "NY-500",
        "US-FED",
    ]


@pytest.mark.parametrize("name", [it for it in ALL if the_packs()[it].notices])
def test_a_pack_without_one_of_its_templates_does_not_go_active(name: str) -> None:
    for duty in the_packs()[name].notices:
        with pytest.raises(GateError, match=f"needs the template '{duty.template}'"):
            activate_packs([name], law=the_law(), templates=TEMPLATES - {duty.template})


def test_a_pack_whose_rule_was_withdrawn_does_not_go_active() -> None:
    law = the_law()
    gone = tuple(it.model_copy(update={"status": "withdrawn"}) if it.id == "us-ny.500" else it for it in law.rules)
    with pytest.raises(GateError, match=r"rests on the rule 'us-ny\.500', which is withdrawn"):
        activate_packs(["NY-500"], law=law.model_copy(update={"rules": gone}), templates=TEMPLATES)
    unknown = the_packs()["NY-500"].model_copy(update={"rules": ("us-ny.nothing",)})
    with pytest.raises(LawError, match=r"there is no rule 'us-ny\.nothing'"):
        check_pack(unknown, law=law, templates=TEMPLATES)


def test_a_pack_that_there_is_not_or_that_is_named_twice_is_refused() -> None:
    with pytest.raises(LawError, match="there is no pack 'XX'"):
        activate_packs(["XX"], law=the_law(), templates=TEMPLATES)
    with pytest.raises(LawError, match="named twice"):
        activate_packs(["GDPR", "GDPR"], law=the_law(), templates=TEMPLATES)


PACK = "schema: obligor/pack/1\nid: XX\ntitle: x\napplies_from: 2020-01-01\nrules: [us.a]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            PACK + "retention: [{of: decision, keep: {months: 1, days: 2}, since: decided, rule: us.a}]",
            "either days or months",
        ),
        (PACK + "retention: [{of: decision, keep: {}, since: decided, rule: us.a}]", "either days or months"),
        (PACK + "retention: [{of: decision, keep: {days: 1}, since: decided, rule: us.b}]", "rests on 'us.b'"),
        (PACK + "retention: [{of: decision, keep: {days: 1}, since: payday, rule: us.a}]", "since"),
        (PACK + "clocks: []", "clocks"),
    ],
)
def test_a_pack_that_contradicts_itself_is_refused(text: str, message: str) -> None:
    with pytest.raises(LawError, match=message):
        read_yaml(text.encode(), Pack, what="pack")


def test_a_pack_has_the_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "YY.yaml").write_text(PACK)
    with pytest.raises(LawError, match="says it is the pack XX"):
        read_pack(tmp_path / "YY.yaml")


CONTRACT = """
schema: obligor/contract/1
name: small
applications:
  columns:
    income: {type: number, role: predictor}
    FollowersCount: {type: number, role: predictor}
    q7: {type: bool, role: input, description: whether a medical_diagnosis was given}
    healthy: {type: bool, role: protected}
    wealth: {type: number, role: predictor}
    bad: {type: text, role: outcome}
outcome: {window_months: 12, status: {column: bad, good: ["0"], bad: ["1"]}}
split: {random: {}}
"""


def test_a_contract_that_takes_health_or_social_data_is_refused_under_ccd2() -> None:
    contract = read_contract(CONTRACT)
    on = date(2026, 11, 20)
    said = contract.columns, contract.histories
    found = find_forbidden(*said, the_packs().values(), on=on)
    assert [(it.place, it.source) for it in found] == [
        ("applications.columns.FollowersCount", "social_network"),
        ("applications.columns.q7", "health"),
    ]
    with pytest.raises(GateError, match=r"q7: 'medical' tells data of health, which EU-CCD2 forbids \(eu.ccd2.18\)"):
        refuse_forbidden(*said, the_packs().values(), on=on)
    refuse_forbidden(*said, the_packs().values(), on=date(2026, 11, 19))
    refuse_forbidden(*said, [the_packs()["US-FED"]], on=on)
