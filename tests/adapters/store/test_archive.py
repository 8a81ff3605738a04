"""What was recorded is found again, as it was, by those who may ask."""

from __future__ import annotations

import asyncio
import hashlib
import os
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import psycopg
import pytest
from tests.stores import NOW, held, submission

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.notifications import API_KEYS, RELEASES, follow
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.proofs import PostgresLog
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.canonical import canonical_json, readable_json
from obligor.core.errors import AuditError, IntegrityError, InvalidInputError, UnavailableError
from obligor.core.merkle import Frontier, verify_inclusion
from obligor.governance.audit.standalone.verify import is_consistent
from obligor.serving.acts import Act, Request, Submission
from obligor.serving.archive import Search, StoredDecision
from obligor.serving.rows import ApiKeyRow, ArtefactRow, OutcomeRow, ReleaseRow, Row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Found = TypeVar("Found")


def asked(url: str, question: Callable[[PostgresArchive, PostgresLog], Awaitable[Found]]) -> Found:
    async def run() -> Found:
        pool = Pool(url)
        try:
            return await question(PostgresArchive(pool), PostgresLog(pool))
        finally:
            await pool.close()

    return asyncio.run(run())


def record(url: str, *submissions: Submission) -> None:
    async def run() -> None:
        async with PostgresRecorder(url) as recorder:
            await asyncio.gather(*(recorder.record(each) for each in submissions))

    asyncio.run(run())


def act(kind: str, *rows: Row) -> Submission:
    return Submission((Act(kind, NOW, "person:Ada", str(uuid4()), b"{}", os.urandom(16), rows),), lambda _: b"")


def put(number: int, *artefacts: ArtefactRow) -> Submission:
    """Give a release as an act, whose record tells its signature and what was signed."""
    row = release(number, *artefacts)
    named = {name: getattr(row, name) for name in ("card_sha256", "policy_sha256", "profile_sha256")}
    said = canonical_json({"number": number, "signature": row.signature.hex(), **named})
    return Submission((Act("release", NOW, "person:Ada", str(number), said, os.urandom(16), (row,)),), lambda _: b"")


def artefact(kind: str, said: object) -> ArtefactRow:
    return ArtefactRow(hashlib.sha256(canonical_json(said)).hexdigest(), kind, readable_json(said))


def release(number: int, *artefacts: ArtefactRow) -> ReleaseRow:
    card, policy, profile = (each.sha256 for each in artefacts)
    return ReleaseRow(number, card, policy, profile, NOW, "Ada", b"statement", b"signature %d" % number, artefacts)


CARD, POLICY, PROFILE = artefact("card", {"a": 1.5}), artefact("policy", ["é"]), artefact("profile", {})


def api_key(**changes: object) -> ApiKeyRow:
    given: dict[str, object] = {
        "key_id": "k1",
        "client_id": "bank",
        "name": "first key",
        "scopes": ("decide", "read"),
        "secret_sha256": bytes(32),
        "created_at": NOW,
        "expires_at": NOW + timedelta(days=1),
        "revoked_at": None,
    }
    return ApiKeyRow(**{**given, **changes})  # type: ignore[arg-type]  the values are those of the fields


def test_a_decision_is_found_with_its_leaf_and_its_record(store_url: str) -> None:
    given = submission("one")
    record(store_url, given)
    act = given.acts[0]
    wanted = held(store_url).decisions[0]["decision_id"]
    found = asked(store_url, lambda archive, _: archive.decision(wanted))
    leaf = held(store_url).leaves[0]["body"]
    assert found == StoredDecision(wanted, "bank", 0, leaf, act.record, act.salt)
    assert asked(store_url, lambda archive, _: archive.decision(uuid4())) is None


def test_decisions_are_found_newest_first_page_by_page_each_once(store_url: str) -> None:
    record(store_url, *(submission(client="bank" if place % 3 else "other") for place in range(60)))

    async def pages(archive: PostgresArchive, _: PostgresLog) -> list[int]:
        found: list[int] = []
        before = None
        while page := await archive.search(Search("bank", before=before, limit=7)):
            assert len(page) <= 7
            found += [each.leaf_index for each in page]
            before = page[-1].leaf_index
        return found

    wanted = [row["leaf_index"] for row in held(store_url).decisions if row["client_id"] == "bank"]
    assert asked(store_url, pages) == sorted(wanted, reverse=True)


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        (Search(), [2, 1, 0]),
        (Search("other"), [2]),
        (Search("bank", application_id="loan' OR true --"), [0]),
        (Search(application_id="nothing"), []),
        (Search(since=NOW + timedelta(hours=1)), [2, 1]),
        (Search(until=NOW + timedelta(hours=1)), [0]),
        (Search(outcome="approve", band="A", limit=1), [2]),
        (Search(outcome="decline"), []),
        (Search(stands="approve"), [2, 1, 0]),
        (Search(stands="decline"), []),
    ],
)
def test_a_search_finds_what_it_names(store_url: str, search: Search, wanted: list[int]) -> None:
    record(store_url, submission(application="loan' OR true --"))
    record(store_url, submission(at=NOW + timedelta(hours=1)))
    record(store_url, submission(client="other", at=NOW + timedelta(hours=2)))
    found = asked(store_url, lambda archive, _: archive.search(search))
    assert [each.leaf_index for each in found] == wanted


