"""`obligor notice` on a real store: who writes one, and what is recorded of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from datetime import UTC, datetime
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
    """A decision of anna's that declined, in a store that knows people."""
    folder = tmp_path / "data" / "notices"
    folder.mkdir(parents=True)
    (folder / "particulars.yaml").write_text(PARTICULARS.model_dump_json(by_alias=True))
    (folder / "approved.yaml").write_text(approvals().model_dump_json(by_alias=True))

    async def decided() -> str:
        settings, card = read_settings(os.environ), golden.whole_card()
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
                    if told["outcome"] == "decline" and told["because"] == "score":
                        return str(told["decision_id"])
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
