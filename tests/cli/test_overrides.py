"""`obligor overrides` does what the service does, in the name of who acts; notices tell the factors of the person."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from tests.adapters.store.test_privacy import everything
from tests.cli.test_notices import notice
from tests.governance.notices.desk import PARTICULARS, approvals
from tests.serving import golden_decisions as golden
from tests.serving.overrides.desk import APPLICATIONS, APPROVED, BELOW, DECLINED, REFERRED, policy_with
from tests.stores import as_owner

from obligor.bootstrap.decisions import open_decisions
from obligor.bootstrap.releases import Made, put_in_force
from obligor.bootstrap.reviews import open_review_service
from obligor.bootstrap.store import open_store
from obligor.serving.acts import Caller
from obligor.serving.webhooks.events import Listeners
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

LENDER = Caller("lender", "k1", frozenset({"decide", "read", "report"}), datetime(2100, 1, 1, tzinfo=UTC))
WHY = ("--rationale", "CANARY-8121 a second payslip", "--factor", "Length of employment")


@pytest.fixture
def decisions(call: Call, monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """Decisions of a lender whose policy delegates authority, by the number of the application."""
    assert call("Vera", "releases", "list")[0] == 0  # makes the tables

    async def decided() -> dict[int, str]:
        async with open_store(os.environ["OBLIGOR_DATABASE_URL"], read_settings(os.environ)) as store:
            await put_in_force(store, Made(golden.whole_card(), policy_with()), by="Vera")
            async with open_decisions(store, read_settings(os.environ)) as made:
                found = {}
                for at in (APPROVED, REFERRED, BELOW, DECLINED):
                    recorded = await made.service.decide(LENDER, key=f"d-{at}", application=APPLICATIONS[at])
                    found[at] = str(json.loads(recorded.response)["decision_id"])
                return found

    return asyncio.run(decided())


def decide(call: Call, by: str, decision: str, outcome: str, *more: str) -> tuple[int, str, str]:
    return call(by, "overrides", "decide", decision, "--outcome", outcome, "--reason", "outside", *WHY, *more)


def test_a_person_decides_alone_or_by_two_and_the_overrides_are_listed_and_counted(
    call: Call, url: str, decisions: dict[int, str]
) -> None:
    code, out, err = decide(call, "Ben", decisions[REFERRED], "approve")
    assert (code, err) == (0, "")
    assert f"decision {decisions[REFERRED]}: approve (none), for outside, to be paid out before" in out
    code, out, _ = decide(call, "Ben", decisions[BELOW], "approve", "--json")
    assert (code, json.loads(out)["state"]) == (0, "proposed")
    proposal = json.loads(out)["proposal_id"]
    assert call("ben", "proposals", "agree", proposal)[0] == 1
    assert call("Sue", "proposals", "agree", proposal)[0] == 0
    code, out, _ = decide(call, "Ben", decisions[BELOW], "approve", "--json")
    assert (code, json.loads(out)["direction"]) == (0, "low_side")
    assert decide(call, "Cy", decisions[APPROVED], "decline")[0] == 0
    code, out, _ = call("Rose", "overrides", "list")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "by Ben, Sue agreed" in out
    listed = json.loads(call("Rose", "overrides", "list", "--json")[1])["overrides"]
    assert [it["outcome"] for it in listed] == ["decline", "approve", "approve"]
    told = json.loads(call("Rose", "overrides", "report", "--json")[1])
    assert (told["decisions"], told["overrides"], told["rate"]) == (4, 3, 0.75)
    assert {name: it["count"] for name, it in told["direction"].items()} == {"high_side": 1, "low_side": 1, "none": 1}
    assert {name: it["count"] for name, it in told["by"].items()} == {"Ben": 2, "Cy": 1}
    assert told["by"]["Ben"] == {"count": 2, "of_overrides": 0.666667, "of_decisions": 0.5}
    assert told["reason"]["outside"]["count"] == 3
    assert told["pairs"] == [{"by": "Ben", "agreed_by": "Sue", "count": 1, "of_agreed": 1.0, "always": False}]
    assert (told["one_way"], told["hasty"]) == ([], [])
    agreed = json.loads(call("Rose", "proposals", "report", "--json")[1])
    assert (agreed["agreements"], agreed["kind"]["override.decided"]["count"]) == (1, 1)
    assert agreed["pairs"] == told["pairs"]
    before = json.loads(call("Rose", "overrides", "report", "--to", "2020-01-01", "--json")[1])
    assert (before["decisions"], before["overrides"], before["rate"], before["direction"]) == (0, 0, None, {})
    assert (before["from"], before["to"]) == (None, "2020-01-01T00:00:00.000000Z")
    assert "3 overrides of 4 decisions (75.00%)" in call("Rose", "overrides", "report", "--from", "2020-01-01")[1]
    assert b"CANARY" not in everything(url)


@pytest.mark.parametrize(
    ("by", "which", "outcome", "more", "code", "told"),
    [
        ("Vera", REFERRED, "approve", (), 1, "took no part"),
        ("Ben", DECLINED, "approve", (), 1, "beyond the limit of everybody"),
        ("Ben", APPROVED, "approve", (), 1, "says approve by itself"),
        ("Ben", REFERRED, "approve", ("--reason", "friends"), 2, "wanted one of compensating, outside"),
        (
            "Ben",
            REFERRED,
            "approve",
            ("--factor", "a", "--factor", "b", "--factor", "c", "--factor", "d"),
            2,
            "at most 4",
        ),
        ("Ben", REFERRED, "refer", (), 2, "'refer' is not one of"),
    ],
)
def test_what_is_refused_says_so_and_records_nothing(
    call: Call,
    url: str,
    decisions: dict[int, str],
    by: str,
    which: int,
    outcome: str,
    more: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    found = decide(call, by, decisions[which], outcome, *more)
    assert (found[0], told in found[2]) == (code, True), found
    assert call("Rose", "overrides", "list")[1].strip() == "Nobody overrode a decision."
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM obligor.proposal").fetchone() == (0,)


def test_a_notice_after_an_override_tells_the_factors_of_the_person_and_none_of_what_is_approved(
    call: Call, decisions: dict[int, str], tmp_path: Path
) -> None:
    folder, out = tmp_path / "data" / "notices", tmp_path / "notice.txt"
    folder.mkdir(parents=True)
    (folder / "particulars.yaml").write_text(PARTICULARS.model_dump_json(by_alias=True))
    (folder / "approved.yaml").write_text(approvals().model_dump_json(by_alias=True))
    assert "the outcome is approve" in notice(call, "Nora", decisions[APPROVED], out)[2]
    assert decide(call, "Cy", decisions[APPROVED], "decline")[0] == 0
    code, _, err = notice(call, "Nora", decisions[APPROVED], out)
    assert (code, err) == (0, "")
    assert "Length of employment" in out.read_text()
    assert "Income is low" not in out.read_text()
    assert "CANARY" not in out.read_text()
    assert decide(call, "Ben", decisions[REFERRED], "approve")[0] == 0
    assert "the outcome is approve" in notice(call, "Nora", decisions[REFERRED], tmp_path / "none.txt")[2]
    assert not (tmp_path / "none.txt").exists()


def test_no_notice_goes_out_while_a_review_is_open_and_what_it_keeps_is_as_old_as_it_was(
    call: Call, url: str, decisions: dict[int, str], tmp_path: Path
) -> None:
    folder, out = tmp_path / "data" / "notices", tmp_path / "notice.txt"
    folder.mkdir(parents=True)
    (folder / "particulars.yaml").write_text(PARTICULARS.model_dump_json(by_alias=True))
    (folder / "approved.yaml").write_text(approvals().model_dump_json(by_alias=True))
    assert decide(call, "Cy", decisions[REFERRED], "decline")[0] == 0
    with psycopg.connect(as_owner(url)) as connection:
        connection.execute("UPDATE obligor.override SET decided_at = '2026-01-05T12:00:00Z'")

    def reviewed(which: int, body: dict[str, Any], *answer: str) -> str:
        async def asked() -> str:
            settings = read_settings(os.environ)
            async with open_store(url, settings) as store, open_decisions(store, settings) as made:
                service = open_review_service(store, made, listeners=Listeners())
                told = await service.request(LENDER, key=f"r-{which}", decision_id=UUID(decisions[which]), body=body)
                return str(json.loads(told.response)["review_id"])

        review = asyncio.run(asked())
        assert "a review of this decision is open" in notice(call, "Nora", decisions[which], out)[2]
        code, told, err = call("Gil", "reviews", "decide", review, *answer, "--json")
        assert (code, err) == (0, "")
        return str(json.loads(told)["new_decision_id"])

    reviewed(REFERRED, {"statement": "Look again"}, "--outcome", "decline", "--factor", "Age of the account")
    assert notice(call, "Nora", decisions[REFERRED], out)[::2] == (0, "")
    assert "Decided on: 5 January 2026" in out.read_text()
    assert "Age of the account" in out.read_text()
    out.unlink()
    again = reviewed(DECLINED, {"corrections": {"purpose": "car"}}, "--again")
    assert f"write the notice of {again}" in notice(call, "Nora", decisions[DECLINED], out)[2]
    assert not out.exists()


def test_an_id_that_is_none_is_told(call: Call, decisions: dict[int, str]) -> None:
    assert decide(call, "Ben", "one", "approve")[0] == 2
    assert "there is no such decision" in decide(call, "Ben", "0" * 32, "approve")[2]
    assert decisions
