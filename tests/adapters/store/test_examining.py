"""What the doctor finds in a real store, and in one that somebody with every right in the database tampered with."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.keyrings import stored_keyring, unsealing
from tests.lending import KEY, NOON, a_day, lending, person
from tests.lending import Clock as LendersClock
from tests.serving import golden_decisions as golden
from tests.serving.overrides.desk import AUTHORITY, BELOW, BEYOND, Desk, at_desk, release_with
from tests.stores import new_store, of_database

from obligor.adapters.anchors.file import FileAnchor
from obligor.adapters.store.examining import PostgresExamination, open_examination
from obligor.adapters.store.migrating import NEWEST
from obligor.adapters.store.people import PostgresPeople
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.privacy import PostgresPrivacy
from obligor.adapters.store.proposals import PostgresProposals
from obligor.adapters.store.pruning import PostgresPruning
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.checkpoints import Checkpoint
from obligor.core.event_types import EVENT_TYPES
from obligor.core.leaves import time_text
from obligor.governance.audit import doctor
from obligor.governance.audit.doctor import Reached, Surroundings, examine
from obligor.progress import Silence
from obligor.security.permissions import permissions
from obligor.security.signing import Verifier
from obligor.serving.acts import Act, Request, Submission
from obligor.serving.archive import Search
from obligor.serving.audit.replays import Replays
from obligor.serving.encoding import encode
from obligor.serving.people.proposals import Order, Proposals
from obligor.serving.privacy.erasing import Office
from obligor.serving.releases.release import PURPOSE, open_release
from obligor.serving.rows import DecisionRow, ProposalRow
from obligor.serving.sources import Sources, live_sources
from obligor.serving.webhooks.endpoints import Webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obligor.governance.audit.examination import Check, Examination
    from obligor.serving.acts import Caller, Recorder

NOT_ASKED = {"I5", "I6", "I8"}
"""What is not applicable where no canaries are given."""
LAST = "(SELECT max(leaf_index) FROM obligor.decision)"


@pytest.fixture(scope="module")
def sound(embedded_postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A store after a lender's day, and the folder of its anchor."""
    folder = tmp_path_factory.mktemp("anchors") / "kept"
    with new_store(embedded_postgres) as url:
        a_day(url, folder)
        yield url, folder


