"""Over REST what was done beside a decision is recorded (201) or refused, each with the status that says why."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.serving.http.serving import run
from tests.serving.overrides.desk import DECLINED, REFERRED
from tests.serving.overrides.test_over_rest import asked, decided, lender

TODAY = datetime.now(UTC).date()
SOON = (TODAY + timedelta(days=20)).isoformat()
OFFER: dict[str, Any] = {"terms": {"amount": 471.25}, "rate": 0.08, "offered_on": TODAY.isoformat(), "respond_by": SOON}
ANSWER = {"accepted": True, "answered_on": TODAY.isoformat()}
MISSING = {"fields": ["income"], "respond_by": SOON}
WHO = "sue:senior_officer"


def test_what_was_done_is_recorded_and_told_to_whoever_may_see_the_decision() -> None:
    async def main() -> None:
        async with lender().client(None) as client:
            path = f"/v1/decisions/{await decided(client, DECLINED)}"
            waiting = f"/v1/decisions/{await decided(client, REFERRED)}"
            assert (await asked(client, "GET", f"{path}/actions")).json() == {"actions": []}
            done = await asked(client, "POST", f"{path}/counter-offer", OFFER, who=WHO)
            assert done.status_code == 201, done.text
            assert done.json()["receipt"]["leaf_index"] == 2
            again = await asked(client, "POST", f"{path}/counter-offer", OFFER, who=WHO)
            assert (again.content, again.headers["idempotent-replayed"]) == (done.content, "true")
            answered = await asked(client, "POST", f"{path}/counter-offer/answer", ANSWER, who=WHO)
            assert (answered.status_code, answered.json()["step"]) == (201, "accepted")
            missing = await asked(client, "POST", f"{waiting}/incompleteness", MISSING, who=WHO)
            assert (missing.status_code, missing.json()["until"]) == (201, SOON)
            told = await asked(client, "GET", f"{path}/actions")
            assert [it["step"] for it in told.json()["actions"]] == ["offered", "accepted"]
            assert "471.25" not in done.text + told.text
            assert (await asked(client, "GET", path)).json()["outcome"] == "decline"

    run(main())


@pytest.mark.parametrize(
    ("who", "path", "body", "status"),
    [
        ("", "counter-offer", OFFER, 401),
        ("bank", "counter-offer", OFFER, 403),  # its key has no scope to report
        ("vera:auditor", "counter-offer", OFFER, 403),
        ("eve:analyst", "counter-offer", OFFER, 404),  # it is not of hers
        (WHO, "counter-offer", {**OFFER, "rate": 8.0}, 422),
        (WHO, "counter-offer", {**OFFER, "terms": {"no_such": 1}}, 422),
        (WHO, "counter-offer/answer", ANSWER, 409),
        (WHO, "incompleteness", MISSING, 409),
        (WHO, "incompleteness", {**MISSING, "fields": []}, 422),
    ],
)
def test_what_may_not_be_said_is_refused_and_changes_nothing(who: str, path: str, body: Any, status: int) -> None:
    async def main() -> None:
        made = lender()
        async with made.client(None) as client:
            decision = await decided(client, DECLINED)
            before = deepcopy(made.store.leaves)
            told = await asked(client, "POST", f"/v1/decisions/{decision}/{path}", body, who=who)
            assert (told.status_code, made.store.leaves) == (status, before), told.text

    run(main())
