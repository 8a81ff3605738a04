"""A person decides in place of the policy: for a reason of its own, within a limit, once, and the decision never changes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.adapters.store.test_privacy import everything, verified
from tests.lending import KEY, NOON, caller, person
from tests.serving.gated import profile_of
from tests.serving.overrides.desk import (
    APPROVED,
    AUTHORITY,
    BELOW,
    BEN,
    BEYOND,
    CANARY,
    DECLINED,
    FACTOR,
    KIM,
    KNOCKED_OUT,
    REFERRED,
    SUE,
    Desk,
    at_desk,
    release_with,
)
from tests.stores import as_owner

from obligor.adapters.store.privacy import PostgresPrivacy
from obligor.core.errors import (
    ApplicationError,
    ClashError,
    ErasedError,
    ForbiddenError,
    GateError,
    InvalidInputError,
    KeyReusedError,
    NotFoundError,
    PolicyError,
    TooLargeError,
)
from obligor.core.leaves import parse_leaf
from obligor.governance.law.packs import the_packs
from obligor.serving.acts import Act, Caller, Submission
from obligor.serving.archive import Search
from obligor.serving.gates.gate import GateResult
from obligor.serving.idempotency import request_saying
from obligor.serving.last_word import LastWord
from obligor.serving.overrides.override import state_of
from obligor.serving.privacy.erasing import Office
from obligor.serving.reviews.review import Finding
from obligor.serving.rows import OverrideRow, UserRoleRow, UserRow, WebhookRow
from obligor.serving.screening.disbursing import Disbursing
from obligor.serving.telemetry.meter import NoMeter
from obligor.serving.webhooks.events import EVENT_TYPES


def row_of(url: str, decision: UUID) -> tuple[Any, ...]:
    """All that is kept of a decision: its row, its leaf and its record, as bytes."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT decision::text, leaf.body, leaf.hash, record.body, record.salt FROM obligor.decision "
            "JOIN obligor.leaf ON index = leaf_index JOIN obligor.record USING (leaf_index) WHERE decision_id = %s",
            (decision,),
        ).fetchone()
    assert found is not None
    return found


