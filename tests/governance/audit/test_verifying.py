"""A sound log verifies; whatever is changed in it is named by its kind, with the first leaf that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.governance.audit.logs import KEY, NOON, PINS, VERIFIER, Lender, MemoryLog, changed, log_of

from obligor.core.canonical import canonical_json, sha256
from obligor.core.checkpoints import Checkpoint
from obligor.core.errors import InvalidInputError
from obligor.core.leaves import Leaf, commitment, parse_leaf, time_text
from obligor.core.merkle import Frontier, leaf_hash
from obligor.governance.audit.anchored import AnchoredNote, read_anchors
from obligor.governance.audit.findings import Findings, Kind, Verdict
from obligor.governance.audit.source import StoredArtefact, StoredNote, StoredRow
from obligor.governance.audit.verifying import NO_ANCHORS, verify_log
from obligor.progress import Silence
from obligor.security.signing import open_signing_key
from obligor.serving import rows
from obligor.serving.acts import Submission
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from obligor.governance.audit.source import StoredLeaf


def verdict_of(log: MemoryLog, *anchors: bytes) -> Verdict:
    notes = [AnchoredNote(f"anchor {place}", note) for place, note in enumerate(anchors)]
    return verify_log(log, signatures=VERIFIER, anchors=notes, progress=Silence())


def found_in(verdict: Verdict) -> dict[Kind, int | None]:
    return {finding.kind: finding.index for finding in verdict.findings}


def test_a_sound_log_verifies_and_says_what_cannot_be_seen() -> None:
    log = log_of(300)
    verdict = verdict_of(log)
    assert verdict.sound, verdict.lines()
    assert verdict.root == log.frontier.root
    assert verdict.counts == {"leaves": log.size, "records": log.size, "nodes": 1, "checkpoints": log.size // 50}
    assert verdict.cautions == (NO_ANCHORS,)
    assert verdict.lines()[-1] == "sound"


def test_anchors_confirm_the_log_up_to_the_newest() -> None:
    log = log_of(100)
    verdict = verdict_of(log, *(note.note for note in log.notes))
    assert verdict.sound
    assert verdict.anchored == 100
    assert verdict.cautions[0].startswith(f"the last {log.size - 100} leaves came after the newest anchor")
    assert verdict_of(log, log.checkpoint()).cautions == ()


def test_an_empty_log_is_sound() -> None:
    assert verdict_of(MemoryLog()).sound


def body_with(leaf: StoredLeaf, **what: Any) -> bytes:
    return replace(parse_leaf(leaf.body), **what).body()


def rehashed(leaf: StoredLeaf, **what: Any) -> StoredLeaf:
    body = body_with(leaf, **what)
    return changed(leaf, body=body, hash=leaf_hash(body))


def with_record(leaf: StoredLeaf, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    assert leaf.record is not None
    return encode(change(json.loads(leaf.record)))


def committed(leaf: StoredLeaf, record: bytes) -> StoredLeaf:
    """Change a record with everything that the log itself says of it."""
    assert leaf.salt is not None
    return replace(rehashed(leaf, commitment=commitment(record, leaf.salt)), record=record)


def rebuilt(log: MemoryLog) -> MemoryLog:
    """Give every leaf a new index and the tree, its nodes and its checkpoints anew, as who holds the key can."""
    log.kept = [changed(leaf, index=index, hash=leaf_hash(leaf.body)) for index, leaf in enumerate(log.kept)]
    log.nodes_kept, log.frontier = [], Frontier()
    sizes, log.notes = {note.size for note in log.notes}, []
    log.size = 0
    for leaf in log.kept:
        log.size += 1
        growth = log.frontier.extend([leaf.hash])
        log.frontier = growth.frontier
        log.nodes_kept += growth.nodes
        if log.size in sizes:
            log.checkpoint()
    return log


def test_an_edited_body_is_named() -> None:
    log = log_of(300)
    log.kept[70] = changed(log.kept[70], body=body_with(log.kept[70], by="client:mallory"))
    found = found_in(verdict_of(log))
    assert found[Kind.LEAF_HASH] == 70
    assert found[Kind.RECORD_FORM] == 70
    assert found[Kind.NODE] == 0
    assert found[Kind.CHECKPOINT_ROOT] == 50


def test_an_edited_record_is_named() -> None:
    log = log_of(60)
    record = with_record(log.kept[41], lambda said: said | {"reasons": []})
    log.kept[41] = changed(log.kept[41], record=record)
    assert found_in(verdict_of(log)) == {Kind.RECORD_CHANGED: 41}


def test_a_record_committed_anew_still_breaks_the_tree() -> None:
    log = log_of(300)
    log.kept[41] = committed(log.kept[41], with_record(log.kept[41], lambda said: said | {"reasons": []}))
    assert found_in(verdict_of(log)) == {Kind.NODE: 0, Kind.CHECKPOINT_ROOT: 0}


def test_a_leaf_deleted_from_the_middle_is_named() -> None:
    log = log_of(60)
    del log.kept[33]
    found = found_in(verdict_of(log))
    assert found[Kind.LEAF_MISSING] == 33
    assert found[Kind.HEAD] == 66 + 3 - 1
    assert found[Kind.ROW_STRAY] == 33
    assert Kind.ROW_MISSING not in found


def test_a_tail_cut_off_with_its_traces_is_seen_by_the_anchors_alone() -> None:
    log = log_of(60)
    anchors = [note.note for note in log.notes]
    log.kept, log.size, log.notes = log.kept[:40], 40, []
    log.asked = [request for request in log.asked if request.leaf_index < 40]
    log.tables = {name: [row for row in rows if row.leaf_index < 40] for name, rows in log.tables.items()}
    assert verdict_of(log).sound
    assert found_in(verdict_of(log, *anchors)) == {Kind.ROLLED_BACK: 40}


def test_a_log_rewritten_and_signed_again_is_seen_by_the_anchors_alone() -> None:
    log = log_of(300)
    anchors = [note.note for note in log.notes]
    victim = next(leaf for leaf in log.kept[120:] if leaf.kind == "decision")
    record = with_record(victim, lambda said: said | {"reasons": []})
    log.kept[victim.index] = committed(victim, record)
    rebuilt(log)
    assert verdict_of(log).sound
    verdict = verdict_of(log, *anchors)
    assert found_in(verdict) == {Kind.REWRITTEN: 100}
    assert verdict.anchored == 100
    assert "from leaf 100 on, and before leaf 150" in str(verdict.findings[0])


def test_two_signed_views_of_one_size_are_named() -> None:
    log, other = log_of(60), log_of(60)
    rebuilt(replace_record(other, 30))
    verdict = verdict_of(log, log.notes[0].note, other.notes[0].note)
    assert found_in(verdict)[Kind.SPLIT_VIEW] == 0


def replace_record(log: MemoryLog, index: int) -> MemoryLog:
    log.kept[index] = committed(
        log.kept[index], with_record(log.kept[index], lambda said: said | {"because": "grey_zone"})
    )
    return log


def test_a_clock_that_was_turned_back_is_named() -> None:
    log = log_of(60)
    log.kept[45] = rehashed(log.kept[45], at=parse_leaf(log.kept[12].body).at)
    assert found_in(verdict_of(rebuilt(log))) == {Kind.CLOCK: 45}


def test_a_leaf_that_stands_twice_is_named() -> None:
    log = log_of(60)
    log.kept.append(changed(log.kept[-1], index=log.size))
    found = found_in(verdict_of(rebuilt(log)))
    assert found[Kind.LEAF_REPEATED] == log.size - 1
    assert found[Kind.ROW_MISSING] == log.size - 1


def test_decisions_swapped_between_clients_are_named() -> None:
    log = log_of(60)
    one, other = log.tables["decision"][10:12]
    log.tables["decision"][10:12] = [replace(one, values=other.values), replace(other, values=one.values)]
    assert found_in(verdict_of(log)) == {Kind.ROW_CHANGED: one.leaf_index}


@pytest.mark.parametrize("column", rows.DecisionRow.__annotations__)
def test_every_column_of_a_decision_is_held_against_its_record(column: str) -> None:
    log = log_of(20)
    row = log.tables["decision"][7]
    log.tables["decision"][7] = replace(row, values={**row.values, column: "another"})
    assert found_in(verdict_of(log)) == {Kind.ROW_CHANGED: row.leaf_index}


ROWS: dict[str, tuple[str, Any]] = {
    "outcome": ("outcome", rows.OutcomeRow),
    "review.requested": ("review", rows.ReviewRow),
    "review.decided": ("review_decision", rows.ReviewDecisionRow),
    **dict.fromkeys(("profile.proposed", "profile.approved"), ("profile_change", rows.ProfileChangeRow)),
    **dict.fromkeys(("act.proposed", "act.agreed", "act.done", "act.withdrawn"), ("proposal", rows.ProposalRow)),
    "list.loaded": ("screening_list", rows.ListRow),
    "alert.opened": ("alert", rows.AlertRow),
    **dict.fromkeys(
        ("alert.proposed", "alert.cleared", "alert.confirmed", "alert.doubted", "alert.corrected"),
        ("alert_step", rows.AlertStepRow),
    ),
    "alert.reported": ("alert_report", rows.AlertReportRow),
    "alert.reported.yearly": ("yearly_report", rows.YearlyReportRow),
}
"""Where the row of an act is kept, and what it is."""


def one_act(log: MemoryLog, kind: str, said: Mapping[str, object]) -> int:
    act = Lender().act(kind, "person:ada", "it", {"schema": "it/1", **said}, (), at=NOON + timedelta(hours=1))
    return log.record(Submission((act,), lambda _: b""))


@pytest.mark.parametrize("kind", ROWS)
def test_every_column_of_every_row_is_held_against_the_record_of_its_act(kind: str) -> None:
    table, of = ROWS[kind]
    log = log_of(1)
    values: dict[str, object] = {name: f"the {name}" for name in of.__annotations__ if name != "artefacts"}
    values |= dict.fromkeys(values.keys() & {"at", "decided_at"}, time_text(NOON))
    named = kind.startswith(("list", "profile"))
    if named:
        values |= {name: sha256(b"{}") for name in ("list_sha256", "profile_sha256") if name in values}
        log.artefacts_kept.append(StoredArtefact(sha256(b"{}"), "profile", b"{}"))
    index = one_act(log, kind, values)
    log.tables[table].append(row := StoredRow(index, values))
    assert verdict_of(log).sound
    others = ("another", None, 1, ["another"], list, time_text(NOON + timedelta(seconds=1)))
    for name, other in product(values, others):
        log.tables[table][-1] = replace(row, values={**values, name: [*str(values[name])] if other is list else other})
        assert found_in(verdict_of(log)) == {Kind.ROW_CHANGED: index}, name
    for name in values.keys() & {"at", "decided_at"}:
        log.tables[table][-1] = replace(row, values={**values, name: NOON.isoformat()})  # the same time
        assert verdict_of(log).sound
    log.tables[table][-1:] = [row, row]
    assert found_in(verdict_of(log)) == {Kind.ROW_STRAY: index}
    del log.tables[table][-2:]
    assert found_in(verdict_of(log)) == {Kind.ROW_MISSING: index}
    if named:
        log.tables[table].append(row)
        del log.artefacts_kept[-1]
        assert found_in(verdict_of(log)) == {Kind.ARTEFACT_MISSING: index}


def test_a_list_of_before_there_were_kinds_is_one_of_sanctions() -> None:
    log = MemoryLog()
    said = {name: f"the {name}" for name in rows.ListRow.__annotations__ if name not in ("artefacts", "list_kind")}
    said["list_sha256"] = sha256(b"{}")
    log.artefacts_kept.append(StoredArtefact(sha256(b"{}"), "list", b"{}"))
    index = one_act(log, "list.loaded", said)
    for kept, found in (
        (said, {}),
        (said | {"list_kind": "sanctions"}, {}),
        (said | {"list_kind": "pep"}, {Kind.ROW_CHANGED: index}),
    ):
        log.tables["screening_list"] = [StoredRow(index, kept)]
        assert found_in(verdict_of(log)) == found


ENDPOINT = {
    "endpoint_id": "e-1", "client_id": "acme", "url": "https://acme.example",
    "event_types": ["outcome.reported", "decision.made"],
    "state": "active", "secret_sha256": "5e", "previous_sha256": None, "previous_until": None, "created_at": "noon",
}  # fmt: skip
USER = {"user_id": "ada", "password_sha256": "ab", "created_at": "noon", "disabled_at": None}
ROLE = {"user_id": "ada", "role": "auditor", "state": "granted", "proposed_by": "bo", "by": "cy", "at": "noon"}


@pytest.mark.parametrize(
    ("acts", "of", "named_by", "found"),
    [
        (("webhook.created", "webhook.rotated"), ENDPOINT, 1, Kind.WEBHOOK),
        (("user.added", "user.disabled"), USER, 1, Kind.PERSON),
        (("user.disabled", "user.added"), USER, 1, Kind.PERSON),
        (("role.revoked", "role.proposed"), ROLE, 2, Kind.PERSON),
        (("role.proposed", "role.granted"), ROLE, 2, Kind.PERSON),
        (("role.granted", "role.revoked"), ROLE, 2, Kind.PERSON),
    ],
)
def test_endpoints_people_and_roles_stand_as_their_last_acts_left_them(
    acts: tuple[str, str], of: dict[str, object], named_by: int, found: Kind
) -> None:
    log = MemoryLog()
    kept: list[Mapping[str, object]]
    kept = log.endpoints if found is Kind.WEBHOOK else log.people_kept["user_role" if "role" in of else "app_user"]
    one_act(log, acts[0], {**of, [*of][-1]: "before"})
    last = one_act(log, acts[1], of)
    in_any_order = {name: [*reversed(it)] if isinstance(it, list) else it for name, it in of.items()}
    kept.append(in_any_order)
    assert verdict_of(log).sound
    for name in [*of][named_by:]:
        kept[0] = {**of, name: "another"}
        assert found_in(verdict_of(log)) == {found: last}, name
    for name in [*of][:named_by]:
        kept[0] = {**of, name: "another"}  # nobody made it, and the one that was made is gone
        assert [(it.kind, it.index) for it in verdict_of(log).findings] == [(found, last), (found, None)]
    kept.clear()
    assert found_in(verdict_of(log)) == {found: last}


def test_a_row_without_an_act_and_an_act_without_a_row_are_named() -> None:
    log = log_of(20)
    row = log.tables["decision"].pop(7)
    log.tables["outcome"].append(replace(row, leaf_index=10_000))
    assert found_in(verdict_of(log)) == {Kind.ROW_MISSING: row.leaf_index, Kind.ROW_STRAY: 10_000}


def test_a_decision_without_the_request_that_it_answered_is_named() -> None:
    log = log_of(20)
    request = log.asked.pop(7)
    assert found_in(verdict_of(log)) == {Kind.REQUEST_MISSING: request.leaf_index}


def test_an_answer_laid_in_for_a_request_that_was_never_made_is_named() -> None:
    """Whoever sends that idempotency key would be answered with it."""
    true = log_of(20).asked[7]
    for laid in (replace(true, key="laid"), replace(true, leaf_index=2), replace(true, leaf_index=10_000)):
        log = log_of(20)
        log.asked = sorted([*log.asked, laid], key=lambda request: request.leaf_index)
        assert found_in(verdict_of(log)) == {Kind.ROW_STRAY: laid.leaf_index}


@pytest.mark.parametrize("answer", [b"", b"{}", b"[[]]", b'{"decision_id":"?","outcome":"approve"}'])
def test_an_answer_that_tells_another_outcome_is_named(answer: bytes) -> None:
    log = log_of(20)
    request = log.asked[7]
    log.asked[7] = replace(request, response=answer)
    assert found_in(verdict_of(log)) == {Kind.REQUEST_CHANGED: request.leaf_index}


def test_each_decision_of_a_bulk_request_is_held_against_the_answer() -> None:
    lender, log = Lender(), MemoryLog()
    for submission in (lender.release(), lender.bulk("acme", 5), lender.decision("acme"), lender.bulk("bank-of-b", 2)):
        log.record(submission)
    assert verdict_of(log).sound
    said = json.loads(log.asked[0].response)
    said["results"][3]["decision"]["outcome"] = "another"
    log.asked[0] = replace(log.asked[0], response=encode(said))
    assert found_in(verdict_of(log)) == {Kind.REQUEST_CHANGED: 4}
    del log.asked[0]
    verdict = verdict_of(log)
    assert [(it.kind, it.index, it.times) for it in verdict.findings] == [(Kind.REQUEST_MISSING, 1, 5)]


def test_an_edited_release_is_named() -> None:
    log = log_of(5)
    row = log.tables["release"][0]
    for values, kind in (
        ({"card_sha256": "0" * 64}, Kind.ROW_CHANGED),
        ({"statement": b"{}".hex()}, Kind.RELEASE_SIGNATURE),
        ({"signature": "00"}, Kind.RELEASE_SIGNATURE),
    ):
        log.tables["release"][0] = replace(row, values={**row.values, **values})
        assert found_in(verdict_of(log))[kind] == 2


@pytest.mark.parametrize("statement", [b"no statement", b"[]", b"{}"])
def test_what_is_no_statement_of_a_release_is_named_whoever_signed_it(statement: bytes) -> None:
    log = log_of(1)
    (row,) = log.tables["release"]
    signed = {"statement": statement.hex(), "signature": KEY.sign_statement(statement, purpose="release").hex()}
    log.tables["release"][0] = replace(row, values={**row.values, **signed})
    assert verdict_of(log).findings[-1].message.endswith("the signed statement names other artefacts than the row")


@pytest.mark.parametrize("column", ["number", "card_sha256", "policy_sha256", "profile_sha256", "at", "by"])
def test_a_statement_of_a_release_that_names_others_than_its_row_is_named(column: str) -> None:
    log = log_of(5)
    (row,) = log.tables["release"]
    statement = canonical_json({**json.loads(bytes.fromhex(str(row.values["statement"]))), column: "another"})
    signature = KEY.sign_statement(statement, purpose="release")
    values = {**row.values, "statement": statement.hex(), "signature": signature.hex()}
    log.tables["release"][0] = replace(row, values=values)
    told = [it.message for it in verdict_of(log).findings]
    assert told[0].startswith("table release: signature is not what the record")
    assert told[1].endswith("the signed statement names other artefacts than the row")


def test_an_edited_or_deleted_artefact_is_named() -> None:
    log = log_of(5)
    for body in (b'{"cutoff":300}', b"no artefact"):
        log.artefacts_kept[1] = replace(log.artefacts_kept[1], body=body)
        assert found_in(verdict_of(log)) == {Kind.ARTEFACT_CHANGED: 2}
    del log.artefacts_kept[1]
    assert found_in(verdict_of(log)) == {Kind.ARTEFACT_MISSING: 2}


@pytest.mark.parametrize("of", PINS)
def test_an_artefact_that_a_decision_alone_names_is_missed(of: str) -> None:
    log, lender = MemoryLog(), Lender()
    log.record(lender.release())
    log.record(lender.decision("acme", pins={**PINS, of: "0" * 64}))
    assert found_in(verdict_of(log)) == {Kind.ARTEFACT_MISSING: 1}


def test_an_artefact_that_no_act_names_is_named() -> None:
    log = log_of(5)
    log.artefacts_kept.append(replace(log.artefacts_kept[0], sha256=sha256(b"{}"), body=b"{}"))
    assert found_in(verdict_of(log)) == {Kind.ROW_STRAY: None}


def test_a_list_that_was_kept_and_not_loaded_is_no_stray_but_is_what_its_hash_says() -> None:
    log = log_of(5)
    log.artefacts_kept.append(StoredArtefact(sha256(b"{}"), "list", b"{}"))
    assert verdict_of(log).sound
    log.artefacts_kept[-1] = replace(log.artefacts_kept[-1], body=b"[]")
    assert found_in(verdict_of(log)) == {Kind.ARTEFACT_CHANGED: None}


def test_an_artefact_may_be_kept_in_a_form_for_people() -> None:
    log = log_of(5)
    said = json.dumps(json.loads(log.artefacts_kept[1].body), indent=2).encode()
    log.artefacts_kept[1] = replace(log.artefacts_kept[1], body=said)
    assert verdict_of(log).sound


def test_api_keys_stand_as_their_acts_left_them() -> None:
    lender, log = Lender(), MemoryLog()
    log.record(lender.api_key("acme", networks=("10.0.0.0/8",)))
    log.record(lender.api_key("acme", networks=("10.0.0.0/8",), revoked=True))
    assert verdict_of(log).sound
    (key_id,) = log.keys
    for change in (
        *({name: "another"} for name in log.keys[key_id] if name != "key_id"),
        {"revoked_at": None},
        {"scopes": ["audit"]},
        {"expires_at": "2099-01-01T00:00:00.000000Z"},
        {"networks": []},
        {"networks": ["10.0.0.0/8", "192.0.2.0/24"]},
    ):
        kept = log.keys[key_id]
        log.keys[key_id] = {**kept, **change}
        assert found_in(verdict_of(log)) == {Kind.API_KEY: 1}
        log.keys[key_id] = kept
    log.keys["another"] = {**kept, "key_id": "another"}
    assert found_in(verdict_of(log)) == {Kind.API_KEY: None}
    log.keys.clear()
    assert found_in(verdict_of(log)) == {Kind.API_KEY: 1}


def test_a_key_that_was_replaced_stays_so_though_a_later_act_does_not_tell_of_it() -> None:
    log, lender = MemoryLog(), Lender()
    log.record(lender.api_key("acme"))
    log.record(lender.api_key("bank-of-b"))
    old, new = log.keys.values()
    replaced = {**old, "replaced_by": new["key_id"]}
    one_act(log, "key.rotated", {"old": replaced, "new": new})
    log.keys[str(old["key_id"])] = {**replaced, "scopes": ["read", "decide"]}  # in whatever order
    assert verdict_of(log).sound
    last = one_act(log, "key.revoked", old)
    assert verdict_of(log).sound
    log.keys[str(old["key_id"])] = old
    assert found_in(verdict_of(log)) == {Kind.API_KEY: last}


def test_a_password_is_held_against_the_hash_that_the_log_tells() -> None:
    log = MemoryLog()
    for user, password in (("ada", "$argon2$x"), ("bo", "")):
        one_act(log, "user.added", {**USER, "user_id": user, "password_sha256": password and sha256(password.encode())})
        row = {name: it for name, it in USER.items() if name != "password_sha256"}
        log.people_kept["app_user"].append({**row, "user_id": user, "password": password})
    assert verdict_of(log).sound
    for at, other in ((0, ""), (0, "$argon2$y"), (1, "$argon2$x")):
        kept = [*log.people_kept["app_user"]]
        log.people_kept["app_user"][at] = {**kept[at], "password": other}
        assert found_in(verdict_of(log)) == {Kind.PERSON: at}
        log.people_kept["app_user"][:] = kept


@pytest.mark.parametrize("bound", [(), ("10.0.0.0/8",)])
def test_an_act_that_does_not_tell_of_networks_left_a_key_bound_as_it_was(bound: tuple[str, ...]) -> None:
    """Versions that knew no networks do not tell of them, and leave them alone."""
    lender, log = Lender(), MemoryLog()
    log.record(lender.api_key("acme", networks=bound, silent=not bound))
    log.record(lender.api_key("acme", networks=bound, silent=True, revoked=True))
    assert verdict_of(log).sound
    ((key_id, kept),) = log.keys.items()
    log.keys[key_id] = {**kept, "networks": ["0.0.0.0/0"]}
    assert found_in(verdict_of(log)) == {Kind.API_KEY: 1}
    log.keys[key_id] = {name: it for name, it in kept.items() if name != "networks"}  # a store of before
    assert found_in(verdict_of(log)) == ({Kind.API_KEY: 1} if bound else {})


@pytest.mark.parametrize(
    "record", [b'{"score":6.0e2}', b'{"a":1, "b":2}', b"[]", b'{"a":NaN}', b'{"a":1,"a":1}', b"\xff"]
)
def test_a_record_that_can_be_read_in_two_ways_is_named(record: bytes) -> None:
    log = log_of(20)
    log.kept[9] = committed(log.kept[9], record)
    assert found_in(verdict_of(rebuilt(log)))[Kind.RECORD_FORM] == 9


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values))
def test_whatever_the_service_records_is_in_its_one_form(said: dict[str, Any]) -> None:
    log = MemoryLog()
    lender = Lender()
    log.record(Submission((lender.act("export", "person:ada", "it", said, ()),), lambda _: b""))
    assert verdict_of(log).sound


def test_a_leaf_kept_under_another_kind_is_named() -> None:
    log = log_of(20)
    log.kept[9] = changed(log.kept[9], kind="export")
    assert found_in(verdict_of(log)) == {Kind.LEAF_FORM: 9}


def test_half_of_a_batch_is_named() -> None:
    """Leaves whose records, rows and head never came: a writer that was not one transaction."""
    log = log_of(20)
    leaf = parse_leaf(log.kept[-1].body)
    body = Leaf(leaf.at, leaf.by, "decision", "half", "0" * 64).body()
    log.kept.append(
        changed(log.kept[-1], index=log.size, body=body, hash=leaf_hash(body), kind="decision", record=None)
    )
    found = found_in(verdict_of(log))
    assert found == {Kind.HEAD: log.size, Kind.RECORD_MISSING: log.size}


def test_checkpoints_of_the_store_are_held_against_the_tree() -> None:
    log = log_of(60)
    ahead = KEY.sign_note(Checkpoint(KEY.name, 500, bytes(32)).text()).encode()
    wrong = KEY.sign_note(Checkpoint(KEY.name, 20, bytes(32)).text()).encode()
    log.notes = [
        StoredNote(10, b"nonsense"),
        StoredNote(20, wrong),
        StoredNote(30, wrong),
        StoredNote(50, log.notes[0].note.replace(b"obligor-test A", b"obligor-test B")),
        StoredNote(500, ahead),
    ]
    found = found_in(verdict_of(log))
    assert found == {
        Kind.CHECKPOINT_FORM: None,
        Kind.CHECKPOINT_ROOT: 0,
        Kind.CHECKPOINT_SIGNATURE: None,
        Kind.CHECKPOINT_BEYOND: log.size,
    }


def test_anchors_of_another_key_or_form_are_named(tmp_path: Path) -> None:
    log = log_of(20)
    other = open_signing_key(tmp_path / "key.pem", name=KEY.name)
    stranger = other.sign_note(Checkpoint(KEY.name, 10, bytes(32)).text()).encode()
    assert found_in(verdict_of(log, stranger, b"")) == {Kind.ANCHOR_SIGNATURE: None, Kind.ANCHOR_FORM: None}


def test_an_anchor_that_was_changed_itself_is_named(tmp_path: Path) -> None:
    findings = Findings()
    assert read_anchors([tmp_path], findings) == ()
    note = log_of(60).notes[0].note
    (tmp_path / "00000000000000000050.checkpoint").write_bytes(note)
    (tmp_path / "checkpoints.log").write_text(f"50 {'0' * 64}\n60 {'0' * 64}\ntorn")
    assert [each.note for each in read_anchors([tmp_path], findings)] == [note]
    assert {(it.kind, it.times) for it in findings.all()} == {(Kind.ANCHOR_EMPTY, 1), (Kind.ANCHOR_FORM, 2)}
    with pytest.raises(InvalidInputError, match="there is no such folder or file"):
        read_anchors([tmp_path / "none"], findings)


@settings(max_examples=40)
@given(st.data())
def test_no_byte_of_a_leaf_a_record_or_a_row_changes_unseen(data: st.DataObject) -> None:
    log = log_of(30, every=7)
    log.checkpoint()
    index = data.draw(st.integers(0, log.size - 1))
    leaf = log.kept[index]
    part = data.draw(st.sampled_from(["body", "hash", "record", "salt"]))
    value = bytearray(getattr(leaf, part))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    log.kept[index] = changed(leaf, **{part: bytes(value)})
    verdict = verdict_of(log)
    assert not verdict.sound
    assert index in found_in(verdict).values()


def test_a_verdict_is_told_in_lines_and_as_plain_data() -> None:
    log = log_of(20)
    log.kept[9] = changed(log.kept[9], record=b"{}")
    log.kept[12] = changed(log.kept[12], record=b"{}")
    verdict = verdict_of(log)
    assert verdict.lines()[1] == (
        "WRONG  record-changed at leaf 9: the record, or its salt, is not what the leaf commits to (and 1 more)"
    )
    assert verdict.to_plain()["findings"][0]["first_index"] == 9
    assert json.loads(json.dumps(verdict.to_plain()))["sound"] is False
