"""`obligor notice` on a real store: who writes one, and what is recorded of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.governance.notices.desk import PARTICULARS, approvals
from tests.serving import golden_decisions as golden

from obligor.bootstrap.decisions import open_decisions
from obligor.bootstrap.releases import Made, put_in_force
from obligor.bootstrap.store import open_store
from obligor.core.errors import UnavailableError
from obligor.serving.acts import Caller
from obligor.serving.people.roles import People
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

TEMPLATE = "us-fed-adverse-action"
NAME = "Annabel-7041"
"""What the client calls the applicant's application: the notice tells it, and the log never does."""
ANNA = Caller(
    "person:anna", "", frozenset(), datetime.max.replace(tzinfo=UTC), kind="person", roles=frozenset({"analyst"})
)
ROLES = {"anna": "analyst", "ben": "analyst", "vera": "auditor", "olga": "operator"}


@pytest.fixture
def decline(call: Call, url: str, tmp_path: Path) -> str:
    """A decision of anna's that declined, beside one that was referred, in a store that knows people."""
    folder = tmp_path / "data" / "notices"
    folder.mkdir(parents=True)
    (folder / "particulars.yaml").write_text(PARTICULARS.model_dump_json(by_alias=True))
    (folder / "approved.yaml").write_text(approvals().model_dump_json(by_alias=True))

    async def decided() -> str:
        settings, card = read_settings(os.environ), golden.whole_card()
        found: dict[tuple[str, str], str] = {}
        async with open_store(url, settings) as store:
            people = People(store.people, store.recorder, store.sources)
            for name, role in ROLES.items():
                await people.add(name, password=None, by="ada")
                for by in ("ada", "grace"):
                    await people.grant(name, role, by=by)
            await put_in_force(store, Made(card, golden.policy_of(card)), by="ada")
            async with open_decisions(store, settings) as decisions:
                for at, application in enumerate(golden.applications(60)):
                    made = await decisions.service.decide(
                        ANNA, key=f"k{at}", application=application | {"customer": f"{NAME}-{at}"}
                    )
                    told = json.loads(made.response)
                    found.setdefault((told["outcome"], told["because"]), str(told["decision_id"]))
                    if ("decline", "score") in found and any(outcome == "refer" for outcome, _ in found):
                        return found["decline", "score"]
        raise AssertionError

    return asyncio.run(decided())


def notice(call: Call, by: str, decision: str, out: Path) -> tuple[int, str, str]:
    return call(by, "notice", decision, "--template", TEMPLATE, "--bureau", "one", "--out", str(out))


def written(url: str) -> list[dict[str, Any]]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT convert_from(record.body, 'UTF8')::json FROM obligor.record JOIN obligor.leaf ON index = leaf_index "
            "WHERE kind = 'notice.written' ORDER BY index"
        ).fetchall()
    return [it for (it,) in found]


def test_a_notice_is_an_act_that_tells_what_was_written_of_which_decision_and_never_of_whom(
    call: Call, url: str, decline: str, tmp_path: Path
) -> None:
    out = tmp_path / "notice.txt"
    code, _, err = notice(call, "anna", decline, out)
    assert (code, err) == (0, "")
    assert NAME in out.read_text()
    (act,) = written(url)
    assert (
        act.items()
        >= {
            "schema": "obligor/notice/1",
            "decision_id": decline,
            "template": TEMPLATE,
            "language": "en",
            "on": datetime.now(UTC).date().isoformat(),
            "due": [],
            "by": "person:anna",
        }.items()
    )
    assert len(act["template_sha256"]) == 64
    assert act["text_fingerprint"] != hashlib.sha256(out.read_bytes()).hexdigest()  # which one could try names against
    assert NAME not in json.dumps(act)
    assert notice(call, "anna", decline, tmp_path / "again.txt")[0] == 0
    assert {it["text_fingerprint"] for it in written(url)} == {act["text_fingerprint"]}
    assert notice(call, "anna", decline, tmp_path / "page.html")[0] == 0
    assert len({it["text_fingerprint"] for it in written(url)}) == 2
    assert call("vera", "audit", "verify")[0] == 0
    checks = json.loads(call("vera", "doctor", "--json")[1])["checks"]
    assert {it["check"]: it["verdict"] for it in checks}["I2"] == "ok"


def test_a_notice_is_written_by_who_may_read_it_and_an_analyst_writes_those_of_their_own_decisions(
    call: Call, url: str, decline: str, tmp_path: Path
) -> None:
    out = tmp_path / "notice.txt"
    for by, why in {"mallory": "nobody whom the store knows", "olga": "this needs", "ben": "no such decision"}.items():
        code, _, err = notice(call, by, decline, out)
        assert (code, why in err, out.exists()) == (1, True, False), by
    assert written(url) == []
    assert notice(call, "vera", decline, out)[0] == 0


def test_an_analyst_is_given_the_receipt_of_their_own_decision_and_an_auditor_that_of_any(
    call: Call, decline: str
) -> None:
    found = {by: call(by, "audit", "receipt", decline)[0] for by in ROLES}
    assert found == {"anna": 0, "ben": 1, "vera": 0, "olga": 1}