def test_decisions_are_found_by_their_own_clock_where_it_was_behind_the_log(store_url: str) -> None:
    """Two processes take turns, and the clock of one is 50 minutes ahead: the log has its time."""
    ahead, minute = timedelta(minutes=50), timedelta(minutes=1)
    record(store_url, *(submission(at=NOW + at * minute + (ahead if at % 2 else timedelta())) for at in range(40)))

    def found(since: int | None, until: int | None) -> list[int]:
        times = [None if it is None else NOW + it * minute for it in (since, until)]
        return [
            it.leaf_index
            for it in asked(store_url, lambda archive, _: archive.search(Search(since=times[0], until=times[1])))
        ]

    assert found(10, 20) == [18, 16, 14, 12, 10]
    assert found(None, 6) == [4, 2, 0]
    assert found(60, 66) == [15, 13, 11]
    assert found(85, None) == [39, 37, 35]
    assert found(None, 0) == found(90, None) == found(20, 10) == []


@pytest.mark.parametrize("odd", ["a\0b", "\ud800"])
def test_what_the_store_cannot_hold_is_refused_in_a_search(store_url: str, odd: str) -> None:
    with pytest.raises(InvalidInputError) as told:
        asked(store_url, lambda archive, _: archive.search(Search(application_id=odd)))
    assert odd not in str(told.value)


def test_reported_outcomes_come_in_the_order_of_the_log(store_url: str) -> None:
    of = uuid4()
    reports = [OutcomeRow(uuid4(), of, status, date(2027, 1, day)) for day, status in ((9, "late"), (3, "paid"))]
    for report in reports:
        record(store_url, act("outcome", report))
    record(store_url, act("outcome", OutcomeRow(uuid4(), uuid4(), "paid", date(2027, 1, 1))))
    assert asked(store_url, lambda archive, _: archive.outcomes(of)) == tuple(reports)


def test_the_newest_release_is_found_with_its_artefacts(store_url: str) -> None:
    assert asked(store_url, lambda archive, _: archive.release()) is None
    record(store_url, put(1, CARD, POLICY, PROFILE))
    record(store_url, put(2, artefact("card", {"a": 2}), POLICY, PROFILE))
    found = asked(store_url, lambda archive, _: archive.release())
    assert found is not None
    assert (found.number, found.statement, found.signature) == (2, b"statement", b"signature 2")
    assert (found.card, found.policy, found.profile) == (readable_json({"a": 2}), POLICY.body, PROFILE.body)
    assert [row["number"] for row in asked(store_url, lambda archive, _: archive.releases())] == [2, 1]
    assert asked(store_url, lambda archive, _: archive.artefact(CARD.sha256)) == CARD.body
    assert asked(store_url, lambda archive, _: archive.artefact("0" * 64)) is None


