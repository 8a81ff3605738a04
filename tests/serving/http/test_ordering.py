"""Orders over REST on a real store: of what takes two people and what does not, by those who may and those who may not."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from tests.adapters.store.test_privacy import everything, verified
from tests.lending import KEY, lending
from tests.serving import golden_decisions as golden
from tests.serving.http.fakes import KEYS, house
from tests.serving.http.serving import run
from tests.serving.http.test_administering import Staff, get, post

from obligor.adapters.store.people import PostgresPeople
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.privacy import PostgresPrivacy
from obligor.adapters.store.proposals import PostgresProposals
from obligor.core.canonical import canonical_json
from obligor.core.errors import ClashError, InvalidInputError
from obligor.governance.law.packs import the_packs
from obligor.security.api_keys import parse_key
from obligor.security.signing import Verifier
from obligor.serving.acts import Request, Submission
from obligor.serving.http import make_app
from obligor.serving.http import order_shapes as shapes
from obligor.serving.once import once
from obligor.serving.people.authenticating import key_of
from obligor.serving.people.keys import KeyDesk
from obligor.serving.people.proposals import Proposals
from obligor.serving.privacy.erasing import PURPOSE, Office
from obligor.serving.privacy.orders import PrivacyDesk, subjects_meant
from obligor.serving.privacy.personal import APPLICATION, DECISION, PERSON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import httpx
    from tests.lending import Lender

    from obligor.serving.acts import Recorded, Recorder

ANN, NOBODY = "Canary-Ann-7731", "Canary-Nobody-4402"
ERASURES, HOLDS, RELEASES, EXPORTS = (f"/v1/privacy/{it}" for it in ("erasures", "holds", "holds/release", "exports"))
CREATE, ROTATE, REVOKE = "/v1/keys", "/v1/keys/rotate", "/v1/keys/revoke"
ON = {"application_id": ANN}
CASE = {"because": "case 7"}
SHOP: dict[str, Any] = {"client": "branch-7", "name": "the web shop", "scopes": ["read", "decide"], "days": 90}

BOUND = SHOP | {"networks": ["2001:DB8::/32", "10.0.0.0/8"]}


@dataclass
class Rest:
    """A service on a real store, in which one was decided on, and who asks it."""

    lender: Lender
    client: httpx.AsyncClient
    pool: Pool

    async def ask(self, path: str, who: str, said: Any, *, key: str | None = None) -> httpx.Response:
        return await post(self.client, path, who, said, key=key or uuid4().hex)

    async def agree(self, asked: httpx.Response, who: str) -> None:
        assert asked.status_code == 202, asked.text
        agreed = await self.ask(f"/v1/proposals/{asked.json()['proposal_id']}/agreement", who, None)
        assert (agreed.status_code, agreed.json()["agreed_by"]) == (201, who.strip("!"))

    async def by_two(
        self, path: str, who: str, said: Any, *, other: str, key: str = "done"
    ) -> tuple[httpx.Response, httpx.Response]:
        """Propose, have another agree, and do; gives what was answered first and last."""
        asked = await self.ask(path, who, said)
        await self.agree(asked, other)
        return asked, await self.ask(path, who, said, key=key)

    async def kinds(self) -> list[str]:
        rows = await self.pool.rows("SELECT kind FROM obligor.leaf ORDER BY index")
        return [it["kind"] for it in rows if it["kind"] not in ("release", "decision")]


@asynccontextmanager
async def rest(
    url: str, *, packs: tuple[str, ...] = (), clock: Callable[[], datetime] | None = None
) -> AsyncIterator[Rest]:
    pool = Pool(url)
    try:
        async with lending(url, clock=clock) as lender:
            (given,) = golden.applications(1)
            await lender.decide_one(given | {"customer": ANN}, client="bank", key="d-1")
            subjects, sealer = PostgresPrivacy(pool), lender.register.sealer
            assert sealer is not None
            proposals = Proposals(PostgresProposals(pool), PostgresPeople(pool), lender.recorder, lender.sources)

            def office(by: str, recorder: Recorder) -> Office:
                return Office(
                    subjects, recorder, lender.sources, by, retain_days=0, packs=[the_packs()[it] for it in packs]
                )

            of = house(
                authenticating=Staff(),
                privacy=PrivacyDesk(
                    *(office, subjects, sealer, lender.register.opener, lender.register.words),
                    *(lender.archive, proposals, KEY),
                ),
                keys=KeyDesk(lender.archive, lender.archive, proposals),
            )
            administration = replace(
                of.door.administration, proposals=proposals, answers=lender.archive, recorder=lender.recorder
            )
            async with of.client(None, app=make_app(replace(of.door, administration=administration))) as client:
                yield Rest(lender, client, pool)
    finally:
        await pool.close()


def played(url: str, scene: Callable[[Rest], Awaitable[None]], **of: Any) -> None:
    async def main() -> None:
        async with rest(url, **of) as service:
            await scene(service)

    run(main())


def told(answer: httpx.Response) -> tuple[int, str]:
    """The status, and the kind of problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_a_person_is_erased_once_two_officers_want_it_and_the_certificate_verifies(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        wish = ON | {"because": "their wish"}
        asked, done = await service.by_two(ERASURES, "pia!", wish, other="paul!")
        assert {it: asked.json()[it] for it in ("state", "proposed_by", "because")} == {
            "state": "proposed", "proposed_by": "pia", "because": "their wish",
        }  # fmt: skip
        assert (done.status_code, done.json()["keys_destroyed"], done.json()["decisions"]) == (201, 1, 1)
        assert done.json()["not_told"] == ["bank"]
        said = {it: done.json()[it] for it in ("schema", "subject", "erased_at", "decisions", "keys_destroyed")}
        signature = bytes.fromhex(done.json()["signature"])
        assert Verifier(KEY.verifier).signed_statement(canonical_json(said), signature, purpose=PURPOSE)
        again = await service.ask(ERASURES, "pia!", wish, key="done")
        assert (again.content, again.headers["idempotent-replayed"]) == (done.content, "true")
        # Of whoever was erased before there is a certificate of that: nothing is recorded, nor proposed.
        later = await service.ask(ERASURES, "paul!", ON)
        assert (later.status_code, later.json()["keys_destroyed"], "receipt" in later.json()) == (200, 0, False)
        assert later.json()["erased_at"] == done.json()["erased_at"]
        assert await service.kinds() == ["act.proposed", "act.agreed", "act.done", "erased"]
        export = await service.ask(EXPORTS, "pia!", ON)
        assert [it["erased"] for it in export.json()["decisions"]] == [True]
        for shape, answer in ((shapes.Erased, done), (shapes.Certificate, later), (shapes.Exported, export)):
            shape.model_validate_json(answer.content)
        assert all(ANN not in it.text for it in (asked, done, later, export))

    played(store_url, scene)
    assert verified(store_url) == []


ORDERS: list[tuple[str, dict[str, Any], str]] = [
    (ERASURES, ON, "pia! paul!"),
    (HOLDS, ON | CASE, "pia! pia paul cora carl"),
    (RELEASES, ON, "pia! pia paul cora carl"),
    (EXPORTS, ON, "pia! paul!"),
    (CREATE, SHOP, "root grace"),
    (ROTATE, {"key_id": "0" * 12}, "root grace otto"),
    (REVOKE, {"key_id": "0" * 12}, "root grace"),
]


@pytest.mark.parametrize(("path", "said", "may"), ORDERS, ids=[path for path, _, _ in ORDERS])
def test_who_may_not_is_answered_alike_of_whom_it_knows_and_of_nobody(
    store_url: str, path: str, said: dict[str, Any], may: str
) -> None:
    async def scene(service: Rest) -> None:
        unknown = said | {"application_id": NOBODY} if "application_id" in said else said | {"because": ""}
        everybody = (
            "pia",
            "paul!",
            "cora",
            "carl!",
            "root",
            "grace!",
            "otto",
            "vera!",
            "olga!",
            "all",
            "one",
            "Mallory",
        )
        for who in everybody:
            if who in may.split() or (who.endswith("!") and who[:-1] in may.split()):
                continue
            answers = [await service.ask(path, who, it) for it in (said, unknown)]
            assert answers[0].content == answers[1].content, who
            assert {it.status_code for it in answers} == {401 if who == "Mallory" else 403}, (who, answers[0].text)
        if may.startswith("pia!") and "pia " not in may:
            assert "second factor" in (await service.ask(path, "pia", said)).text
        assert await service.kinds() == []

    played(store_url, scene)


def test_nobody_does_it_alone_however_often_they_ask(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        for path, said, may in ORDERS:
            if path not in (ERASURES, HOLDS, CREATE):
                continue
            who = may.split()[0]
            asked = await service.ask(path, who, said, key="k-1")
            assert (asked.status_code, asked.json()["state"]) == (202, "proposed")
            assert (await service.ask(path, who, said, key="k-1")).content == asked.content  # which does nothing
            assert told(await service.ask(path, who, said, key="k-2")) == (403, "forbidden")
            agreement = f"/v1/proposals/{asked.json()['proposal_id']}/agreement"
            assert told(await service.ask(agreement, who, None)) == (403, "forbidden")
            other = {ERASURES: "paul!", HOLDS: "cora", CREATE: "grace"}[path]
            if path == ERASURES:
                weak = await service.ask(agreement, "paul", None)
                assert (told(weak), "second factor" in weak.text) == ((403, "forbidden"), True)
            assert told(await service.ask(path, other, said)) == (409, "clash")  # they are to agree, not to do it
            await service.agree(asked, other)
            assert told(await service.ask(path, other, said)) == (409, "clash")
        assert set(await service.kinds()) == {"act.proposed", "act.agreed"}

    played(store_url, scene)


def test_what_was_agreed_to_is_done_and_nothing_else(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        await service.agree(await service.ask(CREATE, "root", SHOP), "grace")
        others = ({"scopes": ["read", "decide", "audit"]}, {"client": "branch-8"}, {"days": 91}, {"name": ""})
        for wider in (*others, {"networks": ["::/0"]}):
            other = await service.ask(CREATE, "root", SHOP | wider)
            assert (other.status_code, "api_key" in other.json()) == (202, False)
        closed = ON | {"account_closed": "2026-11-01"}
        await service.agree(await service.ask(ERASURES, "pia!", ON), "paul!")
        asked = await service.ask(ERASURES, "pia!", closed)
        assert asked.status_code == 202
        assert "act.done" not in await service.kinds()
        await service.agree(asked, "paul!")
        assert (await service.ask(ERASURES, "pia!", closed)).status_code == 201
        (erased,) = await service.pool.rows(
            "SELECT record.body FROM obligor.record JOIN obligor.leaf ON index = leaf_index WHERE kind = 'erased'"
        )
        assert json.loads(erased["body"])["account_closed"] == "2026-11-01"

    played(store_url, scene)


def test_whom_nothing_is_kept_of_is_not_found_and_not_named(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        answers = [
            await service.ask(path, "pia!", {name: value} | (CASE if path == HOLDS else {}))
            for path in (ERASURES, HOLDS, RELEASES, EXPORTS)
            for name, value in (("application_id", NOBODY), ("person_id", NOBODY), ("person_id", ANN))
        ]
        assert {told(it) for it in answers} == {(404, "not-found")}
        assert len({it.content for it in answers}) == 1
        assert await service.kinds() == []

    played(store_url, scene)


def test_two_people_release_the_hold_that_they_knew_and_no_further_one(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        await service.by_two(HOLDS, "cora", ON | CASE, other="carl", key="h-1")
        await service.agree(await service.ask(RELEASES, "pia!", ON), "paul!")
        await service.by_two(HOLDS, "cora", ON | {"because": "case 8"}, other="carl", key="h-2")
        asked = await service.ask(RELEASES, "pia!", ON | {"because": "both are closed"})
        assert (asked.status_code, asked.json()["said"]["held_because"]) == (202, "case 7; case 8")
        assert asked.json()["because"] == "both are closed"
        await service.agree(asked, "paul!")
        free = await service.ask(RELEASES, "pia!", ON, key="r-1")
        assert (free.status_code, free.json()["because"]) == (201, "case 7; case 8")
        assert (await service.ask(RELEASES, "pia!", ON, key="r-1")).content == free.content

    played(store_url, scene)


def test_a_hold_stands_against_an_erasure_that_was_agreed_to(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        await service.agree(await service.ask(ERASURES, "pia!", ON), "paul!")
        _, held = await service.by_two(HOLDS, "cora", ON | CASE, other="carl")
        assert (held.status_code, held.json()["because"], held.json()["released_at"]) == (201, "case 7", None)
        shapes.HoldTold.model_validate_json(held.content)
        refused = await service.ask(ERASURES, "pia!", ON, key="e-1")
        assert told(refused) == (409, "gate")
        assert ("a legal hold stands" in refused.text, "case 7" in refused.text, ANN in refused.text) == (
            True,
            False,
            False,
        )
        assert "retry-after" not in refused.headers
        assert (await service.ask(ERASURES, "paul!", ON | {"account_closed": "2026-01-01"})).status_code == 409
        _, free = await service.by_two(RELEASES, "pia!", ON, other="cora", key="r-1")
        assert (free.status_code, free.json()["released_at"] is None) == (201, False)
        assert told(await service.ask(RELEASES, "paul", ON)) == (422, "invalid")  # none stands
        assert (await service.ask(ERASURES, "pia!", ON, key="e-1")).status_code == 201  # a refusal binds no key

    played(store_url, scene)
    assert verified(store_url) == []


def test_a_rule_of_law_stands_against_an_erasure_and_is_named(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        refused = await service.ask(ERASURES, "pia!", ON)
        assert told(refused) == (409, "gate")
        assert "us.reg-b.1002.12" in refused.json()["detail"]
        assert await service.kinds() == []

    played(store_url, scene, packs=("US-FED",))


def test_a_key_is_shown_to_who_asked_for_it_in_one_answer_and_stands_nowhere(store_url: str) -> None:
    secrets: list[str] = []

    async def scene(service: Rest) -> None:
        asked, made = await service.by_two(CREATE, "root", SHOP, other="grace", key="k-1")
        shown = parse_key(made.json()["api_key"])
        assert shown is not None
        kept = await service.lender.archive.api_key(shown.key_id)
        assert kept is not None
        assert key_of(kept).holds(shown.secret)
        assert (made.status_code, made.json()["scopes"], "api_key" in asked.json()) == (201, ["decide", "read"], False)
        again = await service.ask(CREATE, "root", SHOP, key="k-1")
        assert (again.status_code, again.headers["idempotent-replayed"], "api_key" in again.json()) == (
            201,
            "true",
            False,
        )
        assert again.json() == {name: it for name, it in made.json().items() if name != "api_key"}
        assert (await service.ask(CREATE, "root", SHOP)).status_code == 202  # another key takes two people again
        old = {"key_id": shown.key_id, "overlap_hours": 2}
        _, turned = await service.by_two(ROTATE, "otto", old, other="root")
        assert (turned.status_code, turned.json()["replaces"]["key_id"]) == (201, shown.key_id)
        assert (turned.json()["client"], turned.json()["scopes"]) == ("branch-7", ["decide", "read"])
        assert told(await service.ask(ROTATE, "otto", old)) == (409, "clash")  # it is replaced once
        gone = await service.ask(REVOKE, "grace", {"key_id": shown.key_id}, key="v-1")
        assert (gone.status_code, gone.json()["revoked_at"] is None, "replaces" in gone.json()) == (201, False, False)
        assert (await service.ask(REVOKE, "grace", {"key_id": shown.key_id}, key="v-1")).content == gone.content
        assert told(await service.ask(REVOKE, "root", {"key_id": shown.key_id})) == (409, "clash")
        assert told(await service.ask(ROTATE, "root", old)) == (409, "clash")
        for answer in (made, again, turned):
            shapes.ApiKeyMade.model_validate_json(answer.content)
        shapes.ApiKeyRevoked.model_validate_json(gone.content)
        for path, who in ((ROTATE, "root"), (REVOKE, "root")):
            assert told(await service.ask(path, who, {"key_id": "0" * 12})) == (404, "not-found")
            whole = await service.ask(path, who, {"key_id": made.json()["api_key"]})
            assert (told(whole), shown.secret in whole.text) == ((422, "invalid"), False)
        secrets.extend(str(it.json()["api_key"]).rpartition("_")[2] for it in (made, turned))

    played(store_url, scene)
    kept = everything(store_url)
    assert all(it.encode() not in kept for it in secrets)
    assert all(sha256(it.encode()).digest() in kept for it in secrets)
    assert verified(store_url) == []


def test_a_key_is_bound_to_networks_by_two_and_its_successor_to_the_same(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        _, made = await service.by_two(CREATE, "root", BOUND, other="grace", key="made")
        _, turned = await service.by_two(ROTATE, "otto", {"key_id": made.json()["key_id"]}, other="root", key="turned")
        listed = (await get(service.client, CREATE, "root")).json()["keys"]
        tellings = [made.json(), turned.json(), turned.json()["replaces"], *listed]
        assert [it["networks"] for it in tellings] == [["10.0.0.0/8", "2001:db8::/32"]] * 5
        for wrong in (["10.0.0.1/8"], ["10.0.0.0/33"], ["bank.example"], [""], [8], "10.0.0.0/8", ["::/0"] * 33):
            answer = await service.ask(CREATE, "root", SHOP | {"networks": wrong})
            assert (told(answer), "network" in answer.text) == ((422, "invalid"), True), answer.text

    played(store_url, scene)
    assert verified(store_url) == []


def test_which_keys_there_are_is_told_to_who_looks_after_them_and_never_what_opens_by_them(store_url: str) -> None:
    passed = timedelta()

    async def scene(service: Rest) -> None:
        nonlocal passed
        made = []
        for name in ("opens", "revoked", "expired"):
            said = SHOP | {"name": name, "days": 1 if name == "expired" else 90}
            _, answer = await service.by_two(CREATE, "root", said, other="grace", key=name)
            made.append(answer.json())
        await service.ask(REVOKE, "root", {"key_id": made[1]["key_id"]})
        passed = timedelta(days=2)
        for who in ("root", "otto", "vera"):
            answer = await get(service.client, CREATE, who)
            listed = shapes.ApiKeysTold.model_validate_json(answer.content).keys
            assert [(it.key_id, it.name, it.state) for it in listed] == [
                (it["key_id"], it["name"], it["name"]) for it in made
            ]
            for it in made:
                _, secret = parse_key(it["api_key"]) or ("", "")
                digest = sha256(secret.encode())
                hidden = (secret, digest.hexdigest(), b64encode(digest.digest()).decode(), "sha256", "secret")
                assert not any(word in answer.text for word in hidden)
        for who in ("carl!", "olga!", "one", "pia!"):
            assert told(await get(service.client, CREATE, who)) == (403, "forbidden")
        assert told(await get(service.client, CREATE, "nobody")) == (401, "unauthenticated")
        for name in ("client", ANN):
            wrong = await get(service.client, f"{CREATE}?{name}=bank", "root")
            assert (told(wrong), name in wrong.text) == ((422, "invalid"), name == "client")

    played(store_url, scene, clock=lambda: datetime.now(UTC) + passed)


def test_of_requests_at_once_one_makes_the_key_and_no_other_shows_one(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        await service.agree(await service.ask(CREATE, "root", SHOP), "grace")
        keys = ("a", "a", "a", "b", "c")
        answers = await asyncio.gather(*(service.ask(CREATE, "root", SHOP, key=it) for it in keys))
        shown = [it for it in answers if "api_key" in it.json()]
        assert len(shown) == 1, [it.text for it in answers]
        assert {it.status_code for it in answers} <= {201, 202, 403, 409}
        (key,) = await service.lender.archive.api_keys()
        assert key.key_id == shown[0].json()["key_id"]
        assert (await service.kinds()).count("act.done") == 1

    played(store_url, scene)


def test_of_two_who_propose_the_same_at_once_one_does_and_waits_for_another(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        asked = await asyncio.gather(*(service.ask(ERASURES, who, ON) for who in ("pia!", "paul!")))
        assert sorted(it.status_code for it in asked) == [202, 409]
        for who, it in zip(("pia!", "paul!"), asked, strict=True):
            assert told(await service.ask(ERASURES, who, ON)) in ((403, "forbidden"), (409, "clash"))
            if it.status_code == 202:
                agreement = f"/v1/proposals/{it.json()['proposal_id']}/agreement"
                assert told(await service.ask(agreement, who, None)) == (403, "forbidden")
        assert set(await service.kinds()) == {"act.proposed"}

    played(store_url, scene)


def test_an_export_is_given_once_and_each_is_an_act(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        given = await service.ask(EXPORTS, "pia!", ON, key=ANN)
        (decision,) = given.json()["decisions"]
        assert (given.status_code, decision["input"]["customer"]) == (201, ANN)
        assert (given.json()["reviews"], given.json()["outcomes"]) == ([], [])
        again = await service.ask(EXPORTS, "pia!", ON, key=ANN)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert sorted(again.json()) == ["at", "receipt", "subject"]
        for answer in (given, again):
            shapes.Exported.model_validate_json(answer.content)
        other = await service.ask(EXPORTS, "pia!", {"application_id": NOBODY}, key=ANN)
        assert (told(other), NOBODY in other.text) == ((422, "key-reused"), False)
        assert (await service.ask(EXPORTS, "pia!", ON)).json()["decisions"] == [decision]
        assert await service.kinds() == ["revealed", "revealed"]
        rows = await service.pool.rows("SELECT key FROM obligor.request WHERE route = 'privacy/exports'")
        assert all(ANN not in it["key"] for it in rows)

    played(store_url, scene)
    assert ANN.encode() not in everything(store_url)


def test_whom_a_decision_is_about_is_named_by_it(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        (row,) = await service.pool.rows("SELECT decision_id, subject FROM obligor.decision")
        on = {"decision_id": str(row["decision_id"])}
        exported = await service.ask(EXPORTS, "pia!", on)
        assert (exported.status_code, exported.json()["subject"]) == (201, row["subject"].hex())
        _, done = await service.by_two(ERASURES, "pia!", on, other="paul!")
        assert (done.status_code, done.json()["subject"]) == (201, row["subject"].hex())
        assert told(await service.ask(ERASURES, "pia!", {"decision_id": str(uuid4())})) == (404, "not-found")
        assert told(await service.ask(EXPORTS, "pia!", on | ON))[0] == 422
        assert told(await service.ask(EXPORTS, "pia!", {"decision_id": ANN}))[0] == 422

    played(store_url, scene)


def test_no_field_but_those_that_are_told_is_taken_and_nothing_is_repeated(store_url: str) -> None:
    async def scene(service: Rest) -> None:
        claims = ({"by": "paul"}, {"agreed_by": "paul"}, {"second": False}, {"subject": "00" * 32}, {"state": "done"})
        for path, said, may in ORDERS:
            wrong: list[Any] = [said | it for it in claims]
            wrong += [
                said | {"because": f"{ANN}\n"},
                said | {"because": "x" * 501},
                said | {"because": 7},
                [said],
                None,
            ]
            if "application_id" in said:
                wrong += [
                    said | {"person_id": ANN},
                    {name: it for name, it in said.items() if name != "application_id"},
                ]
                wrong += [said | {"application_id": it} for it in ("", None, 7, ["x"], "x" * 1001)]
                wrong += [
                    said | {"person_id": None},
                    said | {"account_closed": "yesterday"},
                    said | {"account_closed": None},
                ]
            if path == CREATE:
                wrong += [said | {"days": it} for it in (0, -1, 3651, 1.5, "90", True, None)]
                wrong += [said | {"scopes": it} for it in ([], [ANN], ["decide", 7], "decide", ["read"] * 7)]
                wrong += [said | {"client": it} for it in ("", "Bank", "a b", "x" * 65)] + [said | {"name": "a\nb"}]
            if path == ROTATE:
                wrong += [said | {"overlap_hours": it} for it in (-1, 2161, 0.5)] + [said | {"client": "bank"}]
            for it in wrong:
                if path in (EXPORTS, REVOKE) or it != said:
                    answer = await service.ask(path, may.split()[0], json.dumps(it).encode())
                    assert told(answer) == (422, "invalid"), (path, it)
                    assert ANN not in answer.text
        assert await service.kinds() == []

    played(store_url, scene)


def test_a_person_is_named_as_applications_have_them_and_an_application_of_two_people_names_none() -> None:
    class Ring:
        def subject(self, kind: str, value: str) -> bytes:
            return f"{kind}:{value}".encode()

        def tag(self, application_id: str) -> str:
            return f"~{application_id}"

    class Known:
        async def subjects(self, tag: str) -> tuple[bytes, ...]:
            return {"~Zoë": (b"person:1",), "~twice": (b"person:1", b"person:2")}.get(tag, ())

        async def subject_of(self, decision_id: UUID) -> bytes | None:
            return b"person:1" if decision_id == UUID(int=1) else None

    async def meant(person: str | None, application: str | None, decision: UUID | None = None) -> tuple[bytes, ...]:
        return await subjects_meant(Ring(), Known(), person=person, application=application, decision=decision)  # type: ignore[arg-type]

    async def main() -> None:
        for written in ("Zoë", "Zoe\N{COMBINING DIAERESIS}"):
            assert await meant(written, None) == (f"{PERSON}:Zoë".encode(),)
            assert await meant(None, written) == (b"person:1",)
        assert await meant(None, "Ann") == (f"{APPLICATION}:Ann".encode(),)
        assert await meant(None, "twice") == (b"person:1", b"person:2")
        assert await meant(None, None, UUID(int=1)) == (b"person:1",)
        assert await meant(None, None, UUID(int=2)) == (f"{DECISION}:{UUID(int=2)}".encode(),)
        for none_or_several in ((None, None, None), ("Ann", "Ann", None), (None, "Ann", UUID(int=1))):
            with pytest.raises(InvalidInputError, match="one of a person, an application and a decision"):
                await meant(*none_or_several)

    asyncio.run(main())


def test_of_an_application_of_two_people_one_is_to_be_named() -> None:
    async def main() -> None:
        of = house(authenticating=Staff())
        ring = of.door.privacy.sealer.keyring
        both = tuple(ring.subject(PERSON, it) for it in ("Ann", "Bob"))
        of.store.subjects_known |= set(both)

        async def subjects(_tag: str) -> tuple[bytes, ...]:
            return both

        of.store.subjects = subjects  # type: ignore[method-assign]
        async with of.client(None) as client:
            refused = await post(client, ERASURES, "pia!", ON)
            assert (told(refused), "person_id" in refused.text) == ((409, "clash"), True)
            assert (await post(client, ERASURES, "pia!", {"person_id": "Bob"})).status_code == 202

    run(main())


def test_what_records_nothing_answers_with_what_it_gives_or_is_refused() -> None:
    class Unused:
        async def answer(self, _request: Request) -> None:
            return None

        async def record(self, _submission: Submission) -> Recorded:
            raise AssertionError

    request = Request(KEYS["one"].client_id, "route", "k-1", bytes(32))

    async def done(given: object) -> Recorded:
        async def act(_recorder: Recorder) -> object:
            return given

        return await once(Unused(), Unused(), request, act, told=lambda _: {})

    answered = asyncio.run(done({"erased_at": "then"}))
    assert (answered.response, answered.status, answered.replayed) == (b'{"erased_at":"then"}', 200, False)
    with pytest.raises(ClashError, match="nothing left to do"):
        asyncio.run(done(None))