@pytest.fixture
def store(sound: tuple[str, Path], embedded_postgres: str) -> Iterator[str]:
    """A copy of that store, to be tampered with."""
    name = f"copy_{uuid4().hex[:12]}"
    original = sound[0].partition("?")[0].rpartition("/")[2]
    with psycopg.connect(embedded_postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
        yield of_database(embedded_postgres, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _around(opened: PostgresExamination, folder: Path, **changes: Any) -> Surroundings:
    verifier, replays = Verifier(KEY.verifier), Replays(opened.artefact, unsealing(opened))

    def release() -> str:
        stored = opened.release()
        assert stored is not None
        return f"release {open_release(stored, signed=partial(verifier.signed_statement, purpose=PURPOSE)).number}"

    usual = Surroundings(
        signatures=verifier,
        anchors=(Reached("kept", FileAnchor(folder).latest()),),
        replay=lambda record: [it.field for it in replays.again(record)[1]],
        release=release,
        key=lambda: KEY.name,
        conflict=permissions().conflict,
        newest=NEWEST,
        now=NOON + timedelta(hours=1),
        events_kept=timedelta(days=1),
        strict=True,
    )
    return replace(usual, **changes)


def _examined(url: str, folder: Path, **changes: Any) -> Examination:
    with open_examination(url) as opened:
        return examine(opened, _around(opened, folder, **changes), progress=Silence())


def _broken(examination: Examination) -> dict[str, str]:
    return {check.name: check.why for check in examination.checks if check.verdict == "broken"}


def _check(examination: Examination, name: str) -> Check:
    return next(check for check in examination.checks if check.name == name)


def _tamper(url: str, *statements: str) -> None:
    """What a database administrator can do, guards or not."""
    with psycopg.connect(url) as connection:
        for table in ("leaf", "record"):
            connection.execute(f"ALTER TABLE obligor.{table} DISABLE TRIGGER append_only")
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement
        for table in ("leaf", "record"):
            connection.execute(f"ALTER TABLE obligor.{table} ENABLE ALWAYS TRIGGER append_only")


def test_after_a_day_of_lending_everything_holds(sound: tuple[str, Path]) -> None:
    examination = _examined(*sound)
    assert _broken(examination) == {}
    assert examination.sound
    assert {check.name for check in examination.checks if check.verdict == "not applicable"} == NOT_ASKED
    assert _check(examination, "I2").counts == {"decisions": 15, "made again": 15}
    assert _check(examination, "I4").counts["leaves after the newest anchored"] == 0
    assert _check(examination, "I7").counts == {"decisions": 15, "outcomes": 1}
    assert _check(examination, "release").why == "release 1"
    assert examination.lines()[-1] == "sound"


def test_a_short_log_is_made_again_as_a_whole_without_being_asked(sound: tuple[str, Path]) -> None:
    assert _check(_examined(*sound, strict=False), "I2").counts["made again"] == 15


def _marked(column: str, field: str) -> str:
    """Set an x before the text of a field."""
    return f"""{column} = convert_to(replace(convert_from({column}, 'UTF8'), '{field}":"', '{field}":"x'), 'UTF8')"""


TAMPERED: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "the answer of a request tells another outcome": (
        (f"UPDATE obligor.request SET {_marked('response', 'outcome')} WHERE leaf_index = {LAST}",),
        dict.fromkeys(("I1", "I2", "I4"), "request-changed"),
    ),
    "a request is gone": (
        (f"DELETE FROM obligor.request WHERE leaf_index = {LAST}",),
        dict.fromkeys(("I1", "I2", "I4"), "no request is kept"),
    ),
    "the row of a decision is gone": (
        (f"DELETE FROM obligor.decision WHERE leaf_index = {LAST}",),
        dict.fromkeys(("I2", "I4"), "no row of table decision"),
    ),
    "the decision of an outcome is gone": (
        ("DELETE FROM obligor.decision WHERE decision_id IN (SELECT decision_id FROM obligor.outcome)",),
        {"I2": "no row of table decision", "I4": "row-missing", "I7": "of a decision that is not there"},
    ),
    "rows of other clients are hidden no more": (
        ("ALTER TABLE obligor.record DISABLE ROW LEVEL SECURITY",),
        {"I7": "table record: the policy that hides rows"},
    ),
    "a policy lets every client see every decision": (
        ("CREATE POLICY more ON obligor.decision FOR SELECT TO obligor_reader USING (true)",),
        {"I7": "table decision: the policy that hides rows"},
    ),
    "the policy of a table lets every client see every row": (
        ("ALTER POLICY every_row ON obligor.request USING (true)",),
        {"I7": "table request: the policy that hides rows"},
    ),
    "what people said of other clients' decisions is hidden no more": (
        ("ALTER TABLE obligor.review_decision DISABLE ROW LEVEL SECURITY",),
        {"I7": "table review_decision: the policy that hides rows"},
    ),
    "what was done beside other clients' decisions is hidden no more": (
        ("ALTER TABLE obligor.action DISABLE ROW LEVEL SECURITY",),
        {"I7": "table action: the policy that hides rows"},
    ),
    "the row of a decision was given to another client": (
        ("UPDATE obligor.decision SET client_id = 'broker' WHERE leaf_index = 2",),
        dict.fromkeys(("I2", "I4"), "client_id is not what the record"),
    ),
    "a record was changed": (
        (f"UPDATE obligor.record SET {_marked('body', 'band')} WHERE leaf_index = {LAST}",),
        {"I2": "what the leaf commits to (and 1 more)", "I4": "what the leaf commits to"},
    ),
    "the last leaf is gone, with all that tells of it": (
        (
            "DELETE FROM obligor.leaf WHERE index = (SELECT max(index) FROM obligor.leaf)",
            "DELETE FROM obligor.record WHERE leaf_index = (SELECT max(leaf_index) FROM obligor.record)",
            "DELETE FROM obligor.outcome",
            "DELETE FROM obligor.request WHERE leaf_index > (SELECT max(index) FROM obligor.leaf)",
            "UPDATE obligor.tree_head SET size = size - 1",
            "DELETE FROM obligor.checkpoint",
        ),
        {"I4": "keeps a log of 17 leaves; there are 16"},
    ),
    "a byte of the card that decisions pin was changed": (
        ("UPDATE obligor.artefact SET body = set_byte(body, 900, get_byte(body, 900) + 1) WHERE kind = 'card'",),
        {"I2": "card: pinned is", "I4": "artefact-changed", "artefacts": "others than its hash says", "release": ""},
    ),
    "the statement of the release was signed by somebody else": (
        ("UPDATE obligor.release SET signature = decode(repeat('00', 64), 'hex')",),
        {"I2": "row-changed", "I4": "row-changed", "release": "not signed by the key of this log"},
    ),
    "the tables are those of an older version": (
        ("UPDATE obligor.alembic_version SET version_num = '0000'",),
        {"schema": f"revision 0000; wanted {NEWEST}"},
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_broken_is_named_and_nothing_else(store: str, sound: tuple[str, Path], what: str) -> None:
    statements, wanted = TAMPERED[what]
    _tamper(store, *statements)
    found = _broken(_examined(store, sound[1]))
    assert found.keys() == wanted.keys()
    for name, words in wanted.items():
        assert words in found[name]


def test_a_guard_that_was_switched_off_is_told(store: str, sound: tuple[str, Path]) -> None:
    with psycopg.connect(store) as connection:
        connection.execute("ALTER TABLE obligor.leaf DISABLE TRIGGER append_only")
    found = _broken(_examined(store, sound[1]))
    assert found.keys() == {"I4", "guards"}
    assert "table leaf: the trigger append_only is switched off" in found["guards"]


def test_a_database_without_tables_is_told_and_nothing_else_is_asked(
    embedded_postgres: str, sound: tuple[str, Path]
) -> None:
    examination = _examined(of_database(embedded_postgres, "postgres"), sound[1])
    assert [(check.name, check.why) for check in examination.checks] == [("schema", "there are no tables")]
    assert examination.lines()[-1] == "NOT SOUND: schema"


# Anchors


def test_without_an_anchor_it_is_said_that_a_rewrite_would_not_be_seen(sound: tuple[str, Path]) -> None:
    told = _broken(_examined(*sound, anchors=()))["I4"]
    assert "a rewrite by somebody with the database and the signing key would not be seen" in told


def test_an_anchor_that_does_not_answer_is_told_even_where_another_confirms(sound: tuple[str, Path]) -> None:
    kept = Reached("kept", FileAnchor(sound[1]).latest())
    silent = Reached("s3://gone", trouble="the store did not answer")
    assert _broken(_examined(*sound, anchors=(kept, silent))) == {"I4": "s3://gone: the store did not answer"}


def test_an_anchor_that_tells_nothing_confirms_nothing(sound: tuple[str, Path]) -> None:
    told = _broken(_examined(*sound, anchors=(Reached("https://siem.example#0"),)))
    assert told == {"I4": "no anchor that tells what it has confirms the log"}


def test_a_rewrite_that_the_log_s_own_key_signed_is_seen_by_the_anchor(sound: tuple[str, Path]) -> None:
    other = KEY.sign_note(Checkpoint(KEY.name, 17, bytes(32)).text()).encode()
    assert "rewritten" in _broken(_examined(*sound, anchors=(Reached("kept", other),)))["I4"]


# Canaries

PLANTED = {
    "UPDATE obligor.request SET key = 'hush-Renée' WHERE leaf_index = 1": "request.key, in 1 rows",
    "UPDATE obligor.request SET response = response || convert_to('hush-Renée', 'UTF8')": "request.response, in 16 rows",
    "UPDATE obligor.decision SET application_id = 'hush-Renée'": "decision.application_id, in 15 rows",
    "INSERT INTO obligor.api_key VALUES ('k', 'bank', 'n', ARRAY['hush-Renée'], sha256(''), now(), now(), NULL, 0)": (
        "api_key.scopes, in 1 rows"
    ),
}


def test_what_a_person_said_may_stand_in_records(sound: tuple[str, Path]) -> None:
    with open_examination(sound[0]) as opened:
        assert {(hit.table, hit.column) for hit in opened.search(["yacht"])} == {("record", "body")}
    assert _check(_examined(*sound, canaries=("yacht", "nowhere")), "I6").verdict == "ok"


@pytest.mark.parametrize("planting", PLANTED)
def test_a_canary_in_any_other_column_is_told_by_its_number_and_not_repeated(
    store: str, sound: tuple[str, Path], planting: str
) -> None:
    _tamper(store, planting)
    check = _check(_examined(store, sound[1], canaries=("nowhere", "hush-Renée")), "I6")
    assert check.verdict == "broken"
    assert f"canary 2 stands in {PLANTED[planting]}" in check.why
    assert "hush" not in json.dumps(check.to_plain())


# Clocks


def test_a_log_that_is_ahead_of_the_clock_is_told(sound: tuple[str, Path]) -> None:
    assert "a clock that wrote here is ahead" in _broken(_examined(*sound, now=NOON - timedelta(hours=1)))["clocks"]


# What the log itself holds, and should not


def _record(url: str, folder: Path, changes: dict[str, Any], *, by: str) -> UUID:
    """Record a decision as a faulty service would: all of it agrees with itself, and it is anchored."""

    async def recorded() -> UUID:
        async with lending(url) as lender:
            said = golden.records(golden.release_of(), 1)[0]
            at, new = NOON + timedelta(minutes=10), lender.sources.new_id(NOON)
            record = (
                json.loads(said) | {"decision_id": str(new), "client_id": "bank", "idempotency_key": "new"} | changes
            )
            values = [record[name] for name in ("application_id", "outcome", "band", "score")]
            row = DecisionRow(
                new, record["client_id"], values[0], datetime.fromisoformat(record["decided_at"]), *values[1:]
            )
            act = Act("decision", at, by, str(new), encode(record), bytes(16), (row,))
            answer = encode({"decision_id": str(new), "outcome": record["outcome"]})
            request = Request(record["client_id"], record["route"], "new", bytes(32))
            await lender.recorder.record(Submission((act,), lambda _: answer, request, 201))
            await lender.anchor(folder)
            return new

    return asyncio.run(recorded())


@pytest.mark.parametrize(
    ("gates", "told"),
    [
        ({"kyc": {"state": "enforce", "result": "pending"}}, "the gate kyc is enforced and says pending"),
        ({"kyc": {"state": "enforce", "result": "not_evaluated"}}, "the gate kyc is enforced and says not_evaluated"),
        ({"aml": {"state": "enforce", "result": "fail"}}, "the gate aml is enforced and says fail"),
        (None, "no gate is recorded"),
    ],
)
def test_an_approval_against_an_enforced_gate_is_told(store: str, tmp_path: Path, gates: object, told: str) -> None:
    _record(store, tmp_path, {"outcome": "approve", "gates": gates}, by="client:bank")
    found = _broken(_examined(store, tmp_path))
    assert told in found["I3"]
    assert "gates do not follow" in found["I2"] or "has not the shape of a decision" in found["I2"]


def test_a_decline_against_an_enforced_gate_is_none(store: str, tmp_path: Path) -> None:
    gates = {"kyc": {"state": "enforce", "result": "fail"}}
    _record(store, tmp_path, {"outcome": "decline", "gates": gates}, by="client:bank")
    assert "I3" not in _broken(_examined(store, tmp_path))


@pytest.mark.parametrize(
    ("result", "changes", "is_broken"),
    [
        ("fail", {}, True),
        ("pending", {}, True),
        ("pass", {}, False),
        ("fail", {"outcome": "decline"}, False),
        ("fail", {"new_decision_id": str(uuid4())}, False),
    ],
)
@pytest.mark.parametrize("kind", ["review.decided", "override.decided"])
def test_a_person_who_approved_against_an_enforced_gate_is_told(
    store: str, tmp_path: Path, kind: str, result: str, changes: dict[str, Any], *, is_broken: bool
) -> None:
    held = {"outcome": "hold", "gates": {"aml": {"state": "enforce", "result": result}}}
    decision = _record(store, tmp_path, held, by="client:bank")
    found = {"user_id": "r-1", "decision_id": str(decision), "outcome": "approve", "new_decision_id": None, "by": "ben"}
    _acted(store, (kind, found | changes))
    told = _broken(_examined(store, tmp_path)).get("I3", "")
    assert ("approved what an enforced gate did not pass" in told) is is_broken


FAR: dict[str, Any] = {"analyst": {"amount": 3700.0, "pd": 0.5}}


@pytest.mark.parametrize(
    ("which", "change", "told"),
    [
        (BELOW, {}, ""),
        (BEYOND, {"direction": "none"}, "beyond the limit of its role"),
        (BELOW, {"role": "senior_officer"}, "gives its role another limit"),
        (BELOW, {"limit": {"amount": 9e9, "pd": 1.0}}, "gives its role another limit"),
        (BELOW, {"reason": "friendship"}, "the policy has no such reason"),
        (BELOW, {"direction": "none"}, "the score says another direction"),
        (BELOW, {"agreed_by": " Ben"}, "who decided agreed to it"),
        (BELOW, {"policy_sha256": golden.policy_of(golden.whole_card()).sha256}, "is not kept, or delegates nothing"),
        (BELOW, {"policy_sha256": "0" * 64}, "is not kept, or delegates nothing"),
        (BELOW, {"decision_id": str(UUID(int=1))}, "of a decision that is not there"),
    ],
)
def test_an_override_that_no_authority_covers_is_told(
    store_url: str, tmp_path: Path, which: int, change: dict[str, Any], told: str
) -> None:
    """What a faulty service would record, or whoever writes past it."""
    policy = release_with(AUTHORITY | {"limits": FAR})

    async def story(it: Desk) -> None:
        decision = await it.decided(which)
        said = {
            "decision_id": str(decision),
            "outcome": "approve",
            "direction": "low_side",
            "reason": "compensating",
            "role": "analyst",
            "limit": FAR["analyst"],
            "policy_sha256": policy.policy.sha256,
            "by": "ben",
            "agreed_by": None,
        } | change
        act = Act("override.decided", it.clock[0], "person:ben", str(decision), encode(said), bytes(16))
        await it.lender.recorder.record(Submission((act,), lambda _: b""))
        await it.lender.anchor(tmp_path)

    at_desk(store_url, story, policy)
    assert told in _broken(_examined(store_url, tmp_path)).get("authority", "none is broken")


def test_overrides_that_were_made_as_they_should_are_sound(store_url: str, tmp_path: Path) -> None:
    async def story(it: Desk) -> None:
        await it.override(await it.decided())
        decision = await it.decided(BELOW)
        await it.agree(json.loads((await it.override(decision, key="o-2")).response)["proposal_id"])
        await it.override(decision, key="o-3")
        await it.lender.anchor(tmp_path)

    at_desk(store_url, story, release_with())
    examination = _examined(store_url, tmp_path)
    assert _broken(examination).keys() <= {"durable"}  # which a server for tests is not
    assert _check(examination, "authority").counts == {"overrides": 2}


FIRST_TWO: tuple[dict[str, object], ...] = (
    {"user_id": "root", "role": "admin", "proposed_by": "root", "by": "root", "first_of_all": True},
    {"user_id": "grace", "role": "admin", "proposed_by": "root", "by": "root", "first_of_all": True},
)


def test_the_first_administrator_and_the_one_whom_they_name_are_no_fault(store: str, tmp_path: Path) -> None:
    told = _check(_granted(store, tmp_path, FIRST_TWO), "I5")
    assert (told.verdict, told.counts) == ("ok", {"roles granted": 2})


@pytest.mark.parametrize(
    ("grants", "why"),
    [
        ((FIRST_TWO[0], FIRST_TWO[1] | {"by": "grace", "proposed_by": "grace"}), "granted by themselves"),
        ((*FIRST_TWO, FIRST_TWO[1] | {"user_id": "eve"}), "admin of eve: proposed and granted by one person"),
        (
            (*FIRST_TWO, FIRST_TWO[1] | {"user_id": "eve", "by": "ROOT "}),
            "admin of eve: proposed and granted by one person",
        ),
        ((FIRST_TWO[0], FIRST_TWO[1] | {"role": "analyst"}), "analyst of grace: proposed and granted by one person"),
        ((FIRST_TWO[0], FIRST_TWO[1] | {"first_of_all": False}), "admin of grace: proposed and granted by one person"),
    ],
)
def test_nobody_else_is_given_a_role_by_one_person(
    store: str, tmp_path: Path, grants: tuple[dict[str, object], ...], why: str
) -> None:
    told = _check(_granted(store, tmp_path, grants), "I5")
    assert told.verdict == "broken"
    assert why in told.why


def test_a_role_that_one_person_gave_is_told_unless_it_was_the_very_first(store: str, tmp_path: Path) -> None:
    grants: tuple[dict[str, object], ...] = (
        FIRST_TWO[0],
        {"user_id": "ada", "role": "analyst", "proposed_by": "root", "by": "grace", "first_of_all": False},
        {"user_id": "bob", "role": "analyst", "proposed_by": "root", "by": "root", "first_of_all": False},
        {"user_id": "eve", "role": "admin", "proposed_by": "root", "by": "eve", "first_of_all": True},
    )
    told = _check(_granted(store, tmp_path, grants), "I5")
    assert (told.verdict, told.counts) == ("broken", {"roles granted": 4})
    assert "bob: proposed and granted by one person" in told.why or "role analyst of bob" in told.why


@pytest.mark.parametrize(("by", "verdict"), [("grace", "ok"), ("ada", "broken"), (" Ada", "broken")])
def test_a_proposal_that_who_made_it_agreed_to_is_told(store: str, tmp_path: Path, by: str, verdict: str) -> None:
    said: dict[str, object] = {"user_id": "0197", "proposed_by": "ada", "by": by}
    told = _check(_granted(store, tmp_path, (said,), kind="act.agreed"), "I5")
    assert (told.verdict, told.counts) == (verdict, {"proposals agreed to": 1})


@pytest.mark.parametrize(
    ("days", "then", "verdict"),
    [
        (2.9, "", "ok"),
        (3.1, "", "look"),
        (29, "", "look"),
        (31, "", "ok"),
        (4, "act.done", "ok"),
        (4, "act.withdrawn", "ok"),
        (4, "act.proposed", "look"),
    ],
)
def test_what_two_agreed_to_and_nobody_did_is_told(
    store: str, tmp_path: Path, days: float, then: str, verdict: str
) -> None:
    said: dict[str, object] = {"user_id": "0197", "kind": "erased", "proposed_by": "ada", "by": "grace"}
    later = () if not then else ((then, said | {"user_id": "0198" if then == "act.proposed" else "0197"}),)
    _acted(store, ("act.proposed", said), ("act.agreed", said), *later)
    told = _check(_examined(store, tmp_path, now=NOON + timedelta(days=days)), "proposals")
    assert told.verdict == verdict
    assert told.verdict == "ok" or ("proposal 0197: erased" in told.why and "ada neither did it" in told.why)


HELD = ({"user_id": "eve", "role": "admin"}, {"user_id": "eve", "role": "auditor"}, {"user_id": "bob", "role": "admin"})


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ((), "look"),
        ((("role.revoked", HELD[1]),), "ok"),
        ((("role.revoked", HELD[2]),), "look"),
        ((("user.disabled", {"user_id": "eve"}),), "ok"),
        ((("role.revoked", HELD[1]), ("role.granted", HELD[1])), "look"),
    ],
)
def test_who_holds_roles_that_do_not_go_together_is_told(
    store: str, tmp_path: Path, then: tuple[tuple[str, dict[str, object]], ...], verdict: str
) -> None:
    by = {"by": "root", "proposed_by": "grace"}
    acts = [*(("role.granted", dict(it)) for it in HELD), *then]
    _acted(store, *((kind, said | by) for kind, said in acts))
    told = _check(_examined(store, tmp_path), "roles")
    assert (told.verdict, "eve holds admin and auditor" in told.why) == (verdict, verdict == "look")
    assert "bob" not in told.why


def test_what_somebody_should_look_at_counts_where_the_examination_is_strict(
    sound: tuple[str, Path], store: str
) -> None:
    async def agreed() -> None:
        pool = Pool(store)
        async with PostgresRecorder(store) as recorder:
            sources = Sources(lambda: NOON + timedelta(hours=1), live_sources().random)
            proposals = Proposals(PostgresProposals(pool), PostgresPeople(pool), recorder, sources)

            async def erase(recorder: Recorder) -> None:
                await recorder.record(Submission((), lambda _: b""))

            async def grace(_permission: str) -> Caller:
                return person("grace", "privacy_officer")

            row = await proposals.together(Order("erased", {"subject": "ab12"}), erase, by="ada")
            assert isinstance(row, ProposalRow)
            await proposals.agree(row.proposal_id, naming=grace)
        await pool.close()

    asyncio.run(agreed())
    late = NOON + timedelta(days=4, hours=2)
    lines = {strict: _examined(store, sound[1], strict=strict, now=late).lines() for strict in (True, False)}
    assert {strict: it[-1] for strict, it in lines.items()} == {True: "NOT SOUND: proposals", False: "sound"}
    assert sum(it.startswith("LOOK    proposals") for it in lines[False]) == 1


def _granted(
    store: str, folder: Path, grants: tuple[dict[str, object], ...], *, kind: str = "role.granted"
) -> Examination:
    """Examine a store whose log says that these roles were granted, or that something else was agreed to."""
    _acted(store, *((kind, it) for it in grants))
    return _examined(store, folder)


def _acted(store: str, *acts: tuple[str, dict[str, object]]) -> None:
    """Record acts of people, each on the user or the proposal that it names."""

    async def run() -> None:
        async with PostgresRecorder(store) as recorder:
            for kind, said in acts:
                act = Act(kind, NOON, f"person:{said['by']}", str(said["user_id"]), encode(said), bytes(16))
                await recorder.record(Submission((act,), lambda _: b""))

    asyncio.run(run())


def test_a_decision_that_the_log_gives_to_another_client_is_told(store: str, tmp_path: Path) -> None:
    _record(store, tmp_path, {}, by="client:broker")
    assert "its leaf names another client than its record" in _broken(_examined(store, tmp_path))["I7"]


def test_a_decision_by_a_clock_that_was_behind_is_counted(store: str, tmp_path: Path) -> None:
    _record(store, tmp_path, {"decided_at": "2026-11-26T20:00:30.000000Z"}, by="client:bank")
    (counted,) = _check(_examined(store, tmp_path), "clocks").counts.values()
    assert counted == 1


# What the store rests on, and what a sample is


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_may_lose_what_it_committed_is_told(
    sound: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    with open_examination(sound[0]) as opened:
        real = opened.settings()
    monkeypatch.setattr(PostgresExamination, "settings", lambda _: {**real, setting: "off"})
    assert _broken(_examined(*sound)) == {"durable": f"{setting} is off; wanted on"}


def test_a_key_that_lies_elsewhere_is_not_looked_at(sound: tuple[str, Path]) -> None:
    assert _check(_examined(*sound, key=None), "key").verdict == "not applicable"


def test_a_sample_is_spread_over_the_whole_log(sound: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SAMPLE", 4)
    made: list[str] = []

    def replay(record: bytes) -> list[str]:
        made.append(json.loads(record)["application_id"])
        return []

    check = _check(_examined(*sound, strict=False, replay=replay), "I2")
    assert made == [stored_keyring(sound[0]).tag(it) for it in ("c0", "c4", "c8", "c12")]
    assert (check.counts["made again"], check.why) == (4, "a sample; --strict makes all again")


def test_everything_that_is_broken_is_told_as_plain_data_too(sound: tuple[str, Path]) -> None:
    examination = _examined(*sound, anchors=())
    plain = json.loads(json.dumps(examination.to_plain()))
    assert not plain["sound"]
    assert [it["check"] for it in plain["checks"] if it["verdict"] == "broken"] == ["I4"]
    assert len(plain["checks"]) == len(examination.lines()) - 1


# What clients' systems are told


@pytest.fixture(scope="module")
def telling(embedded_postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A store after a day of a lender whose client is told of decisions, and the folder of its anchor."""
    folder = tmp_path_factory.mktemp("anchors") / "kept"

    async def worked(url: str) -> None:
        async with lending(url) as lender:
            await lender.decide(2)
            webhooks = Webhooks(lender.recorder, lender.sources, lambda _: None, "ada")
            row = (await webhooks.add("bank", "https://los.example/hook", event_types=EVENT_TYPES)).row
            lender.listeners.take([row])
            answers = await lender.decide(4, first=2)
            await lender.decide(2, client="broker", first=6)
            await lender.report(answers[0]["decision_id"])
            await webhooks.rotate(row, overlap=timedelta(hours=1))
            await lender.anchor(folder)

    with new_store(embedded_postgres) as url:
        asyncio.run(worked(url))
        yield url, folder


@pytest.fixture
def told(telling: tuple[str, Path], embedded_postgres: str) -> Iterator[str]:
    """A copy of that store, to be tampered with."""
    name = f"copy_{uuid4().hex[:12]}"
    original = telling[0].partition("?")[0].rpartition("/")[2]
    with psycopg.connect(embedded_postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
        yield of_database(embedded_postgres, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_every_event_tells_of_an_act_and_every_decision_for_an_endpoint_has_one(telling: tuple[str, Path]) -> None:
    examination = _examined(*telling)
    assert _broken(examination) == {}
    assert _check(examination, "I8").counts == {"events": 5}
    assert _check(examination, "I8").verdict == "ok"


def test_events_that_were_pruned_are_not_asked_for_and_those_that_were_taken_away_are(
    store_url: str, tmp_path: Path
) -> None:
    async def worked() -> None:
        async with lending(store_url) as lender:
            webhooks = Webhooks(lender.recorder, lender.sources, lambda _: None, "ada")
            row = (await webhooks.add("bank", "https://los.example/hook", event_types=EVENT_TYPES)).row
        async with lending(store_url, clock=LendersClock(NOON + timedelta(minutes=2)), seed=3) as lender:
            lender.listeners.take([row])
            (answer,) = await lender.decide(1)
            await lender.report(answer["decision_id"])
            await lender.anchor(tmp_path / "kept")

    async def prune() -> int:
        pool = Pool(store_url)
        try:
            step = await PostgresPruning(pool).prune(before=NOON + timedelta(days=1), after=None, most=100)
        finally:
            await pool.close()
        return step.pruned

    asyncio.run(worked())
    _tamper(store_url, "UPDATE obligor.delivery SET state = 'delivered', settled_at = due_since")
    assert asyncio.run(prune()) == 2
    later = NOON + timedelta(days=3)
    examination = _examined(store_url, tmp_path / "kept", now=later)
    assert not _broken(examination).keys() & {"I2", "I4", "I8"}
    check = _check(examination, "I8")
    assert (check.verdict, check.counts) == ("ok", {"events": 0})
    assert check.why == f"events were pruned up to {time_text(NOON + timedelta(days=1))}"
    check = _check(_examined(store_url, tmp_path / "kept", now=later, events_kept=timedelta(days=90)), "I8")
    assert check.verdict == "look", "a note that covers more than the setting prunes hides what was taken away"
    assert check.why.endswith(
        f"; wanted {time_text(later - timedelta(days=90))} at the latest, as OBLIGOR_EVENT_DAYS is 90 here"
    )
    _tamper(store_url, "UPDATE obligor.outbox_pruned SET before = before - interval '2 days'")
    assert "its client's system is not told of it" in _broken(_examined(store_url, tmp_path / "kept", now=later))["I2"]


UNTRUE: dict[str, tuple[str, dict[str, str]]] = {
    "an event tells another outcome": (
        f"UPDATE obligor.outbox SET {_marked('payload', 'outcome')} WHERE type = 'decision.made'",
        {"I8": "its event tells another outcome (and 3 more)"},
    ),
    "an event was moved to another client": (
        "UPDATE obligor.outbox SET client_id = 'broker' WHERE type = 'decision.made'",
        {"I8": "another client or application"},
    ),
    "an event of nothing was put in": (
        "INSERT INTO obligor.outbox VALUES (gen_random_uuid(), 9999, 'bank', 'A', 99, 'decision.made', '{}', now())",
        {"I8": "of an act that is not in the log"},
    ),
    "an event was put under another act": (
        "UPDATE obligor.outbox SET leaf_index = 0 WHERE leaf_index = (SELECT min(leaf_index) FROM obligor.outbox)",
        {"I8": "an event decision.made of an act release"},
    ),
    "an event is not even JSON": (
        "UPDATE obligor.outbox SET payload = 'what?'",
        {"I8": "another form"},
    ),
    "a delivery is of no event": (
        (
            "INSERT INTO obligor.delivery (event_id, endpoint_id, sequence, due_since, next_at)"
            " VALUES (gen_random_uuid(), 'ep_', 1, now(), now())"
        ),
        {"I8": "1 deliveries are of no event"},
    ),
    "more is noted as pruned than any setting prunes": (
        "INSERT INTO obligor.outbox_pruned VALUES (true, now() + interval '100 years')",
        {"I8": "events are noted as pruned up to 21"},
    ),
    "the address of an endpoint was exchanged": (
        "UPDATE obligor.webhook_endpoint SET url = 'https://thief.example/'",
        {"I4": "its url is not what its last act left"},
    ),
    "the secret of an endpoint was exchanged": (
        "UPDATE obligor.webhook_endpoint SET secret = 'known to somebody'",
        {"I4": "its secret_sha256 is not what its last act left"},
    ),
    "an endpoint was put in": (
        (
            "INSERT INTO obligor.webhook_endpoint SELECT 'ep_new', client_id, url, event_types, state, secret, NULL, NULL,"
            " created_at, leaf_index FROM obligor.webhook_endpoint"
        ),
        {"I4": "no act of the log made it"},
    ),
    "an endpoint is gone": (
        "DELETE FROM obligor.webhook_endpoint",
        {"I4": "its row is gone", "I8": "deliveries are of no event or endpoint"},
    ),
}


@pytest.mark.parametrize("what", UNTRUE)
def test_what_was_told_untruly_is_named_and_nothing_else(told: str, telling: tuple[str, Path], what: str) -> None:
    statement, wanted = UNTRUE[what]
    _tamper(told, statement)
    found = _broken(_examined(told, telling[1]))
    assert found.keys() == wanted.keys()
    for name, words in wanted.items():
        assert words in found[name]


def test_a_decision_whose_client_s_system_is_not_told_is_named_once_the_endpoint_is_known_everywhere(
    store_url: str, tmp_path: Path
) -> None:
    async def worked(after: timedelta, first: int) -> None:
        clock = LendersClock(NOON + after)
        async with lending(store_url, clock=clock, seed=first + 2) as lender:
            if not first:
                webhooks = Webhooks(lender.recorder, lender.sources, lambda _: None, "ada")
                await webhooks.add("bank", "https://los.example/hook", event_types=EVENT_TYPES)
            await lender.decide(1, first=first)
            await lender.anchor(tmp_path / "kept")

    asyncio.run(worked(timedelta(), 0))
    assert "I2" not in _broken(_examined(store_url, tmp_path / "kept"))
    asyncio.run(worked(timedelta(minutes=2), 1))
    assert "its client's system is not told of it" in _broken(_examined(store_url, tmp_path / "kept"))["I2"]


def test_an_erasure_of_which_a_client_s_system_is_told_untruly_or_not_at_all_is_named(
    store_url: str, tmp_path: Path
) -> None:
    async def worked() -> None:
        clock = LendersClock(NOON)
        async with lending(store_url, clock=clock, seed=5) as lender:
            webhooks = Webhooks(lender.recorder, lender.sources, lambda _: None, "ada")
            await webhooks.add("bank", "https://los.example/hook", event_types=("person.erased",))
            await lender.decide(1)
            clock.now += timedelta(minutes=2)
            pool = Pool(store_url)
            try:
                (found,) = await lender.archive.search(Search(client_id="bank"))
                subject = bytes.fromhex(json.loads(found.record)["subject"])
                await Office(PostgresPrivacy(pool), lender.recorder, lender.sources, "ada", 0).erase(subject, key=KEY)
            finally:
                await pool.close()
            await lender.anchor(tmp_path / "kept")

    asyncio.run(worked())
    assert not {"I2", "I8"} & _broken(_examined(store_url, tmp_path / "kept")).keys()
    _tamper(store_url, f"UPDATE obligor.outbox SET {_marked('payload', 'erased_at')}")
    assert "its event tells another erased_at" in _broken(_examined(store_url, tmp_path / "kept"))["I8"]
    _tamper(store_url, "DELETE FROM obligor.delivery", "DELETE FROM obligor.outbox")
    assert "its client's system is not told of it" in _broken(_examined(store_url, tmp_path / "kept"))["I2"]