def leaves(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT kind FROM obligor.leaf ORDER BY index")]


def test_an_analyst_decides_on_what_was_referred_within_their_limit_and_the_decision_stays_to_the_byte(
    store_url: str,
) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(REFERRED)
        before = row_of(store_url, decision)
        told = await it.told(decision)
        assert (told["outcome"], told["direction"], told["reason"]) == ("approve", "none", "compensating")
        assert told["expires_at"] == "2026-12-27T00:00:00.000000Z"
        assert row_of(store_url, decision) == before
        kept = await it.overrides.override_of(decision)
        assert kept is not None
        assert (kept.role, kept.by, kept.agreed_by) == ("analyst", "ben", None)
        record = json.loads(await it.overrides.override_record(decision) or b"")
        assert record["limit"] == AUTHORITY["limits"]["analyst"]
        assert record["policy_sha256"] == release_with().policy.sha256
        assert await it.service.override(caller("bank"), decision) == {
            name: told[name] for name in ("decision_id", "outcome", "direction", "reason", "decided_at", "expires_at")
        } | {"state": "in_force"}

    at_desk(store_url, story)
    assert leaves(store_url) == ["release", "decision", "override.decided"]
    assert verified(store_url) == []


@pytest.mark.parametrize(
    ("which", "outcome", "direction"),
    [
        (REFERRED, "approve", "none"),
        (REFERRED, "decline", "high_side"),
        (BELOW, "approve", "low_side"),
        (BELOW, "decline", "none"),
        (APPROVED, "decline", "high_side"),
        (DECLINED, "approve", "low_side"),
    ],
)
def test_the_direction_is_that_of_the_person_against_the_score(
    store_url: str, which: int, outcome: str, direction: str
) -> None:
    async def story(it: Desk) -> None:
        told = await it.told(await it.decided(which), outcome)
        assert told["direction"] == direction
        assert (told["expires_at"] is None) == (outcome == "decline")

    limits = {"analyst": {"pd": 1.0}}
    at_desk(store_url, story, release_with(AUTHORITY | {"limits": limits}))


def test_beyond_their_limit_it_takes_another_person_within_whose_limit_it_lies(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(BELOW)
        proposed = await it.override(decision)
        told = json.loads(proposed.response)
        assert (proposed.status, told["state"], told["act"]) == (202, "proposed", "override.decided")
        assert told["said"].pop("words_sha256")
        assert told["said"] == {
            "decision_id": str(decision),
            "outcome": "approve",
            "direction": "low_side",
            "reason": "compensating",
            "roles": ["senior_officer"],
            "not_by": ["ada", "bank"],
        }
        assert CANARY not in json.dumps(told)
        assert FACTOR not in json.dumps(told)
        with pytest.raises(ForbiddenError, match="waits for another person than ben"):
            await it.override(decision, key="o-2")
        assert (await it.override(decision)).response == proposed.response
        await it.agree(told["proposal_id"])
        done = await it.override(decision, key="o-3")
        assert done.status == 201
        kept = await it.overrides.override_of(decision)
        assert kept is not None
        assert (kept.direction, kept.role, kept.by, kept.agreed_by) == ("low_side", "senior_officer", "ben", "sue")

    at_desk(store_url, story)
    assert leaves(store_url)[2:] == ["act.proposed", "act.agreed", "act.done", "override.decided"]
    assert verified(store_url) == []


def test_other_words_than_were_agreed_to_are_another_proposal(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(BELOW)
        first = json.loads((await it.override(decision)).response)
        await it.agree(first["proposal_id"])
        for key, more in (("a", {"rationale": "another"}), ("b", {"factors": []}), ("c", {"reason": "outside"})):
            told = await it.override(decision, key=key, **more)
            assert told.status == 202, more

    at_desk(store_url, story)


def test_nobody_agrees_to_their_own_or_beyond_their_role_or_to_what_they_had_a_hand_in(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(BELOW)
        both = person("ben", "analyst", "senior_officer")
        proposal = json.loads((await it.override(decision)).response)["proposal_id"]
        for who, why in (
            (both, "nobody agrees to what they proposed"),
            (replace(both, subject=" Ben "), "nobody agrees to what they proposed"),
            (person("ann", "analyst"), "the role senior_officer"),
            (person("ada", "senior_officer"), "took no part"),
            (replace(SUE, strong=False), "second factor"),
        ):
            with pytest.raises(ForbiddenError, match=why):
                await it.agree(proposal, who)
        with pytest.raises(ForbiddenError, match="waits for another person"):
            await it.override(decision, key="again")
        assert await it.overrides.override_of(decision) is None

    at_desk(store_url, story)


def test_whose_limit_is_too_low_agrees_to_nothing_though_they_may_agree(store_url: str) -> None:
    """Each of two roles that may agree has a limit of its own; the table has one such role, so that the limits change."""

    async def story(it: Desk) -> None:
        decision = await it.decided(BELOW)
        proposal = json.loads((await it.override(decision)).response)["proposal_id"]
        row = (await it.proposals.archive.steps_of(proposal))[0]
        assert json.loads(row.said)["roles"] == ["senior_officer"]
        with pytest.raises(ForbiddenError, match="the limit of your role"):
            await it.proposals.agree(proposal, naming=lambda _: _given(person("zoe", "risk_officer")))

    at_desk(store_url, story)


async def _given(who: Caller) -> Caller:
    return who


@pytest.mark.parametrize(("which", "outcome"), [(BEYOND, "approve"), (BEYOND, "decline"), (DECLINED, "approve")])
def test_beyond_everybodys_limit_nobody_overrides_and_nothing_is_proposed(
    store_url: str, which: int, outcome: str
) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(which)
        for who in (BEN, SUE):
            with pytest.raises(ForbiddenError, match="beyond the limit of everybody"):
                await it.override(decision, outcome, by=who)
        assert await it.proposals.undone() == ()

    at_desk(store_url, story)


@pytest.mark.parametrize(
    "limits",
    [{"analyst": {"pd": 0.1}}, {"senior_officer": {"amount": 1e9, "pd": 1.0}}],
    ids=["pd", "another role"],
)
def test_a_limit_is_of_a_role_that_may_and_counts_the_pd_too(store_url: str, limits: dict[str, Any]) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(REFERRED)
        both = person("ben", "analyst", "risk_officer")
        if "senior_officer" in limits:
            assert (await it.override(decision, by=both)).status == 202
            return
        with pytest.raises(ForbiddenError, match="beyond the limit of everybody"):
            await it.override(decision, by=both)

    at_desk(store_url, story, release_with(AUTHORITY | {"limits": limits}))


def test_a_policy_that_gives_authority_to_a_role_by_which_nobody_overrides_is_not_put_in_force(store_url: str) -> None:
    async def story(_: Desk) -> None:
        raise AssertionError

    for role in ("anlayst", "risk_officer"):
        with pytest.raises(PolicyError, match=f"nobody overrides as '{role}'; wanted analyst, senior_officer"):
            at_desk(store_url, story, release_with(AUTHORITY | {"limits": {role: {"pd": 1.0}}}))


def test_an_amount_that_is_not_known_lies_within_no_limit_of_amounts(store_url: str) -> None:
    async def story(it: Desk) -> None:
        answer = await it.lender.decide_one(_changed(REFERRED, amount=None), client="bank", key="without")
        with pytest.raises(ForbiddenError, match="beyond the limit of everybody"):
            await it.override(UUID(answer["decision_id"]), "decline" if answer["outcome"] == "approve" else "approve")

    at_desk(store_url, story)


def _changed(which: int, **more: Any) -> dict[str, Any]:
    from tests.serving.overrides.desk import APPLICATIONS

    return APPLICATIONS[which] | more


def test_where_the_policy_delegates_nothing_nobody_overrides_anything(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        with pytest.raises(ForbiddenError, match="delegates no authority"):
            await it.override(decision, by=SUE)

    at_desk(store_url, story, release_with(None))


@pytest.mark.parametrize("name", ["ada", " Ada ", "person:ada"])
def test_who_put_the_release_in_force_overrides_nothing_that_it_decided(store_url: str, name: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        with pytest.raises(ForbiddenError, match="took no part"):
            await it.override(decision, by=replace(SUE, subject=name))

    at_desk(store_url, story)


def test_who_submitted_the_application_overrides_nothing_of_it(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(client="person:ben")
        with pytest.raises(ForbiddenError, match="took no part"):
            await it.override(decision)

    at_desk(store_url, story)


def test_no_key_and_no_system_overrides_and_nobody_without_the_role(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        system = replace(BEN, kind="client", client_id="los")
        for who in (caller("bank"), system, person("ann", "risk_officer"), person("ann", "analyst", "auditor")):
            with pytest.raises(ForbiddenError):
                await it.override(decision, by=who)

    at_desk(store_url, story)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"reason": None}, "reason"),
        ({"reason": "because"}, "compensating, outside"),
        ({"reason": ...}, "reason"),
        ({"outcome": "refer"}, "outcome"),
        ({"rationale": " "}, "rationale"),
        ({"rationale": ...}, "rationale"),
        ({"rationale": "x" * 2001}, "rationale"),
        ({"rationale": "a\x00b"}, "rationale"),
        ({"rationale": "CANARY 4111111111111111"}, "payment card"),
        ({"factors": [], "outcome": "decline"}, "factors"),
        ({"factors": ["a"] * 5}, "factors"),
        ({"factors": ["two\nlines"]}, "factor"),
        ({"factors": ["CANARY 4111 1111 1111 1111"]}, "payment card"),
        ({"by": "sue"}, "by"),
    ],
)
def test_what_does_not_say_why_is_refused_and_never_repeated(store_url: str, said: dict[str, Any], field: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        whole = {"outcome": "approve", "reason": "compensating", "rationale": CANARY, "factors": [FACTOR]} | said
        body = {name: value for name, value in whole.items() if value is not ...}
        with pytest.raises(InvalidInputError) as refused:
            await it.service.decide(BEN, key="o", decision_id=decision, body=json.dumps(body).encode())
        assert field in refused.value.message
        assert "CANARY" not in refused.value.message
        assert await it.overrides.override_of(decision) is None

    at_desk(store_url, story)


def test_what_is_too_large_or_not_json_is_refused(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        with pytest.raises(TooLargeError):
            await it.service.decide(BEN, key="o", decision_id=decision, body=b" " * (1 << 15))
        with pytest.raises(ApplicationError):
            await it.service.decide(BEN, key="o", decision_id=decision, body=b"[]")

    at_desk(store_url, story)


def test_one_override_for_each_decision_and_the_same_request_is_answered_as_it_was(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        first = await it.override(decision)
        again = await it.override(decision)
        assert (again.response, again.replayed) == (first.response, True)
        changed: list[dict[str, Any]] = [
            {"rationale": "another"},
            {"outcome": "decline"},
            {"reason": "outside"},
            {"factors": []},
        ]
        for more in changed:
            with pytest.raises(KeyReusedError):
                await it.override(decision, **more)
        with pytest.raises(KeyReusedError):
            await it.override(await it.decided(APPROVED))
        for who in (BEN, SUE):
            with pytest.raises(ClashError, match="was overridden before"):
                await it.override(decision, "decline", by=who, key="o-2")

    at_desk(store_url, story)


def test_of_two_at_once_one_overrides_and_the_other_is_told(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        both = (it.override(decision, by=SUE), it.override(decision, "decline", by=KIM))
        found = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["ClashError", "Recorded"]
        assert "overridden before" in str(next(each for each in found if isinstance(each, ClashError)))

    at_desk(store_url, story)
    assert leaves(store_url).count("override.decided") == 1


def test_a_proposal_that_was_agreed_to_does_nothing_once_another_overrode(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(BELOW)
        await it.agree(json.loads((await it.override(decision)).response)["proposal_id"])
        await it.override(decision, "decline", by=KIM)
        with pytest.raises(ClashError, match="overridden before"):
            await it.override(decision, key="o-2")

    at_desk(store_url, story)
    assert "act.done" not in leaves(store_url)


def test_a_role_that_was_lost_meanwhile_agreed_to_nothing(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision, at = await it.decided(BELOW), it.clock[0]
        for state in ("granted", "revoked"):
            rows = UserRow("sue", "", at, None), UserRoleRow("sue", "senior_officer", state, "x", "y", at)  # type: ignore[arg-type]
            if state == "granted":
                rows = (rows[0], replace(rows[1], state="proposed", by="x"), rows[1])  # type: ignore[assignment]
            for row in rows:
                act = Act("user.added", at, "person:ada", "sue", b"{}", bytes(16), (row,))
                await it.lender.recorder.record(Submission((act,), lambda _: b""))
            if state == "granted":
                await it.agree(json.loads((await it.override(decision)).response)["proposal_id"])
        with pytest.raises(ForbiddenError, match="sue, who was one of the two"):
            await it.override(decision, key="o-2")
        assert await it.overrides.override_of(decision) is None

    at_desk(store_url, story)


@pytest.mark.parametrize("name", ["", "b\x1ben", "x" * 101])
def test_an_override_is_somebodys_by_a_name_that_is_kept(store_url: str, name: str) -> None:
    async def story(it: Desk) -> None:
        with pytest.raises(InvalidInputError):
            await it.override(await it.decided(), by=replace(BEN, subject=name))

    at_desk(store_url, story)


def test_who_decides_alone_does_so_by_the_role_of_this_moment(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        with pytest.raises(ForbiddenError, match="the role analyst or senior_officer"):
            await it.override(decision, by=replace(BEN, roles=frozenset()))

    at_desk(store_url, story)


def test_what_the_policy_says_by_itself_and_what_a_rule_declines_is_not_overridden(store_url: str) -> None:
    async def story(it: Desk) -> None:
        approved, out = await it.decided(APPROVED), await it.decided(KNOCKED_OUT)
        with pytest.raises(ClashError, match="says approve by itself"):
            await it.override(approved)
        with pytest.raises(ClashError, match="a knock-out declines this"):
            await it.override(out, by=SUE)

    at_desk(store_url, story)


GATED = [profile_of(kyc="enforce", on_fail="hold"), profile_of(aml="enforce"), profile_of(pep="enforce", kyc="enforce")]


@pytest.mark.parametrize("profile", GATED, ids=["kyc", "aml", "pep"])
@pytest.mark.parametrize("which", [APPROVED, REFERRED, BELOW, DECLINED, KNOCKED_OUT, BEYOND])
def test_no_override_approves_against_an_enforced_gate_that_did_not_pass_and_none_names_it(
    store_url: str, which: int, profile: Any
) -> None:
    """Whatever was decided, whoever decides and however far they go."""

    async def story(it: Desk) -> None:
        decision = await it.decided(which)
        for who in (BEN, SUE, person("max", "analyst", "senior_officer")):
            with pytest.raises((GateError, ClashError)) as refused:
                await it.override(decision, by=who, key=f"o-{who.subject}")
            assert not {"kyc", "aml", "pep", "screening", "sanctions"} & set(refused.value.message.lower().split())
        assert await it.proposals.undone() == ()
        assert await it.overrides.override_of(decision) is None

    everything_open = AUTHORITY | {"limits": {it: {"pd": 1.0} for it in ("analyst", "senior_officer")}}
    at_desk(store_url, story, release_with(everything_open, profile=profile))


def test_what_is_held_is_not_overridden_either_way(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(APPROVED)
        for outcome in ("approve", "decline"):
            with pytest.raises(ClashError, match="this is held"):
                await it.override(decision, outcome)

    at_desk(store_url, story, release_with(profile=profile_of(kyc="enforce")))


def test_a_review_comes_first_and_may_change_an_override_later_by_somebody_else(store_url: str) -> None:
    async def story(it: Desk) -> None:
        reviewed, decision = await it.decided(APPROVED), await it.decided(BELOW)
        review = await it.asked_for_review(reviewed)
        with pytest.raises(ClashError, match="a review of this decision is open"):
            await it.override(reviewed, "decline")
        await it.reviewing.decide(review, Finding("decline", ("Age of the account",)), by="gil")
        with pytest.raises(ClashError, match="a review decided on this before"):
            await it.override(reviewed, "decline", key="o-2")
        await it.agree(json.loads((await it.override(decision)).response)["proposal_id"])
        await it.override(decision, key="o-3")
        told = await it.reviewing.request(caller("bank"), key="r-2", decision_id=decision, body={"statement": "Why?"})
        review = UUID(json.loads(told.response)["review_id"])
        for name in ("ben", "Sue", "ada"):
            with pytest.raises(ForbiddenError, match="took no part"):
                await it.reviewing.decide(review, Finding("decline", ("Age of the account",)), by=name)
        found = await it.reviewing.decide(review, Finding("decline", ("Age of the account",)), by="gil")
        assert found.verdict == "changed"
        assert (await it.service.override(caller("bank"), decision))["state"] == "reviewed"
        answer = await it.lender.register.decision(caller("bank"), decision)
        assert (answer["outcome"], answer["stands"]["outcome"]) == ("refer", "decline")
        assert answer["stands"]["said_by"] == "review"

    at_desk(store_url, story)
    assert verified(store_url) == []


def test_a_review_that_is_asked_for_in_the_same_moment_comes_first(store_url: str) -> None:
    """Whoever looked before it was asked for is refused by the store."""

    async def story(it: Desk) -> None:
        decision = await it.decided()

        class Late:
            async def reviews_of(self, _: UUID) -> tuple[Any, ...]:
                seen.append(None)
                return () if len(seen) == 1 else await it.reviews.reviews_of(decision)

            took_part = it.reviews.took_part

        seen: list[None] = []
        await it.asked_for_review(decision)
        it.service = it.served(reviews=Late())
        with pytest.raises(ClashError, match="a review of this decision is open"):
            await it.override(decision)

    at_desk(store_url, story)
    assert "override.decided" not in leaves(store_url)


def test_what_a_decision_answers_tells_what_stands_and_what_it_said_before(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision, other = await it.decided(), await it.decided(APPROVED)
        before = await it.lender.register.decision(caller("bank"), decision)
        assert "stands" not in before
        told = await it.told(decision)
        after = await it.lender.register.decision(caller("bank"), decision)
        stands = after.pop("stands")
        assert after == before
        assert stands == {
            "outcome": "approve",
            "said_by": "override",
            "at": told["decided_at"],
            "expires_at": told["expires_at"],
            "expired": False,
            "new_decision_id": None,
        }
        it.clock[0] += timedelta(days=31)
        found = {it["decision_id"]: it for it in (await _searched(it)).decisions}
        assert found[str(decision)]["stands"]["expired"]
        assert "stands" not in found[str(other)]
        assert (await it.service.override(caller("bank"), decision))["state"] == "expired"

    at_desk(store_url, story)


def test_an_override_ends_with_the_instant_that_it_expires_at_and_a_review_ends_it_sooner() -> None:
    end, moment = NOON + timedelta(days=1), timedelta(microseconds=1)
    row = OverrideRow(uuid4(), "bank", "approve", "none", "outside", "analyst", NOON, "ben", None, end)
    word = LastWord(row.decision_id, "override", "approve", NOON, end, None)
    reviewed = word._replace(said_by="review", expires_at=None)
    for at, expired, state in ((end - moment, False, "in_force"), (end, True, "expired")):
        assert (word.expired(at), word.to_plain(at)["expired"]) == (expired, expired)
        assert [state_of(row, at, word=it) for it in (None, word, reviewed)] == [state, state, "reviewed"]
        assert not reviewed.expired(at)
    declined = replace(row, outcome="decline", expires_at=None)
    assert state_of(declined, end, word=None) == "in_force"
    again = reviewed._replace(new_decision_id=row.decision_id).to_plain(end)
    assert (again["expires_at"], again["new_decision_id"]) == (None, str(row.decision_id))


def test_a_search_by_what_stands_goes_by_the_last_word_and_one_by_outcome_by_the_policy(store_url: str) -> None:
    async def story(it: Desk) -> None:
        overridden, quiet = await it.decided(), await it.decided(APPROVED)

        async def found(**by: str) -> set[UUID]:
            page = await it.lender.register.search(caller("bank"), Search(**by))  # type: ignore[arg-type]  # all are texts
            return {UUID(each["decision_id"]) for each in page.decisions}

        asked = {outcome: await found(stands=outcome) for outcome in ("approve", "refer", "decline")}
        assert asked == {"approve": {quiet}, "refer": {overridden}, "decline": set()}
        await it.override(overridden)
        assert await found(stands="approve") == {quiet, overridden}
        assert await found(stands="refer") == set()
        assert await found(outcome="refer") == {overridden} == await found(outcome="refer", stands="approve")
        assert await found(outcome="approve") == {quiet}
        other = await it.lender.register.search(caller("broker"), Search(stands="approve"))
        assert other.decisions == ()

    at_desk(store_url, story)


async def _searched(it: Desk) -> Any:
    return await it.lender.register.search(caller("bank"), Search())


def test_another_clients_override_reads_like_one_that_there_never_was(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision, quiet = await it.decided(), await it.decided(APPROVED)
        await it.override(decision)
        for who in (caller("broker"), person("ann", "analyst"), BEN):
            for asked in (decision, quiet, uuid4()):
                with pytest.raises(NotFoundError, match="there is no such decision"):
                    await it.service.override(who, asked)
        with pytest.raises(NotFoundError, match="nobody overrode"):
            await it.service.override(caller("bank"), quiet)
        with pytest.raises(NotFoundError, match="there is no such decision"):
            await it.override(uuid4(), key="o-2")
        vera = person("vera", "auditor")
        assert (await it.service.override(vera, decision))["outcome"] == "approve"
        masked = await it.lender.register.decision(vera, decision)
        assert masked["stands"] == (await it.lender.register.decision(caller("bank"), decision))["stands"]

    at_desk(store_url, story)


def test_what_a_person_wrote_is_nowhere_in_the_store_and_goes_with_whom_it_is_about(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision, other = await it.decided(), await it.decided(BELOW)
        await it.override(decision)
        assert json.loads((await it.override(other, key="o-9")).response)["state"] == "proposed"
        sealer, privacy = it.lender.service.sealer, PostgresPrivacy(it.pool)
        assert sealer is not None
        for each in (decision, other):  # no hash is kept that a guess could be tried against
            words = [str(each), "approve", "compensating", CANARY, [FACTOR]]
            bare = request_saying(BEN, route="", key="k", said=words).payload_sha256
            kept = [it in everything(store_url) for it in (bare, bare.hex().encode(), sealer.keyring.fingerprint(bare))]
            assert kept == [False, False, True]
        office = Office(privacy, it.lender.recorder, it.lender.sources, "pia", 0)
        subject = await privacy.subject_of(decision)
        assert subject is not None
        exported = await office.export(subject, opener=it.lender.register.opener, words=it.lender.register.words)
        (said,) = exported["reviews"]
        assert (said["rationale"], said["factors"]) == (CANARY, [{"code": "override", "text": FACTOR}])
        for each in [subject, await privacy.subject_of(other)]:
            await office.erase(each or b"", key=KEY)
            sealer.forget(each or b"")
        (said,) = (await office.export(subject, opener=it.lender.register.opener, words=it.lender.register.words))[
            "reviews"
        ]
        assert said["erased"]
        assert "rationale" not in said
        with pytest.raises(ErasedError):
            await it.override(other, by=SUE, key="o-2")

    at_desk(store_url, story)
    found = everything(store_url)
    assert b"CANARY" not in found
    assert verified(store_url) == []


def test_what_a_review_found_begins_the_clock_of_what_is_kept_as_its_notice_does(store_url: str) -> None:
    """12 CFR 1002.12(b): 25 months from the day on which the applicant is told of what was done."""

    async def story(it: Desk) -> None:
        decision, privacy = await it.decided(DECLINED), PostgresPrivacy(it.pool)
        subject = await privacy.subject_of(decision)
        assert subject is not None
        it.clock[0] += timedelta(days=20)
        review = await it.asked_for_review(decision)
        assert (await privacy.standing(subject))["latest"].date() == NOON.date()
        it.clock[0] += timedelta(days=5)
        await it.reviewing.decide(review, Finding("decline", (FACTOR,)), by="gil")
        assert (await privacy.standing(subject))["latest"].date() == (NOON + timedelta(days=25)).date()

    at_desk(store_url, story)


def test_what_a_person_approved_keeps_the_evidence_of_identity_and_begins_the_clock_of_its_decision(
    store_url: str,
) -> None:
    """31 CFR 1020.220(a)(3): five years from the day on which the account that an override opened was closed."""

    async def story(it: Desk) -> None:
        decision, privacy = await it.decided(), PostgresPrivacy(it.pool)
        subject = await privacy.subject_of(decision)
        assert subject is not None
        it.clock[0] += timedelta(days=5)
        await it.override(decision)
        standing = await privacy.standing(subject)
        assert standing["latest"].date() == (NOON + timedelta(days=5)).date()
        long_ago = standing | {"latest": NOON - timedelta(days=3650)}
        (stored,) = await privacy.decisions(subject)
        record = json.loads(stored.record)
        record["gates"]["kyc"] = {"state": "enforce", "result": "pass"}

        class Subjects(PostgresPrivacy):
            async def decisions(self, subject: bytes) -> Any:
                return [replace(stored, record=json.dumps(record).encode())]

            async def standing(self, subject: bytes) -> dict[str, Any]:
                return long_ago

        office = Office(Subjects(it.pool), it.lender.recorder, it.lender.sources, "pia", 0, [the_packs()["US-FED"]])
        with pytest.raises(GateError, match="account_closed, a day that is not known"):
            await office.erase(subject, key=KEY)

    at_desk(store_url, story)


def test_rows_of_overrides_are_held_against_what_the_log_commits_to(store_url: str) -> None:
    async def story(it: Desk) -> None:
        await it.override(await it.decided())

    at_desk(store_url, story)
    assert verified(store_url) == []
    for change, told in (
        ("UPDATE obligor.override SET role = 'senior_officer'", "role is not what the record"),
        (
            "UPDATE obligor.override SET role = 'analyst', expires_at = expires_at + interval '1 day'",
            "expires_at is not",
        ),
        (
            "UPDATE obligor.override SET agreed_by = 'sue', expires_at = expires_at - interval '1 day'",
            "agreed_by is not",
        ),
        ("DELETE FROM obligor.override", "no row of table override"),
    ):
        with psycopg.connect(as_owner(store_url), autocommit=True) as connection:
            connection.execute(change.encode())
        found = verified(store_url)
        assert len(found) == 1, (change, found)
        assert told in found[0]


def test_a_leaf_names_the_decision_and_the_person_and_nothing_of_why(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided()
        await it.override(decision)
        with psycopg.connect(store_url) as connection:
            (body,) = (
                connection.execute("SELECT body FROM obligor.leaf WHERE kind = 'override.decided'").fetchone() or ()
            )
        leaf = parse_leaf(body)
        assert (leaf.subject, leaf.by) == (str(decision), "person:ben")

    at_desk(store_url, story)


def test_the_clients_system_is_told_of_an_override_and_no_word_of_why(store_url: str) -> None:
    async def story(it: Desk) -> None:
        it.lender.listeners.take(
            [WebhookRow("e", "bank", "https://a.example", EVENT_TYPES, "active", b"", None, None, it.clock[0])]
        )
        with psycopg.connect(store_url) as connection:
            connection.execute(
                "INSERT INTO obligor.webhook_endpoint (endpoint_id, client_id, url, event_types, state, secret, created_at, "
                "leaf_index) VALUES ('e', 'bank', 'https://a.example', %s, 'active', '', now(), 0)",
                (list(EVENT_TYPES),),
            )
        decision = await it.decided()
        told = await it.told(decision)
        with psycopg.connect(store_url) as connection:
            ((payload, sequence),) = connection.execute(
                "SELECT convert_from(payload, 'UTF8')::json, sequence FROM obligor.outbox WHERE type = 'decision.overridden'"
            ).fetchall()
        assert payload.pop("application_id")
        assert payload == {name: told[name] for name in ("decision_id", "outcome", "decided_at")}
        assert sequence == 2

    at_desk(store_url, story)


def test_overrides_are_counted_by_direction_and_outcome_once(store_url: str) -> None:
    class Counting(NoMeter):
        def __init__(self) -> None:
            self.counted: list[tuple[str, str]] = []

        def overridden(self, direction: str, outcome: str) -> None:
            self.counted.append((direction, outcome))

    async def story(it: Desk) -> None:
        meter = Counting()
        it.service = it.served(meter=meter)
        decision, other = await it.decided(), await it.decided(BELOW)
        for _ in range(2):
            await it.override(decision)
        await it.override(other, key="o-2")  # which is proposed alone
        assert meter.counted == [("none", "approve")]

    at_desk(store_url, story)


class Passing:
    """A gate that nobody fails."""

    async def screen(self, _fields: Any, **_: Any) -> GateResult:
        return GateResult("pass", {})


def test_what_an_override_approved_is_paid_out_until_it_expires_and_never_what_one_declined(store_url: str) -> None:
    async def story(it: Desk) -> None:
        approved, declined = await it.decided(), await it.decided(APPROVED)
        payer = Caller("bank", "k", frozenset({"decide"}), caller("bank").expires_at)
        gates: Any = {"aml": Passing()}
        lender, releases = it.lender, it.lender.register._releases
        parts = (lender.register, releases, gates, lender.archive, lender.recorder, lender.sources)
        disbursing = Disbursing(*parts)

        async def paid(decision: UUID, key: str) -> str:
            return str(json.loads((await disbursing.screen(payer, key=key, decision_id=decision)).response)["result"])

        with pytest.raises(ClashError, match="no approval"):
            await paid(approved, "p-1")
        assert await paid(declined, "p-2") == "pass"
        told = await it.told(approved)
        await it.override(declined, "decline", by=SUE)
        with pytest.raises(ClashError, match="no approval"):
            await paid(declined, "p-3")
        it.clock[0] = datetime.fromisoformat(told["expires_at"]) - timedelta(milliseconds=9)
        assert await paid(approved, "p-4") == "pass"
        it.clock[0] = datetime.fromisoformat(told["expires_at"])
        with pytest.raises(ClashError, match="expired at 2026-12-27T00:00:00Z"):
            await paid(approved, "p-5")
        review = await it.asked_for_review(approved)
        await it.reviewing.decide(review, Finding("approve", ("Pay slips",)), by="gil")
        assert await paid(approved, "p-6") == "pass"

    at_desk(store_url, story, release_with(profile=profile_of(aml="monitor")))