BESIDE = """INSERT INTO obligor.release
    SELECT 3, leaf_index + 9, card_sha256, policy_sha256, profile_sha256, at, by, statement, signature FROM obligor.release
    WHERE number = 1"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM obligor.release WHERE number = 2", "release 2 of the log is no longer kept"),
        ("DELETE FROM obligor.release", "release 2 of the log is no longer kept"),
        (BESIDE, "the log tells of no release 3"),
        ("UPDATE obligor.release SET number = 3 WHERE number = 2", "the log tells of no release 3"),
        ("UPDATE obligor.release SET signature = 'signature 1' WHERE number = 2", "not what the log tells of"),
        ("UPDATE obligor.release SET profile_sha256 = card_sha256 WHERE number = 2", "not what the log tells of"),
        ("UPDATE obligor.record SET body = body || 'x'", "not what the log tells of"),
        ("DELETE FROM obligor.record", "not what the log tells of"),
        ("DELETE FROM obligor.leaf WHERE index = 1", "the log tells of no release 2"),
    ],
)
def test_a_release_that_is_not_the_last_of_the_log_is_refused(store_url: str, change: str, told: str) -> None:
    """F25, F36: who owns the store takes a release back, or puts one in force, past the log."""
    record(store_url, put(1, CARD, POLICY, PROFILE))
    record(store_url, put(2, artefact("card", {"a": 2}), POLICY, PROFILE))
    with psycopg.connect(store_url) as owner:
        for table in ("leaf", "record"):
            owner.execute(f"ALTER TABLE obligor.{table} DISABLE TRIGGER append_only".encode())
        owner.execute(change.encode())
    newest = asked(store_url, lambda archive, _: archive.newest_release())
    assert newest == (3 if "release 3" in told else 2)
    with pytest.raises(IntegrityError, match=told):
        asked(store_url, lambda archive, _: archive.release())


def test_a_release_of_before_that_the_log_does_not_tell_of_is_refused(store_url: str) -> None:
    for number, said in enumerate(({"a": 1}, {"a": 2}), start=1):
        record(store_url, put(number, artefact("card", said), POLICY, PROFILE))
    before = asked(store_url, lambda archive, _: archive.release_before())
    assert before is not None
    assert before.number == 1
    with psycopg.connect(store_url) as owner:
        owner.execute("UPDATE obligor.release SET signature = 'signature 2' WHERE number = 1")
    with pytest.raises(IntegrityError, match="not what the log tells of"):
        asked(store_url, lambda archive, _: archive.release_before())


def test_an_artefact_that_is_not_what_its_hash_says_is_not_kept(store_url: str) -> None:
    wrong = ArtefactRow(CARD.sha256, "card", CARD.body.replace(b"1.5", b"1.6"))
    with pytest.raises(IntegrityError):
        record(store_url, put(1, wrong, POLICY, PROFILE))
    assert held(store_url).leaves == []


@pytest.mark.parametrize("change", ["body = body || 'x'", "body = '\\x00'", "sha256 = repeat('0', 64)"])
def test_an_artefact_that_was_changed_is_refused(store_url: str, change: str) -> None:
    record(store_url, put(1, CARD, POLICY, PROFILE))
    with psycopg.connect(store_url) as owner:
        owner.execute(f"UPDATE obligor.artefact SET {change} WHERE kind = 'card'")
    with pytest.raises(IntegrityError):
        asked(store_url, lambda archive, _: archive.release())
    if not change.startswith("sha256"):
        with pytest.raises(IntegrityError):
            asked(store_url, lambda archive, _: archive.artefact(CARD.sha256))


def test_a_number_is_given_to_one_release_alone(store_url: str) -> None:
    record(store_url, put(1, CARD, POLICY, PROFILE))
    with pytest.raises(IntegrityError, match="release_pkey"):
        record(store_url, put(1, CARD, POLICY, PROFILE))
    assert len(held(store_url).leaves) == 1


def test_an_api_key_is_found_as_it_was_last_recorded(store_url: str) -> None:
    assert asked(store_url, lambda archive, _: archive.api_key("k1")) is None
    record(store_url, act("key.created", api_key()))
    assert asked(store_url, lambda archive, _: archive.api_key("k1")) == api_key()
    revoked = api_key(revoked_at=NOW + timedelta(seconds=1), scopes=())
    record(store_url, act("key.revoked", revoked))
    record(store_url, act("key.created", api_key(key_id="k2", client_id="a bank")))
    assert asked(store_url, lambda archive, _: archive.api_key("k1")) == revoked
    assert [key.key_id for key in asked(store_url, lambda archive, _: archive.api_keys())] == ["k2", "k1"]
    bound = api_key(key_id="k3", networks=("10.0.0.0/8", "2001:db8::/32"))
    record(store_url, act("key.created", bound))
    assert asked(store_url, lambda archive, _: archive.api_key("k3")) == bound


def test_the_answer_of_a_request_is_found_by_its_key(store_url: str) -> None:
    given = submission("one")
    record(store_url, given)
    assert given.request is not None
    request = given.request
    found = asked(store_url, lambda archive, _: archive.answer(request))
    assert found is not None
    payload, answer = found
    assert payload == request.payload_sha256
    assert (answer.response, answer.status, answer.replayed) == (given.respond(0), 201, True)
    other = Request("other", request.route, request.key, request.payload_sha256)
    assert asked(store_url, lambda archive, _: archive.answer(other)) is None


# The log


def test_every_decision_has_a_proof_at_every_size(store_url: str) -> None:
    bulk = Submission(tuple(submission().acts[0] for _ in range(600)), lambda _: b"")
    record(store_url, bulk)
    hashes = [leaf["hash"] for leaf in held(store_url).leaves]

    async def prove(_: PostgresArchive, log: PostgresLog) -> None:
        assert await log.size() == 600
        assert (await log.frontier()).root == held(store_url).root
        for index, size in ((0, 1), (0, 600), (255, 256), (256, 257), (511, 600), (599, 600), (300, 513)):
            root = Frontier().extend(hashes[:size]).root
            assert (await log.frontier(size)).root == root
            proof = await log.inclusion(index, size)
            assert verify_inclusion(hashes[index], index=index, size=size, proof=proof, root=root)
        for old, new in ((1, 600), (255, 256), (256, 512), (300, 600), (600, 600)):
            roots = [Frontier().extend(hashes[:size]).root for size in (old, new)]
            proof = await log.consistency(old, new)
            assert is_consistent(old, new, roots[0], roots[1], [*proof])
        with pytest.raises(AuditError):
            await log.inclusion(600, 601)

    asked(store_url, prove)


def test_checkpoints_and_what_went_to_anchors_are_kept(store_url: str) -> None:
    async def keep(_: PostgresArchive, log: PostgresLog) -> None:
        assert await log.checkpoint() is None
        await log.keep_checkpoint(3, b"first", at=NOW)
        await log.keep_checkpoint(9, b"second", at=NOW)
        await log.keep_checkpoint(9, b"another", at=NOW)
        assert await log.checkpoint() == (9, b"second")
        await log.keep_anchoring("s3", 3, at=NOW)
        await log.keep_anchoring("file", 3, at=NOW)
        await log.keep_anchoring("file", 9, at=NOW)
        assert await log.anchored() == {"file": (9, NOW), "s3": (3, NOW)}

    asked(store_url, keep)


# Connections and notices


def test_who_reads_does_not_write(store_url: str) -> None:
    async def write() -> None:
        pool = Pool(store_url)
        with pytest.raises(UnavailableError):
            await pool.rows("DELETE FROM obligor.decision RETURNING 1")
        await pool.close()

    asyncio.run(write())


def test_readers_wait_for_a_connection_and_are_told_where_none_comes(store_url: str) -> None:
    async def read() -> None:
        pool = Pool(store_url, most=1, patience_s=60)
        slow = asyncio.create_task(pool.rows("SELECT pg_sleep(0.2)"))
        await asyncio.sleep(0)
        assert await pool.rows("SELECT 1 AS one") == [{"one": 1}]
        assert slow.done()
        await slow
        await pool.close()
        pool = Pool(store_url, most=1, patience_s=0.1)
        await pool._free.acquire()
        with pytest.raises(UnavailableError, match="in use"):
            await pool.rows("SELECT 1")

    asyncio.run(read())


def test_a_question_that_takes_too_long_is_broken_off(store_url: str) -> None:
    async def read() -> None:
        pool = Pool(store_url, most=1, patience_s=0.5)
        with pytest.raises(UnavailableError):
            await pool.rows("SELECT pg_sleep(60)")
        await pool.close()

    asyncio.run(read())


def test_a_reader_whose_connection_was_ended_gets_another(store_url: str) -> None:
    async def read() -> None:
        pool = Pool(store_url)
        await pool.rows("SELECT 1")
        with psycopg.connect(store_url, autocommit=True) as owner:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'obligor reader'"
            )
        assert await pool.rows("SELECT 1 AS one") == [{"one": 1}]
        await pool.close()

    asyncio.run(read())


def test_a_release_and_a_changed_key_are_heard_of_at_once(store_url: str) -> None:
    async def listen() -> None:
        heard = {channel: follow(store_url, channel, every_s=60) for channel in (RELEASES, API_KEYS)}
        for each in heard.values():
            assert await anext(each) is None
        async with PostgresRecorder(store_url) as recorder:
            await recorder.record(put(7, CARD, POLICY, PROFILE))
            await recorder.record(act("key.created", api_key()))
        async with asyncio.timeout(20):
            assert await anext(heard[RELEASES]) == "7"
            assert await anext(heard[API_KEYS]) == "k1"
        for each in heard.values():
            await each.aclose()

    asyncio.run(listen())


def test_who_listens_looks_again_after_the_connection_was_lost(store_url: str) -> None:
    async def listen() -> None:
        heard = follow(store_url, RELEASES, every_s=60)
        assert await anext(heard) is None
        waits = asyncio.create_task(anext(heard))
        await asyncio.sleep(0.1)
        with psycopg.connect(store_url, autocommit=True) as owner:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'obligor listener'"
            )
        async with asyncio.timeout(20):
            assert await waits is None
        await heard.aclose()

    asyncio.run(listen())


def test_searches_that_last_keep_nobody_waiting_who_looks_up_a_key(store_url: str) -> None:
    async def run() -> None:
        pool, searches = Pool(store_url, patience_s=0.5), Pool(store_url, most=1, patience_s=0.5)
        archive = PostgresArchive(pool, searches=searches)
        try:
            async with searches.connection(), pool.connection(), pool.connection(), pool.connection():
                with pytest.raises(UnavailableError, match="every connection for reading is in use"):
                    await archive.search(Search(client_id="bank"))
                assert await archive.api_key("nobodys") is None
        finally:
            await pool.close()
            await searches.close()

    asyncio.run(run())
