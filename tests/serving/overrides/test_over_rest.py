"""Over REST an override is recorded (201), proposed (202) or refused, each with the status that says why."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lending import person
from tests.serving.http.fakes import LATER, House, house, posting
from tests.serving.http.serving import run
from tests.serving.overrides.desk import APPLICATIONS, APPROVED, AUTHORITY, BELOW, BEYOND, REFERRED, release_with

from obligor.core.errors import ClashError, GateError, UnauthenticatedError
from obligor.core.profile import GATES, RESULTS
from obligor.serving.acts import Caller
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc import replies
from obligor.serving.overrides.override import Said
from obligor.serving.overrides.overriding import _check_against
from obligor.serving.people.authenticating import NOBODY, Sender

if TYPE_CHECKING:
    import httpx

SAID: dict[str, Any] = {
    "outcome": "approve",
    "reason": "compensating",
    "rationale": "CANARY-7001 a second payslip was shown",
    "factors": ["CANARY-7002 Length of employment"],
}


class Named:
    """Lets in a client, and everybody else by name and role."""

    def known(self, header: str, sender: Sender = NOBODY) -> Caller | None:
        return None

    async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
        who = (header or "").removeprefix("Bearer ")
        if who in ("bank", "broker"):
            return Caller(who, "k", frozenset({"decide", "read"}), LATER)
        name, _, role = who.partition(":")
        if not role:
            raise UnauthenticatedError("nobody")
        return person(name, role)


def lender(authority: dict[str, Any] | None = AUTHORITY) -> House:
    return house(release=release_with(authority), authenticating=Named())


async def asked(
    client: httpx.AsyncClient, method: str, path: str, body: Any = None, *, who: str = "bank", key: str = "k-1"
) -> httpx.Response:
    headers = {"authorization": f"Bearer {who}"} | (posting(key) if method == "POST" else {})
    content = None if body is None else json.dumps(body)
    return await client.request(method, path, content=content, headers=headers)


async def decided(client: httpx.AsyncClient, which: int = REFERRED) -> str:
    made = await asked(client, "POST", "/v1/decisions", APPLICATIONS[which], key=f"d-{which}")
    return str(made.json()["decision_id"])


def test_an_override_is_recorded_and_told_to_whoever_may_see_the_decision() -> None:
    async def main() -> None:
        made = lender()
        async with made.client(None) as client:
            path = f"/v1/decisions/{await decided(client)}"
            assert (await asked(client, "GET", f"{path}/override")).status_code == 404
            done = await asked(client, "POST", f"{path}/override", SAID, who="ben:analyst")
            assert done.status_code == 201, done.text
            told = done.json()
            assert (told["direction"], told["receipt"]["leaf_index"]) == ("none", 1)
            again = await asked(client, "POST", f"{path}/override", SAID, who="ben:analyst")
            assert (again.content, again.headers["idempotent-replayed"]) == (done.content, "true")
            seen = await asked(client, "GET", f"{path}/override")
            assert seen.json()["state"] == "in_force"
            read = (await asked(client, "GET", path)).json()
            (found,) = (await asked(client, "GET", "/v1/decisions")).json()["decisions"]
            assert (read["outcome"], read["stands"]["outcome"], found) == ("refer", "approve", read)
            caller = await Named().authenticate("Bearer bank", peer="")
            over_grpc = replies.found(await made.door.register.decision(caller, UUID(read["decision_id"])))
            assert over_grpc.stands.outcome == pb.OUTCOME_APPROVE
            for who in ("broker", "eve:analyst"):
                hidden = [await asked(client, "GET", f"{path}{it}", who=who) for it in ("/override", "")]
                assert [it.status_code for it in hidden] == [404, 404]
            assert "CANARY" not in done.text + seen.text + str(read)

    run(main())


@pytest.mark.parametrize("trouble", ["down", "closed"])
@pytest.mark.parametrize(("which", "status"), [(REFERRED, 201), (BELOW, 202)])
def test_an_override_that_cannot_be_recorded_is_503_and_changes_nothing(trouble: str, which: int, status: int) -> None:
    async def main() -> None:
        made = lender()
        async with made.client(None) as client:
            path = f"/v1/decisions/{await decided(client, which)}/override"
            before = deepcopy(vars(made.store))
            setattr(made.store, trouble, True)
            told = await asked(client, "POST", path, SAID, who="ben:analyst")
            setattr(made.store, trouble, False)
            assert (told.status_code, vars(made.store)) == (503, before)
            assert (await asked(client, "POST", path, SAID, who="ben:analyst")).status_code == status

    run(main())


@pytest.mark.parametrize(
    ("who", "which", "more", "status"),
    [
        ("", REFERRED, {}, 401),
        ("bank", REFERRED, {}, 403),
        ("rose:risk_officer", REFERRED, {}, 403),
        ("ada:senior_officer", REFERRED, {}, 403),  # who put the release in force
        ("ben:analyst", BEYOND, {}, 403),
        ("ben:analyst", BELOW, {}, 202),
        ("sue:senior_officer", BELOW, {}, 201),
        ("ben:analyst", REFERRED, {"reason": "friendship"}, 422),
        ("ben:analyst", REFERRED, {"reason": None}, 422),
        ("ben:analyst", REFERRED, {"outcome": "decline", "factors": []}, 422),
        ("ben:analyst", REFERRED, {"rationale": ""}, 422),
        ("ben:analyst", REFERRED, {"limit": 9}, 422),
        ("ben:analyst", APPROVED, {}, 409),
        ("ben:analyst", REFERRED, {"rationale": "x" * 20_000}, 413),
    ],
)
def test_each_refusal_has_its_status_and_repeats_nothing(
    who: str, which: int, more: dict[str, Any], status: int
) -> None:
    async def main() -> None:
        made = lender()
        async with made.client(None) as client:
            path = f"/v1/decisions/{await decided(client, which)}/override"
            told = await asked(client, "POST", path, SAID | more, who=who)
            assert told.status_code == status, told.text
            assert "CANARY" not in told.text
            kinds = {201: ["override.decided"], 202: ["act.proposed"]}.get(status, [])
            assert made.store.leaves[1:] == kinds

    run(main())


def test_where_nothing_is_delegated_it_is_forbidden() -> None:
    async def main() -> None:
        async with lender(None).client(None) as client:
            path = f"/v1/decisions/{await decided(client)}/override"
            assert (await asked(client, "POST", path, SAID, who="sue:senior_officer")).status_code == 403

    run(main())


def test_the_second_person_agrees_over_rest_and_the_first_sends_it_again() -> None:
    async def main() -> None:
        made = lender()
        async with made.client(None) as client:
            path = f"/v1/decisions/{await decided(client, BELOW)}/override"
            proposed = (await asked(client, "POST", path, SAID, who="ben:analyst")).json()
            (listed,) = (await asked(client, "GET", "/v1/proposals", who="sue:senior_officer")).json()["proposals"]
            assert listed["proposal_id"] == proposed["proposal_id"]
            assert "CANARY" not in str(listed)
            for who, seen in (("ben:analyst", [listed]), ("ann:analyst", []), ("kim:senior_officer", [listed])):
                assert (await asked(client, "GET", "/v1/proposals", who=who)).json()["proposals"] == seen
            agreement = f"/v1/proposals/{listed['proposal_id']}/agreement"
            for who, status in (("ben:senior_officer", 403), ("ada:senior_officer", 403), ("sue:senior_officer", 201)):
                told = await asked(client, "POST", agreement, who=who, key=f"a-{who}")
                assert told.status_code == status, told.text
            assert (await asked(client, "POST", path, SAID, who="ben:analyst", key="k-2")).status_code == 201

    run(main())


def test_agreeing_asks_for_a_second_factor() -> None:
    class Weak(Named):
        async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
            return replace(await super().authenticate(header, peer=peer, holds=holds), strong=False)

    async def main() -> None:
        made = house(release=release_with(), authenticating=Weak())
        async with made.client(None) as client:
            path = f"/v1/decisions/{await decided(client, BELOW)}/override"
            proposed = (await asked(client, "POST", path, SAID, who="ben:analyst")).json()
            agreement = f"/v1/proposals/{proposed['proposal_id']}/agreement"
            told = await asked(client, "POST", agreement, who="sue:senior_officer")
            assert (told.status_code, "second factor" in told.text) == (403, True)

    run(main())


STATES = st.sampled_from(["off", "monitor", "enforce"])
GATED = st.dictionaries(
    st.sampled_from(GATES), st.fixed_dictionaries({"state": STATES, "result": st.sampled_from(sorted(RESULTS))})
)


@given(gates=GATED, outcome=st.sampled_from(["refer", "decline"]), because=st.sampled_from(["score", "grey_zone"]))
def test_no_override_approves_against_an_enforced_gate_that_did_not_pass(
    gates: dict[str, dict[str, str]], outcome: str, because: str
) -> None:
    record = {"outcome": outcome, "because": because, "gates": gates}
    said = Said("approve", "compensating", "Why")
    if any(it["state"] == "enforce" and it["result"] != "pass" for it in gates.values()):
        with pytest.raises(GateError) as refused:
            _check_against(record, said)
        assert not set(GATES) & set(refused.value.message.split())
    else:
        _check_against(record, said)


@pytest.mark.parametrize("outcome", ["refer", "decline"])
def test_what_a_rule_refers_a_person_may_approve_and_what_it_declines_nobody(outcome: str) -> None:
    record = {"outcome": outcome, "because": "knockout:young", "gates": {}}
    said = Said("approve", "compensating", "Why")
    if outcome == "refer":
        _check_against(record, said)
    else:
        with pytest.raises(ClashError, match="a rule that knows exceptions refers"):
            _check_against(record, said)
