"""People change people, roles and the compliance profile over REST, and answer reviews: two persons, one key, one answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from tests.serving.http.fakes import BODY, KEYS, house, posting, small_release
from tests.serving.http.serving import run

from obligor.core.errors import UnauthenticatedError
from obligor.core.profile import EVERYTHING_OFF, parse_profile
from obligor.serving.acts import Caller
from obligor.serving.releases.release import compile_release
from obligor.serving.rows import UserRow

if TYPE_CHECKING:
    import httpx
    from tests.serving.http.fakes import House

LATER = datetime(2100, 1, 1, tzinfo=UTC)
ROLES = {"root": "admin", "grace": "admin", "carl": "compliance", "cora": "compliance", "olga": "senior_officer"}
ROLES |= {"Ada": "senior_officer", "vera": "auditor", "otto": "operator"}
ROLES |= {"pia": "privacy_officer", "paul": "privacy_officer"}
PASSWORD = "a long and quiet harbour"  # noqa: S105  of nobody
STRICTER = EVERYTHING_OFF.model_dump(mode="json", by_alias=True) | {
    "name": "stricter",
    "gates": {
        "kyc": {"state": "off"},
        "aml": {"state": "off", "elsewhere": {"system": "Screener", "reference": "POL-7"}},
        "pci": {"state": "enforce"},
    },
}


class Staff:
    """Lets each in under their name, with the one role that they have; ``name!`` has shown a second factor."""

    async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
        shown = (header or "").removeprefix("Bearer ")
        name = shown.removesuffix("!")
        if name in KEYS:
            return KEYS[name]
        if name not in ROLES:
            raise UnauthenticatedError("no API key or token that is known here")
        role = frozenset({ROLES[name]})
        strong = shown.endswith("!")
        return Caller(f"person:{name}", "", frozenset(), LATER, "person", role, subject=name, strong=strong)


def office(*users: str) -> House:
    of = house(authenticating=Staff())
    for it in users:
        of.store.users[it] = UserRow(it, "", LATER, None)
    return of


async def post(client: httpx.AsyncClient, path: str, who: str, said: Any = None, *, key: str = "k-1") -> httpx.Response:
    content = None if said is None else said if isinstance(said, bytes) else json.dumps(said).encode()
    return await client.post(path, content=content, headers=posting(key) | {"authorization": f"Bearer {who}"})


async def get(client: httpx.AsyncClient, path: str, who: str) -> httpx.Response:
    return await client.get(path, headers={"authorization": f"Bearer {who}"})


def test_a_user_is_added_once_for_a_key_and_the_answer_tells_nothing_of_the_password() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            said = {"user": "joan", "password": PASSWORD}
            proposed = await post(client, "/v1/users", "root", said, key="k-0")
            assert (proposed.status_code, proposed.json()["state"]) == (202, "proposed")
            agreed = await post(client, f"/v1/proposals/{proposed.json()['proposal_id']}/agreement", "grace")
            assert (agreed.status_code, agreed.json()["agreed_by"]) == (201, "grace")
            first = await post(client, "/v1/users", "root", said)
            assert (first.status_code, first.json()["signs_in"]) == (201, "here")
            again = await post(client, "/v1/users", "root", said)
            assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
            assert of.store.leaves == ["act.proposed", "act.agreed", "act.done", "user.added"]
            assert (await post(client, "/v1/users", "root", {"user": "jo"})).json()["type"].endswith("key-reused")
            taken = await post(client, "/v1/users", "root", said, key="k-2")
            assert (taken.status_code, PASSWORD in taken.text) == (409, False)
            assert all("argon2" not in it.text and PASSWORD not in it.text for it in (proposed, agreed, first))
            *_, (payload, _) = of.store.answered.values()
            await post(client, "/v1/users", "grace", {"user": "joan", "password": "another one, as long"})
        # What the key binds is the same whatever the password: a fast hash of it is kept nowhere.
        from obligor.serving.idempotency import request_saying

        assert payload == request_saying(KEYS["one"], route="users", key="k", said="joan").payload_sha256

    run(main())


def test_what_takes_two_is_agreed_to_by_another_who_may_do_it_and_has_shown_a_second_factor() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            decided = await post(client, "/v1/decisions", "one", BODY, key="d-1")
            path = f"/v1/decisions/{decided.json()['decision_id']}/reveals"
            said = {"fields": ["income"], "purpose": "the income was doubted"}
            asked = await post(client, path, "carl!", said)
            assert (asked.status_code, "values" in asked.json()) == (202, False)
            (seen,) = (await get(client, "/v1/proposals", "cora")).json()["proposals"]
            assert (seen["state"], seen["proposed_by"], seen["said"]["fields"]) == ("proposed", "carl", ["income"])
            assert (await get(client, "/v1/proposals", "root")).json()["proposals"] == []
            assert (await get(client, "/v1/proposals", "vera")).status_code == 403
            agreement = f"/v1/proposals/{seen['proposal_id']}/agreement"
            for who, why in {
                "carl!": "another person agrees",
                "cora": "second factor",
                "root!": "the role",
            }.items():
                refused = await post(client, agreement, who)
                assert (refused.status_code, why in refused.text) == (403, True), (who, refused.text)
            assert (await post(client, agreement, "olga!")).status_code == 404  # an underwriter, who may reveal alone
            assert (await get(client, "/v1/proposals", "olga")).json()["proposals"] == []  # and hears of none of it
            agreed = await post(client, agreement, "cora!")
            assert (agreed.status_code, "values" in agreed.text) == (201, False)
            assert (await post(client, agreement, "cora!", key="k-2")).status_code == 409
            shown = await post(client, path, "carl!", said, key="k-2")
            assert (shown.status_code, shown.json()["values"]) == (201, {"income": 1500})
        assert of.store.leaves[1:] == ["act.proposed", "act.agreed", "act.done", "revealed"]

    run(main())


def test_a_proposal_is_taken_back_once_by_who_made_it_and_nobody_elses_is() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            proposed = (await post(client, "/v1/users", "root", {"user": "joan"})).json()
            path, why = f"/v1/proposals/{proposed['proposal_id']}/withdrawal", {"because": "the wrong joan"}
            for who, status in {"grace": 403, "cora": 403, "vera": 403, "one": 403, "nobody": 401}.items():
                refused = await post(client, path, who, why)
                assert (refused.status_code, "wrong joan" in refused.text) == (status, False), (who, refused.text)
            for said in (
                {},
                {"because": ""},
                {"because": " "},
                why | {"proposed_by": "grace"},
                why | {"state": "done"},
            ):
                assert (await post(client, path, "root", said, key="k-0")).status_code == 422, said
            never = await post(client, f"/v1/proposals/{uuid4()}/withdrawal", "root", why)
            assert never.status_code == 404
            done = await post(client, path, "root", why, key="k-2")
            assert (done.status_code, done.json()["state"], done.json()["because"]) == (
                201,
                "withdrawn",
                why["because"],
            )
            assert (await post(client, path, "root", why, key="k-2")).content == done.content
            assert (await post(client, path, "root", why, key="k-3")).status_code == 409
            agreement = await post(client, f"/v1/proposals/{proposed['proposal_id']}/agreement", "grace")
            assert (agreement.status_code, "is withdrawn" in agreement.text) == (409, True)
            (seen,) = (await get(client, "/v1/proposals", "grace")).json()["proposals"]
            assert (seen["state"], seen["withdrawn_because"]) == ("withdrawn", why["because"])
        assert of.store.leaves == ["act.proposed", "act.withdrawn"]

    run(main())


def test_a_user_whom_nobody_added_is_not_disabled_without_a_word() -> None:
    async def main() -> None:
        async with office().client(None) as client:
            answer = await post(client, "/v1/users/disable", "root", {"user": "typo"})
            assert (answer.status_code, "there is none" in answer.text) == (404, True)

    run(main())


def test_a_role_takes_two_administrators_and_neither_is_who_gets_it() -> None:
    async def main() -> None:
        of = office("joan", "grace")
        async with of.client(None) as client:
            said = {"user": "joan", "role": "analyst"}
            assert (await post(client, "/v1/roles/grant", "root", said)).json()["state"] == "proposed"
            alone = await post(client, "/v1/roles/grant", "root", said, key="k-2")
            assert (alone.status_code, "another person" in alone.text) == (403, True)
            granted = await post(client, "/v1/roles/grant", "grace", said)
            assert (granted.json()["state"], granted.json()["by"]) == ("granted", "grace")
            own = await post(client, "/v1/roles/grant", "grace", {"user": "grace", "role": "operator"}, key="k-3")
            assert (own.status_code, "themselves" in own.text) == (403, True)
            seen = (await get(client, "/v1/access", "vera")).json()["users"]
            assert "decision.read (own)" in next(it for it in seen if it["user"] == "joan")["may"]
            assert (await post(client, "/v1/roles/revoke", "root", said, key="k-4")).json()["state"] == "revoked"
            assert (await post(client, "/v1/users/disable", "root", {"user": "joan"})).json()["state"] == "disabled"
            assert [it["state"] for it in (await get(client, "/v1/users", "root")).json()["users"]] == [
                "enabled",
                "disabled",
            ]
        assert of.store.leaves == ["role.proposed", "role.granted", "role.revoked", "user.disabled"]

    run(main())


@pytest.mark.parametrize("profile", [EVERYTHING_OFF.model_dump(mode="json", by_alias=True), STRICTER])
def test_the_gates_in_force_are_told_and_who_screens_where_aml_is_off(profile: dict[str, Any]) -> None:
    async def main() -> None:
        small, made = small_release(), parse_profile(json.dumps(profile).encode())
        release = compile_release(1, card=small.card, policy=small.policy, profile=made)
        of = house(release=release, authenticating=Staff())
        async with of.client(None) as client:
            shown = (await get(client, "/v1/profile/changes", "vera")).json()
        wanted = {name: {"on_fail": "hold", "reason": ""} | it for name, it in profile["gates"].items()}
        assert shown["gates"] == wanted

    run(main())


def test_a_profile_with_scopes_is_proposed_approved_and_told_with_each() -> None:
    def scoped(when: str) -> dict[str, Any]:
        return STRICTER | {"scopes": [{"name": "boat", "when": when, "gates": {"kyc": {"state": "enforce"}}}]}

    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            for when, words in (
                ("colour = 'red'", "no column"),
                ("purpose = 'B'", "never holds"),
                ("customer = 'c'", "role"),
            ):
                refused = await post(
                    client, "/v1/profile/changes", "carl", {"profile": scoped(when), "because": "Why not"}
                )
                assert (refused.status_code, words in refused.text) == (422, True), refused.text
            said = {"profile": scoped("purpose = 'boat'"), "because": "The regulator asks"}
            proposed = await post(client, "/v1/profile/changes", "carl", said, key="k-2")
            path = f"/v1/profile/changes/{proposed.json()['change_id']}/approval"
            assert (await post(client, path, "cora!", key="k-3")).status_code == 201
        assert of.store.leaves == ["profile.proposed", "profile.approved", "release"]
        small, made = small_release(), parse_profile(json.dumps(said["profile"]).encode())
        assert json.loads(of.store.records[1])["profile_sha256"] == made.sha256
        of = house(
            release=compile_release(2, card=small.card, policy=small.policy, profile=made), authenticating=Staff()
        )
        async with of.client(None) as client:
            told = (await get(client, "/v1/profile/changes", "vera")).json()
        wanted = {"kyc": {"state": "enforce", "on_fail": "hold", "reason": ""}}
        assert told["scopes"] == [{"name": "boat", "when": "purpose = 'boat'", "gates": wanted}]

    run(main())


def test_a_profile_takes_another_officer_with_a_second_factor() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            said = {"profile": STRICTER, "because": "The regulator asks"}
            proposed = await post(client, "/v1/profile/changes", "carl", said)
            assert proposed.status_code == 201
            path = f"/v1/profile/changes/{proposed.json()['change_id']}/approval"
            weak = await post(client, path, "cora")
            assert (weak.status_code, "second factor" in weak.text) == (403, True)
            own = await post(client, path, "carl!")
            assert (own.status_code, "another person" in own.text) == (403, True)
            approved = await post(client, path, "cora!")
            assert (approved.status_code, approved.json()["step"], approved.json()["release"]) == (201, "approved", 2)
            assert (await post(client, path, "cora!")).content == approved.content
            twice = await post(client, path, "cora!", key="k-2")
            assert (twice.status_code, "approved before" in twice.text) == (409, True)
            steps = (await get(client, "/v1/profile/changes", "vera")).json()["changes"]
            assert [it["step"] for it in steps] == ["approved", "proposed"]
            nobody = await post(client, f"/v1/profile/changes/{uuid4()}/approval", "cora!", key="k-3")
            assert nobody.status_code == 404
        assert of.store.leaves == ["profile.proposed", "profile.approved", "release"]

    run(main())


async def asked_for(client: httpx.AsyncClient, statement: str = "CANARY-77 my view") -> str:
    made = await client.post("/v1/decisions", content=BODY, headers=posting() | {"authorization": "Bearer one"})
    path = f"/v1/decisions/{made.json()['decision_id']}/review-requests"
    asked = await client.post(
        path,
        content=json.dumps({"statement": statement, "corrections": {"income": 60000}}).encode(),
        headers=posting() | {"authorization": "Bearer one"},
    )
    return str(asked.json()["review_id"])


def test_a_review_is_answered_by_a_person_who_took_no_part() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            review_id = await asked_for(client)
            path = f"/v1/review-requests/{review_id}"
            listed = await get(client, "/v1/review-requests", "olga")
            assert [it["review_id"] for it in listed.json()["reviews"]] == [review_id]
            assert "CANARY" not in listed.text
            said = {"outcome": "approve", "factors": ["Pay slips were shown"]}
            # Ada put the release in force.
            part = await post(client, f"{path}/decision", "Ada", said)
            assert (part.status_code, "took no part" in part.text) == (403, True)
            assert (await post(client, f"{path}/decision", "vera", said)).status_code == 403
            assert (await post(client, f"{path}/decision", "all", said)).status_code == 403
            done = await post(client, f"{path}/decision", "olga", said)
            assert (done.status_code, done.json()["outcome"]) == (201, "approve")
            assert (await post(client, f"{path}/decision", "olga", said)).content == done.content
            late = await post(client, f"{path}/decision", "olga", said, key="k-2")
            assert late.status_code == 409
            other = f"/v1/review-requests/{uuid4()}"
            for where, more in ((path, {"outcome": "decline"}), (path, {"factors": ["Another"]}), (other, {})):
                reused = await post(client, f"{where}/decision", "olga", said | more)
                assert reused.json()["type"].endswith("key-reused"), more
            assert (await get(client, path, "olga")).json()["state"] == "decided"
            assert (await get(client, "/v1/review-requests", "olga")).json() == {"reviews": []}

    run(main())


def test_a_review_that_is_decided_again_is_decided_as_the_applicant_corrected_it() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            path = f"/v1/review-requests/{await asked_for(client)}/decision"
            done = await post(client, path, "olga", {"outcome": "again"})
            again = done.json()["new_decision_id"]
            assert (await get(client, f"/v1/decisions/{again}", "one")).json()["outcome"] == done.json()["outcome"]
        assert json.loads(of.store.kept[1].record)["input"]["income"] == 60000

    run(main())


def test_what_the_applicant_wrote_is_shown_to_who_may_decide_and_that_is_recorded() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            path = f"/v1/review-requests/{await asked_for(client)}"
            of.store.leaves.clear()
            for who in ("vera", "carl", "one"):
                seen = await get(client, path, who)
                assert (seen.status_code, seen.json()["statement"], seen.json()["corrections"]) == (200, None, None)
                assert "CANARY" not in seen.text
            assert of.store.leaves == []
            read = (await get(client, path, "olga")).json()
            assert (read["statement"], read["corrections"]) == ("CANARY-77 my view", {"income": 60000})
            assert of.store.leaves == ["review.read"]

    run(main())


def test_another_clients_review_reads_like_one_that_there_never_was() -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            path = f"/v1/review-requests/{await asked_for(client)}"
            never = await get(client, f"/v1/review-requests/{uuid4()}", "two")
            others = await get(client, path, "two")
            assert (others.status_code, others.content) == (404, never.content)
            assert (await get(client, "/v1/review-requests", "two")).json() == {"reviews": []}
            assert len((await get(client, "/v1/review-requests", "one")).json()["reviews"]) == 1

    run(main())


@pytest.mark.parametrize(
    "said",
    [
        {"user": "CANARY 77"},
        {"user": "canary", "password": "CANARY"},
        {"user": "canary", "password": "CANARY" * 50},
        {"user": "canary", "approved_by": "CANARY"},
        {"user": ["CANARY"]},
        {"name": "CANARY"},
        b'{"user": "CANARY\\ud800"}',
        b'{"user": "a", "user": "CANARY"}',
        b"[" * 3000,
        b'"CANARY"',
    ],
)
def test_what_is_no_user_is_refused_and_not_repeated(said: Any) -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            answer = await post(client, "/v1/users", "root", said)
            assert (answer.status_code, "CANARY" in answer.text) == (422, False), answer.text
        assert of.store.leaves == []

    run(main())


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"name": "x"},
        STRICTER | {"gates": {}},
        STRICTER | {"unheard_of": True},
        EVERYTHING_OFF.model_dump(mode="json", by_alias=True),
    ],
)
def test_what_is_no_profile_or_nothing_new_is_refused(profile: dict[str, Any]) -> None:
    async def main() -> None:
        of = office()
        async with of.client(None) as client:
            answer = await post(client, "/v1/profile/changes", "carl", {"profile": profile, "because": "Why not"})
            assert answer.status_code == 422, answer.text
        assert of.store.leaves == []

    run(main())
