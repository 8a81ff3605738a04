"""Nothing is done that is not recorded: every route that acts, over a store that does not answer, and one that only reads."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.serving.http.fakes import house
from tests.serving.http.serving import run
from tests.serving.http.test_permissions import (
    EVERYBODY,
    ROUTES,
    SOMEBODYS,
    Named,
    ask,
    caller_of,
    expected,
    named,
    prepare,
)
from tests.stores import NOW

from obligor.security.permissions import permissions
from obligor.serving.screening.alert_steps import StoredAlert

ACTS = sorted(name for route in ROUTES for name in named(route) if not name.startswith("GET "))
SCREENING = "POST /v1/decisions/{decision_id}/screenings"
OVERRIDE = "POST /v1/decisions/{decision_id}/override"
ANSWER, INCOMPLETE = (f"POST /v1/decisions/{{decision_id}}/{it}" for it in ("counter-offer/answer", "incompleteness"))
RECORDS_NOTHING = {"POST /v1/simulations": 200, "POST /v1/tokens": 404, SCREENING: 409, OVERRIDE: 403}
RECORDS_NOTHING |= {ANSWER: 409, INCOMPLETE: 409}
"""A simulation asks nothing of the store; people sign in elsewhere here, nobody is screened, nobody may override, no
counter-offer waits for an answer, and what is asked of was declined."""
STEPS = ("agreement", "withdrawal")


def who_may(name: str) -> str:
    """Somebody whom the table lets in with their own."""
    if name.endswith(STEPS):
        return "role:operator"  # who may replace keys, which is what was proposed
    if "/alerts/" in name:
        return "role:compliance"
    return next(it for it in EVERYBODY if expected(name, it, own=True) <= {RECORDS_NOTHING.get(name), 200, 201, 202})


def alert_of(decision_id: str, *, confirmed: bool) -> StoredAlert:
    by = {"confirmed_by": "ann", "confirmed_at": NOW} if confirmed else {"confirmed_by": None, "confirmed_at": None}
    said: dict[str, Any] = {
        "alert_id": UUID(decision_id),
        "decision_id": UUID(int=7),
        "client_id": "bank",
        "entry": "1001",
        "score": 9100,
        "list_sha256": "0" * 64,
        "opened_at": NOW - timedelta(days=200),
        "record": b"{}",
    }
    nobody = dict.fromkeys(("proposed_by", "cleared_by", "doubted_by", "because", "until"))
    return StoredAlert(**said, **nobody, **by)


@pytest.mark.parametrize("trouble", ["down", "closed"])
@pytest.mark.parametrize("name", ACTS)
def test_an_act_that_cannot_be_recorded_is_503_and_changes_nothing(name: str, trouble: str) -> None:
    """A1: each route by somebody who may, with a body that is done where the store is well."""

    async def main() -> None:
        of, who = house(authenticating=Named()), who_may(name)
        async with of.client(None) as client:
            for _ in range(3):
                await ask(client, "POST /v1/decisions", SOMEBODYS, str(len(of.store.kept)))
            owner = caller_of(who).client_id
            of.store.kept[0] = replace(of.store.kept[0], client_id=owner)
            mine = str(of.store.kept[0].decision_id)
            await prepare(of, mine, owner=owner)
            of.door.alerts.archive.kept = {  # type: ignore[attr-defined]  # the fake's
                UUID(mine): alert_of(mine, confirmed=name.endswith("/report")),
                UUID(int=1): alert_of(str(UUID(int=1)), confirmed=True),
            }
            if name.endswith("/revoke"):
                await ask(client, "POST /v1/roles/grant", "role:admin", mine)
            if name.endswith("/withdrawal"):
                of.store.proposed[0] = replace(of.store.proposed[0], by="operator", proposed_by="operator")
            before = deepcopy(vars(of.store))
            setattr(of.store, trouble, True)
            answer = await ask(client, name, who, mine)
            setattr(of.store, trouble, False)
            assert answer.status_code in {503, RECORDS_NOTHING.get(name, 503)}, answer.text
            assert vars(of.store) == before
            if name not in RECORDS_NOTHING:
                assert int(answer.headers["retry-after"]) > 0
                again = await ask(client, name, who, mine)  # the same request: it was well but for the store
                assert again.status_code in (200, 201, 202), again.text
                assert vars(of.store) != before

    run(main())


def test_every_route_that_acts_is_in_the_table_of_permissions() -> None:
    assert sorted(it for it in permissions().routes if not it.startswith("GET ")) == ACTS
