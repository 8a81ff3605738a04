"""Every route has its permission in the table, and lets in whom the table says: by role and scope, own and others'."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from fastapi.routing import APIRoute
from tests.serving.http.fakes import BODY, house, posting
from tests.serving.http.serving import run
from tests.stores import NOW as NOON

from obligor.core.errors import UnauthenticatedError
from obligor.core.profile import EVERYTHING_OFF
from obligor.security.permissions import OPEN, may, permissions
from obligor.serving.acts import Caller
from obligor.serving.grpc.decisions_pb2 import DESCRIPTOR
from obligor.serving.http.app import _ROUTERS
from obligor.serving.http.hot import NAME
from obligor.serving.http.shapes import ActsPage
from obligor.serving.people.authenticating import NOBODY, Sender
from obligor.serving.privacy.personal import PERSON
from obligor.serving.rows import ApiKeyRow, ProposalRow, ReviewRow, UserRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from fastapi.dependencies.models import Dependant
    from tests.serving.http.fakes import House

LATER = datetime(2100, 1, 1, tzinfo=UTC)
ROUTES = [it for router in _ROUTERS for it in router.routes if isinstance(it, APIRoute)]
SOMEBODYS = "somebody"
BY_TWO = {
    *("POST /v1/users", "POST /v1/decisions/{decision_id}/reveals", "POST /v1/keys", "POST /v1/keys/rotate"),
    *("POST /v1/privacy/erasures", "POST /v1/privacy/holds", "POST /v1/privacy/holds/release"),
}
"""What is only proposed the first time."""
STRICTER = EVERYTHING_OFF.model_dump(mode="json", by_alias=True) | {
    "name": "stricter",
    "gates": {
        "kyc": {"state": "off"},
        "aml": {"state": "off", "elsewhere": {"system": "Screener", "reference": "POL-7"}},
        "pci": {"state": "enforce"},
    },
}


def caller_of(who: str) -> Caller:
    """A person with one role, a key with one scope, or a system: all called by what they hold."""
    kind, _, name = who.partition(":")
    if kind == "scope":
        return Caller(f"client-{name}", "k1", frozenset({name}), LATER)
    if name == "los":
        return Caller("loan-desk", "", frozenset(), LATER, roles=frozenset({name}))
    return Caller(
        f"person:{name}", "", frozenset(), LATER, kind="person", roles=frozenset({name}), subject=name, strong=True
    )


EVERYBODY = [*(f"role:{it}" for it in permissions().roles), *(f"scope:{it}" for it in permissions().scopes)]


class Named:
    """Lets everybody in under the name that they show."""

    def known(self, header: str, sender: Sender = NOBODY) -> Caller | None:
        return None

    async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
        who = (header or "").removeprefix("Bearer ")
        if who == SOMEBODYS:
            return Caller("another-client", "k2", frozenset(permissions().scopes), LATER)
        if who not in EVERYBODY:
            raise UnauthenticatedError("no API key or token that is known here")
        return caller_of(who)


def named(route: APIRoute) -> list[str]:
    return [f"{method} {route.path_format}" for method in sorted(route.methods)]


def asked(dependant: Dependant) -> Iterator[str]:
    for it in dependant.dependencies:
        if hasattr(it.call, "permission"):
            yield it.call.permission
        yield from asked(it)


def test_every_route_is_in_the_table_and_the_table_names_no_other() -> None:
    assert sorted(name for route in ROUTES for name in named(route)) == sorted(permissions().routes)


def test_every_call_is_in_the_table_and_the_table_names_no_other() -> None:
    calls = DESCRIPTOR.services_by_name["Decisions"].methods
    assert sorted(it.name for it in calls) == sorted(permissions().calls)


@pytest.mark.parametrize("route", ROUTES, ids=lambda it: named(it)[0])
def test_every_route_asks_for_the_permission_of_the_table(route: APIRoute) -> None:
    for name in named(route):
        wanted = permissions().routes[name]
        if name != NAME:  # which is asked past the framework, and tried below
            assert list(asked(route.dependant)) == ([] if wanted == OPEN else [wanted])


TODAY = datetime.now(UTC).date().isoformat().encode()


def key_id_of(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:12]


async def ask(client: httpx.AsyncClient, name: str, who: str, decision_id: str) -> httpx.Response:
    method, path = name.split()
    body = {
        "/v1/decisions/bulk": b'{"applications": [%b]}' % BODY,
        "/v1/tokens": b'{"user": "ada", "password": "a long and quiet harbour"}',
        "/v1/decisions/{decision_id}/review-requests": b'{"statement": "My income was counted wrongly."}',
        "/v1/alerts/{alert_id}/clearances": b'{"because": "another birth place"}',
        "/v1/alerts/{alert_id}/confirmation": b'{"because": "the same passport"}',
        "/v1/alerts/{alert_id}/report": b'{"reference": "ORS-1"}',
        "/v1/alerts/yearly-reports": b'{"year": 2026, "reference": "ORS-1", "alerts": ["%b"]}'
        % str(UUID(int=1)).encode(),
        "/v1/decisions/{decision_id}/reveals": b'{"fields": ["income"], "purpose": "the income was doubted"}',
        "/v1/decisions/{decision_id}/outcomes": json.dumps(
            {"status": "good", "observed_on": datetime.now(UTC).date().isoformat()}
        ).encode(),
        "/v1/decisions/{decision_id}/override": b'{"outcome": "approve", "reason": "none", "rationale": "A payslip was shown"}',
        "/v1/decisions/{decision_id}/counter-offer": b'{"offered_on": "%b", "respond_by": "2100-01-01", "rate": 0.1}'
        % TODAY,
        "/v1/decisions/{decision_id}/counter-offer/answer": b'{"accepted": true, "answered_on": "%b"}' % TODAY,
        "/v1/decisions/{decision_id}/incompleteness": b'{"fields": ["income"], "respond_by": "2100-01-01"}',
        "/v1/review-requests/{review_id}/decision": b'{"outcome": "approve", "factors": ["Pay slips were shown"]}',
        "/v1/users": b'{"user": "new-%b"}' % decision_id.encode(),
        "/v1/proposals/{proposal_id}/withdrawal": b'{"because": "it was an error"}',
        "/v1/users/disable": b'{"user": "old-%b"}' % decision_id.encode(),
        "/v1/roles/grant": b'{"user": "%b", "role": "auditor"}' % decision_id.encode(),
        "/v1/roles/revoke": b'{"user": "%b", "role": "auditor"}' % decision_id.encode(),
        "/v1/privacy/erasures": b'{"person_id": "%b"}' % decision_id.encode(),
        "/v1/privacy/holds": b'{"person_id": "%b", "because": "case 7"}' % decision_id.encode(),
        "/v1/privacy/holds/release": b'{"person_id": "held-%b"}' % decision_id.encode(),
        "/v1/privacy/exports": b'{"person_id": "%b"}' % decision_id.encode(),
        "/v1/keys": b'{"client": "client-%b"}' % decision_id.encode(),
        "/v1/keys/rotate": b'{"key_id": "%b"}' % key_id_of(decision_id).encode(),
        "/v1/keys/revoke": b'{"key_id": "%b"}' % key_id_of(f"old-{decision_id}").encode(),
        "/v1/profile/changes": json.dumps({"profile": STRICTER, "because": "The regulator asks"}).encode(),
    }.get(path, BODY)
    query = "?from=1&to=2" if path.endswith("consistency") else ""
    key = f"{who}-{name}-{decision_id}".replace(" ", "-")
    return await client.request(
        method,
        re.sub(r"{\w+_id}", decision_id, path).replace("{level}/{index}", "0/000.p/7") + query,
        headers={"authorization": f"Bearer {who}"} | (posting(key) if method == "POST" else {}),
        content=body if method == "POST" else None,
    )


async def prepare(of: House, id_: str, *, owner: str) -> None:
    """Give an id not to a decision alone, but also to a review of it, to users without a role, to people who are known and
    held, to keys, and to a proposal."""
    for user in (id_, f"old-{id_}"):
        of.store.users[user] = UserRow(user, "", LATER, None)
        of.store.keys_made[key_id_of(user)] = ApiKeyRow(
            key_id_of(user), "bank", "", ("decide",), bytes(32), NOON, LATER, None
        )
    ring = of.door.privacy.sealer.keyring
    held = ring.subject(PERSON, f"held-{id_}")
    of.store.subjects_known |= {ring.subject(PERSON, id_), held}
    of.store.held.add(held)
    row = ReviewRow(UUID(id_), of.store.kept[2].decision_id, owner, LATER, LATER, "")
    of.store.asked.append((row, b'{"statement": "A view", "corrections": {}}'))
    said = ("key.rotated", "{}", "it leaked", "another person", LATER, LATER, "another person")
    of.store.proposed.append(ProposalRow(id_, "proposed", *said))
    changing = of.door.administration.changing
    proposed = await changing.propose(json.dumps(STRICTER).encode(), because="The regulator asks", by="another officer")
    of.store.steps[0] = replace(proposed, change_id=id_)


def expected(name: str, who: str, *, own: bool) -> set[int]:
    permission = permissions().routes[name]
    if permission == OPEN:
        return {404} if name == "POST /v1/tokens" else {200}
    caller = caller_of(who)
    if permission.startswith("alert.") and not may(caller, "alert.read"):
        return {404}
    if not may(caller, permission):
        return {403}
    how = permissions().held(roles=caller.roles, scopes=caller.scopes)[permission]
    if name.endswith("/withdrawal") or (name.endswith("/agreement") and not may(caller, "key.rotate")):
        return {403}  # another person proposed it, and to replace a key
    hidden = re.search(r"{(decision|review)_id}", name) and how.own and not own
    if hidden or "{alert_id}" in name:  # of alerts there is none here
        return {404}
    done = {
        "POST /v1/alerts/yearly-reports": {422},  # it names a match, of which there is none
        "POST /v1/decisions/{decision_id}/screenings": {409},  # nobody is screened here
        "POST /v1/decisions/{decision_id}/override": {403},  # the policy delegates nothing
        "GET /v1/decisions/{decision_id}/override": {404},  # nobody overrode it
        "POST /v1/decisions/{decision_id}/incompleteness": {409},  # it was declined
    }.get(name, {200, 201})
    return {202} if how.second and name in BY_TWO else done


@pytest.mark.parametrize("who", EVERYBODY)
def test_each_may_do_on_each_route_what_the_table_says_with_their_own_and_with_others(who: str) -> None:
    async def main() -> None:
        of = house(authenticating=Named())
        async with of.client(None) as client:
            made: dict[bool, str] = {}
            for own in (False, True):
                answer = await client.post(
                    "/v1/decisions",
                    content=BODY,
                    headers=posting(f"first-{own}") | {"authorization": f"Bearer {SOMEBODYS}"},
                )
                made[own] = answer.json()["decision_id"]
            owned = of.store.kept[1]
            of.store.kept[1] = type(owned)(
                owned.decision_id, caller_of(who).client_id, owned.leaf_index, owned.leaf, owned.record, owned.salt
            )
            await ask(client, "POST /v1/decisions", SOMEBODYS, "third")
            for own, decision_id in made.items():
                await prepare(of, decision_id, owner=caller_of(who).client_id if own else "another-client")
            for name in permissions().routes:
                for own, decision_id in made.items():
                    answer = await ask(client, name, who, decision_id)
                    assert answer.status_code in expected(name, who, own=own), (name, own, answer.text)

    run(main())


def test_who_shows_nothing_is_let_in_nowhere_but_where_it_is_open() -> None:
    async def main() -> None:
        of = house(authenticating=Named())
        async with of.client(None) as client:
            for name, permission in permissions().routes.items():
                answer = await ask(client, name, "nobody", "00000000-0000-0000-0000-000000000000")
                assert (answer.status_code == 401) == (permission != OPEN), name

    run(main())


def test_another_clients_decision_reads_like_one_that_there_never_was() -> None:
    async def main() -> None:
        of = house(authenticating=Named())
        async with of.client(None) as client:
            made = await client.post(
                "/v1/decisions", content=BODY, headers=posting() | {"authorization": f"Bearer {SOMEBODYS}"}
            )
            for name in permissions().routes:
                if "{decision_id}" not in name:
                    continue
                if (
                    not permissions()
                    .held(roles=frozenset(), scopes=frozenset({"read", "report"}))
                    .get(permissions().routes[name])
                ):
                    continue  # for people alone
                who = "scope:report" if name.startswith("POST") else "scope:read"
                others = await ask(client, name, who, made.json()["decision_id"])
                never = await ask(client, name, who, "00000000-0000-7000-8000-000000000000")
                assert (others.status_code, others.content) == (404, never.content)
                assert sorted(others.headers.raw) == sorted(never.headers.raw)

    run(main())


def test_a_search_shows_a_person_their_own_and_an_auditor_everybodys() -> None:
    async def main() -> None:
        of = house(authenticating=Named())
        async with of.client(None) as client:
            for who in ("role:analyst", "role:senior_officer", "role:los"):
                await ask(client, "POST /v1/decisions", who, "")
            seen = {
                who: len((await ask(client, "GET /v1/decisions", who, "")).json()["decisions"])
                for who in ("role:analyst", "role:auditor", "role:los", "scope:read", "scope:audit")
            }
        assert seen == {"role:analyst": 1, "role:auditor": 3, "role:los": 1, "scope:read": 0, "scope:audit": 3}

    run(main())


def test_people_read_who_did_what_as_far_as_their_role_goes_and_keys_do_not() -> None:
    async def main() -> None:
        async with house(authenticating=Named()).client(None) as client:

            async def read(who: str, query: str = "") -> httpx.Response:
                return await client.get(f"/v1/log/acts{query}", headers={"authorization": f"Bearer {who}"})

            page = (await read("role:validator")).json()
            ActsPage.model_validate_json(json.dumps(page))
            assert (page["acts"][0]["by"], page["next_cursor"]) == ("person:validator", "3")
            assert (await read("role:analyst")).json() == {"acts": [], "next_cursor": "3"}
            assert (await read("role:auditor", "?cursor=0")).json()["next_cursor"] is None
            assert (await read("role:auditor", "?from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z")).status_code == 200
            for who in ("role:operator", "role:los", "scope:audit", "scope:read"):
                assert (await read(who)).status_code == 403
            for query in ("cursor=-1", "cursor=x", "from=2026-11-01", "to=1764547200", "kind=a", "cursor=1&cursor=2"):
                assert (await read("role:auditor", f"?{query}")).status_code == 422, query

    run(main())


def test_what_a_caller_claims_to_be_counts_for_nothing() -> None:
    """Mass assignment, method override, hidden parameters: no field, header or parameter says who somebody is (F31)."""

    async def main() -> None:
        of = house(authenticating=Named())
        async with of.client(None) as client:
            for field in (
                "client_id",
                "decision_id",
                "outcome",
                "status",
                "approved_by",
                "tenant_id",
                "roles",
                "score",
            ):
                body = json.dumps(json.loads(BODY) | {field: "admin"}).encode()
                answer = await client.post(
                    "/v1/decisions", content=body, headers=posting(field) | {"authorization": "Bearer role:analyst"}
                )
                assert answer.status_code == 422, field
            headers = {
                "authorization": "Bearer scope:metrics",
                "x-http-method-override": "GET",
                "x-method-override": "GET",
                "x-forwarded-user": "admin",
                "x-client-id": "another-client",
                "x-original-url": "/metrics",
            }
            assert (await client.get("/v1/decisions", headers=headers)).status_code == 403
            assert (await client.post("/v1/release", headers=posting() | headers, content=BODY)).status_code == 405
            asked_for = await client.get(
                "/v1/decisions?client_id=another-client", headers={"authorization": "Bearer role:analyst"}
            )
            assert asked_for.status_code == 422
            assert of.store.kept == []

    run(main())


def test_who_holds_roles_that_conflict_may_not_even_look() -> None:
    class Both:
        def known(self, header: str, sender: Sender = NOBODY) -> Caller | None:
            return None

        async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
            roles = frozenset({"analyst", "auditor"})
            return Caller("person:ada", "", frozenset(), LATER, kind="person", roles=roles, subject="ada")

    async def main() -> None:
        of = house(authenticating=Both())
        async with of.client() as client:
            answer: Any = await client.get("/v1/decisions")
            assert answer.status_code == 403
            assert "held together" in answer.json()["detail"]

    run(main())