def test_there_is_no_notice_where_the_log_cannot_be_written(
    call: Call, url: str, decline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> None:
        raise UnavailableError("the store is down")

    monkeypatch.setattr("obligor.adapters.store.recorder.PostgresRecorder.record", down)
    code, _, err = notice(call, "anna", decline, tmp_path / "notice.txt")
    assert (code, "the store is down" in err) == (1, True)
    assert [it.name for it in tmp_path.iterdir()] == ["data"]
    assert written(url) == []


def of_template(call: Call, template: str, decision: str, out: Path) -> tuple[int, str]:
    code, _, err = call("anna", "notice", decision, "--template", template, "--out", str(out), "--bureau", "one")
    return code, err


def due(call: Call, by: str = "anna", *more: str) -> list[dict[str, Any]]:
    code, out, err = call(by, "notices", "due", "--json", *more)
    assert (code, err) == (0, "")
    found: list[dict[str, Any]] = json.loads(out)["notices"]
    return found


def days(count: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=count)).isoformat()


def test_a_counter_offer_moves_the_day_of_the_notice_and_what_contradicts_it_is_refused(
    call: Call, url: str, decline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_PACKS", "US-FED")
    combined = "us-fed-counter-offer"
    before = {it["decision_id"]: it for it in due(call)}
    assert (before[decline]["by"], before[decline]["open_offer"], before[decline]["late"]) == (days(30), False, False)
    offer = ("actions", "offer", decline, "--term", "amount=4711.25", "--rate", "0.0853")
    on = ("--offered-on", days(0), "--respond-by", days(20))
    assert call("vera", *offer, *on)[0] == 1  # an auditor makes none
    assert "no such decision" in call("ben", *offer, *on)[2]
    code, out, err = call("anna", *offer, *on)
    assert (code, err) == (0, "")
    assert out == f"decision {decline}: offered on {days(0)}, until {days(20)}\n"
    after = {it["decision_id"]: it for it in due(call)}
    assert (after[decline]["by"], after[decline]["open_offer"]) == (days(90), True)
    assert "its counter-offer is open" in call("anna", "notices", "due")[1]
    out_of = tmp_path / "notice.txt"
    assert "a counter-offer waits for its answer" in of_template(call, TEMPLATE, decline, out_of)[1]
    assert of_template(call, combined, decline, out_of) == (0, "")
    assert "4,711.25" in out_of.read_text()
    assert "8.53 %" in out_of.read_text()
    assert decline not in {it["decision_id"] for it in due(call)}  # the offer and the denial in one do for it
    (act,) = written(url)
    assert act["due"] == [{"pack": "US-FED", "by": days(90), "rule": "us.reg-b.1002.9"}]
    assert call("anna", "actions", "answer", decline, "--not-accepted", "--on", days(0))[0] == 0
    assert of_template(call, TEMPLATE, decline, out_of) == (0, "")
    assert "was not accepted" in of_template(call, combined, decline, out_of)[1]
    assert call("vera", "audit", "verify")[0] == 0
    checks = json.loads(call("vera", "doctor", "--json")[1])["checks"]
    assert {it["check"]: it["verdict"] for it in checks if it["check"] in ("I2", "I7")} == {"I2": "ok", "I7": "ok"}


def test_of_an_offer_that_was_taken_there_is_no_notice_and_none_is_due(
    call: Call, decline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_PACKS", "US-FED")
    on = ("--offered-on", days(0), "--respond-by", days(20))
    assert call("anna", "actions", "offer", decline, "--rate", "0.09", *on)[0] == 0
    assert call("anna", "actions", "answer", decline, "--accepted", "--on", days(0))[0] == 0
    assert decline not in {it["decision_id"] for it in due(call)}
    for template in (TEMPLATE, "us-fed-counter-offer"):
        assert "took the counter-offer" in of_template(call, template, decline, tmp_path / "notice.txt")[1]


def test_what_is_missing_is_asked_for_within_thirty_days_and_leaves_the_list_once_it_was(
    call: Call, url: str, decline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_PACKS", "US-FED")
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT decision_id FROM obligor.decision WHERE outcome = 'refer' LIMIT 1").fetchone()
    assert row is not None
    waiting, out = str(row[0]), tmp_path / "notice.txt"
    assert "nobody said that this application is incomplete" in of_template(call, "us-fed-incomplete", waiting, out)[1]
    asked = ("actions", "incomplete", waiting, "--field", "income", "--field", "applicant_address")
    assert call("anna", *asked, "--respond-by", days(20))[0] == 0
    found = [it for it in due(call) if it["decision_id"] == waiting]
    assert [(it["template"], it["by"]) for it in found] == [("us-fed-incomplete", days(30))]
    assert due(call, "ben") == []
    assert [it for it in due(call, "vera") if it["decision_id"] == waiting] == found
    assert due(call, "anna", "--since", days(1)) == []
    assert "no adverse action" in of_template(call, TEMPLATE, waiting, out)[1]
    assert of_template(call, "us-fed-incomplete", waiting, out) == (0, "")
    assert "Where they live, as on the evidence of their identity" in " ".join(out.read_text().split())
    assert [it for it in due(call) if it["decision_id"] == waiting] == []


def test_without_a_rule_pack_no_notice_is_due_and_the_list_says_so(call: Call, decline: str) -> None:
    assert call("anna", "notices", "due")[1] == "No rule pack is active; OBLIGOR_PACKS names them.\n"
