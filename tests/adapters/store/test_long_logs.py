"""What takes a part of a long log reads that part, and not the log from an end on."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg import ClientCursor
from psycopg.rows import dict_row
from tests.stores import pages_read

from obligor.adapters.store.actions import _FOLLOWED, _WRITTEN
from obligor.adapters.store.actions import _OF as _ACTIONS_OF
from obligor.adapters.store.archive import _COMPARED, _LAST_WORDS, _LINKS, _NEWEST, _OUTCOMES, _RELEASE, _asked
from obligor.adapters.store.archive import _TOLD as _TOLD_LAST
from obligor.adapters.store.conduct import _COUNTS, _DONE, of_a_time
from obligor.adapters.store.deliveries import _BACKLOG, _RECALLED, _REPLAY_ALL, _REPLAY_DEAD
from obligor.adapters.store.deliveries import _STANDING as _ENDPOINTS
from obligor.adapters.store.links import _LINK
from obligor.adapters.store.log_source import _LEAVES
from obligor.adapters.store.overrides import _NEWEST as _OVERRIDES
from obligor.adapters.store.overrides import _OF as _OVERRIDE_OF
from obligor.adapters.store.people import _SEEN
from obligor.adapters.store.pool import _ON_BEHALF
from obligor.adapters.store.privacy import _DECISIONS, _ERASED_SINCE, _REVIEWS, _STANDING
from obligor.adapters.store.privacy import _OUTCOMES as _TOLD
from obligor.adapters.store.proofs import _ANCHORED, RESTORES
from obligor.adapters.store.proposals import _SINCE
from obligor.adapters.store.pruning import _PRUNE
from obligor.adapters.store.reviews import _OF, _OPEN, _REVIEW, _TOOK_PART
from obligor.adapters.store.screening import _CLEARED, _CONFIRMED, _LEFT, _WAITS
from obligor.adapters.store.screening import _DECISIONS as _SCREENED
from obligor.adapters.store.screening import _OPEN as _ALERTS
from obligor.adapters.store.screening import _STANDING as _HITS
from obligor.serving.archive import Search

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG, AT_ONCE = 60_000, 50
NAMED = re.compile(r"%\((\w+)\)s")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
# What is closed is so from the start: what was open before, a vacuum has swept out of the indexes of what is open.
ROWS = (
    """INSERT INTO obligor.leaf (index, kind, body, hash)
    SELECT at, CASE at WHEN 7 THEN 'restore.proposed' WHEN 5 THEN 'release' ELSE 'decision' END,
        convert_to(json_build_object('at', time)::text, 'UTF8'), sha256('') FROM made""",
    "INSERT INTO obligor.record (leaf_index, body, salt) SELECT at, convert_to(repeat('x', 1500), 'UTF8'), '' FROM made",
    """INSERT INTO obligor.decision
        (decision_id, leaf_index, client_id, application_id, decided_at, outcome, band, score, subject)
    SELECT md5('decision' || at)::uuid, at, CASE WHEN at % 12000 = 11 THEN 'small' ELSE 'bank' END, 'loan ' || at, time,
        'approve', 'A', 0, sha256(at::text::bytea) FROM made""",
    """INSERT INTO obligor.outcome (report_id, decision_id, leaf_index, status, observed_on)
    SELECT md5('outcome' || at)::uuid, md5('decision' || at)::uuid, at, 'paid', time FROM made""",
    """INSERT INTO obligor.review (review_id, decision_id, client_id, leaf_index, requested_at, due_at, pack, closed)
    SELECT md5('review' || at)::uuid, md5('decision' || at)::uuid, 'bank', at, time, time, 'eu', at % 6000 <> 5 FROM made""",
    """INSERT INTO obligor.review_decision (review_id, leaf_index, verdict, outcome, decided_at, by)
    SELECT md5('review' || at)::uuid, at, 'upheld', 'decline', time, 'ann' FROM made WHERE at % 6000 <> 5""",
    """INSERT INTO obligor.override
        (decision_id, leaf_index, client_id, outcome, direction, reason, role, decided_at, by, agreed_by)
    SELECT md5('decision' || at)::uuid, at, 'bank', 'decline', 'none', 'outside', 'analyst', time, 'ben', 'sue' FROM made""",
    """INSERT INTO obligor.action (decision_id, step, leaf_index, client_id, done_on, at, by)
    SELECT md5('decision' || at)::uuid, 'accepted', at, 'bank', time, time, 'client:bank' FROM made""",
    """INSERT INTO obligor.proposal (proposal_id, step, kind, said, because, proposed_by, expires_at, at, by, leaf_index)
    SELECT at, 'done', 'erase', '', '', 'ann', time, time, 'ann', at FROM made""",
    """INSERT INTO obligor.alert
        (alert_id, decision_id, client_id, subject, entry, entry_sha256, score, list_sha256, opened_at, leaf_index, closed)
    SELECT md5('alert' || at)::uuid, md5('decision' || at)::uuid, 'bank', sha256(at::text::bytea), '', '', 0, '', time, at,
        at % 6000 <> 0 FROM made""",
    """INSERT INTO obligor.alert_step (alert_id, step, because, until, at, by, leaf_index)
    SELECT md5('alert' || at)::uuid, CASE WHEN at % 6000 = 0 THEN 'confirmed' ELSE 'cleared' END, '',
        CASE WHEN at % 6000 = 0 THEN NULL ELSE time END, time, 'ann', at FROM made""",
    "INSERT INTO obligor.erasure (subject, at) SELECT sha256(at::text::bytea), time FROM made",
    "INSERT INTO obligor.anchoring (anchor, size, at) SELECT 'anchor ' || at % 2, at, time FROM made",
    "INSERT INTO obligor.sign_in (leaf_index, user_id, at) SELECT at, 'person ' || at % 5, time FROM made",
    """INSERT INTO obligor.app_user (user_id, password, created_at, leaf_index)
    SELECT 'person ' || at, '', time, at FROM made WHERE at < 5""",
    """INSERT INTO obligor.webhook_endpoint (endpoint_id, client_id, url, event_types, state, secret, created_at, leaf_index)
    SELECT 'ep', 'bank', '', '{}', 'active', '', time, at FROM made WHERE at = 0""",
    """INSERT INTO obligor.outbox (event_id, leaf_index, client_id, application_id, sequence, type, payload, created_at)
    SELECT md5('event' || at)::uuid, at, 'bank', 'loan ' || at, 1, 'decision.made', '', time FROM made""",
    """INSERT INTO obligor.link_mark (leaf_index, kind, mark, beside, at)
    SELECT at, 'application', decode(md5('loan ' || at % 29000), 'hex'), '', time FROM made
    UNION ALL SELECT at, 'person', '', decode(md5('loan ' || at), 'hex'), time FROM made""",
    """INSERT INTO obligor.link (leaf_index, why, other_index, at)
    SELECT at, 'repeated', at - 29000, time FROM made WHERE at > 30050""",
    """INSERT INTO obligor.delivery (event_id, endpoint_id, application_id, sequence, state, due_since, next_at, settled_at)
    SELECT md5('event' || at)::uuid, 'ep', 'loan ' || at, 1,
        CASE WHEN at % 6000 = 1 THEN 'pending' WHEN at % 6000 = 2 THEN 'dead' ELSE 'delivered' END, time, time,
        CASE WHEN at % 6000 <> 1 THEN time END FROM made""",
)
MADE = f"""WITH made AS (
    SELECT at, '{FIRST}'::timestamptz + at * interval '1 minute' AS time FROM generate_series(0, {LONG - 1}) AS log (at)
)"""


def time_of(leaf: int) -> datetime:
    return FIRST + timedelta(minutes=leaf)


MIDDLE = LONG // 2
DECISION, SUBJECT = UUID(md5(f"decision{MIDDLE}".encode()).hexdigest()), b"%d" % MIDDLE  # noqa: S324  as the rows have it
WHILE = {"since": time_of(MIDDLE), "until": time_of(MIDDLE + AT_ONCE)}
LINKED = {"leaves": list(range(MIDDLE + 1, MIDDLE + 1 + AT_ONCE)), "person_daily": 2, "at": time_of(LONG)}
AGAIN = {"endpoint": "ep", "at": time_of(LONG)} | WHILE
DECIDED = [UUID(md5(b"decision%d" % at).hexdigest()) for at in range(MIDDLE, MIDDLE + AT_ONCE)]  # noqa: S324  so too
HIT = [sha256(b"%d" % at).digest() for at in range(MIDDLE + 1, MIDDLE + 1 + AT_ONCE)]
NAMES = {"application_id": f"loan {MIDDLE}", "application_tag": "none"}


class Part(NamedTuple):
    """What is asked, how many rows that gives, and on whose behalf."""

    asked: tuple[str, Any]
    rows: int
    client: str | None = None
    also: int = 0
    """How many others it cannot but look at."""


PARTS = {
    "the next to be screened": Part((_SCREENED, (MIDDLE, None, AT_ONCE)), AT_ONCE),
    "whether any is to be screened": Part((_WAITS, (LONG, LONG, LONG)), 1),
    "how many are to be screened": Part((_LEFT, (LONG - AT_ONCE, 0, AT_ONCE)), 1),
    "the newest": Part(_asked(Search()), AT_ONCE),
    "a page of a search": Part(_asked(Search(before=MIDDLE)), AT_ONCE),
    "a page of a client's": Part(_asked(Search("bank", before=MIDDLE)), AT_ONCE, "bank"),
    "a page by what stands": Part(_asked(Search(stands="decline", before=MIDDLE)), AT_ONCE, also=20 * AT_ONCE),
    "a page of a client's by what stands": Part(
        _asked(Search("bank", stands="decline", before=MIDDLE)), AT_ONCE, "bank", also=30 * AT_ONCE
    ),
    "an application's by what stands": Part(_asked(Search(**NAMES, stands="decline")), 1),
    "all of a small client": Part(_asked(Search("small")), 5, "small"),
    "those of a time": Part(_asked(Search(**WHILE)), AT_ONCE, also=120),
    "those of a time, a client's": Part(_asked(Search("bank", **WHILE)), AT_ONCE, "bank", also=120),
    "those of a time, a small client's": Part(
        _asked(Search("small", since=time_of(MIDDLE), until=time_of(37_000))), 1, "small"
    ),
    "the first there were": Part(_asked(Search(until=time_of(10))), 10, also=60),
    "those since a time": Part(_asked(Search(since=time_of(LONG - 10))), 10, also=60),
    "an application's": Part(_asked(Search(**NAMES)), 1),
    "an application's, a client's": Part(_asked(Search("bank", **NAMES)), 1, "bank"),
    "links of a decision": Part((_LINKS, {"leaf": LONG - 1, "client": "bank"}), 1),
    "whether a decision was compared": Part((_COMPARED, (MIDDLE,)), 1),
    "the last alike to each of some, of as many as there are": Part((_LINK, LINKED), 2 * AT_ONCE, also=160 * AT_ONCE),
    "outcomes of a decision": Part((_OUTCOMES, {"decision": DECISION}), 1, "bank"),
    "leaves for an export": Part((_LEAVES, {"start": MIDDLE, "stop": MIDDLE + AT_ONCE}), AT_ONCE),
    "the release in force": Part((_RELEASE.format(which="", told=_TOLD_LAST), ()), 1),
    "the number of the release in force": Part((_NEWEST, ()), 1),
    "how the log was set back": Part((RESTORES, ()), 1),
    "decisions on a subject": Part((_DECISIONS.replace("%s", "sha256(%s)"), (SUBJECT,)), 1),
    "overrides, actions and reviews of a subject": Part((_REVIEWS.replace("%s", "sha256(%s)"), (SUBJECT,)), 4),
    "outcomes of a subject": Part((_TOLD.replace("%s", "sha256(%s)"), (SUBJECT,)), 1),
    "whether a subject may be erased": Part((_STANDING, {"subject": sha256(SUBJECT).digest()}), 1),
    "who was erased lately": Part((_ERASED_SINCE, (time_of(LONG - 10),)), 10),
    "what needs no alert": Part((_HITS, (HIT, [""] * AT_ONCE, [""] * AT_ONCE, time_of(0))), AT_ONCE),
    "what was confirmed": Part((_CONFIRMED, ()), 10),
    "what was cleared and holds": Part((_CLEARED, (time_of(LONG - 11),)), 10),
    "reviews of a decision": Part((f"{_REVIEW} WHERE {_OF} ORDER BY review.leaf_index", (DECISION,)), 1),
    "what people last said of some": Part((_LAST_WORDS, (DECIDED,)), AT_ONCE),
    "who took part in a decision": Part((_TOOK_PART, {"decision": DECISION, "release": 1}), 2),
    "the override of a decision": Part((_OVERRIDE_OF, (DECISION,)), 1),
    "what was done beside a decision": Part((_ACTIONS_OF, (DECISION,)), 1),
    "what may have notices since a time": Part((_FOLLOWED, {"since": time_of(LONG - 10), "client": None}), 0, also=120),
    "which notices were written lately": Part((_WRITTEN, (LONG - 10, LONG - 10)), 0, also=10),
    "the newest overrides": Part((_OVERRIDES, {"client": None, "most": AT_ONCE}), AT_ONCE),
    "overrides of a time, counted": Part(
        (_COUNTS.format(_DONE["overrides"], of_a_time(time_of(0), time_of(1))), WHILE), 1, also=120
    ),
    "what is proposed": Part((_SINCE, (time_of(LONG - 11),)), 10),
    "what each anchor has": Part((_ANCHORED, ()), 2),
    "when each person was last here": Part((_SEEN, ()), 5),
    "open reviews": Part((_OPEN, ()), 10),
    "alerts that nobody cleared": Part((_ALERTS, (AT_ONCE,)), 10),
    "what waits and what was given up": Part((_BACKLOG, ()), 1),
    "what was put off too far": Part(
        (_RECALLED, {"endpoints": ["ep"], "at": time_of(0), "latest": time_of(2 * LONG)}), 0
    ),
    "what waits at each endpoint": Part((_ENDPOINTS, ()), 1, also=20),
    "what was given up, again": Part(
        (_REPLAY_DEAD, AGAIN | {"since": time_of(6000), "until": time_of(6010)}), 1, also=10
    ),
    "events that are over": Part(
        (_PRUNE, {"before": time_of(LONG - 10), "after": time_of(MIDDLE), "most": AT_ONCE}), 1, also=40 * AT_ONCE
    ),
    "events of a time, again": Part((_REPLAY_ALL, AGAIN), AT_ONCE - 1, also=120),
}


@pytest.mark.parametrize("known", ["", "ANALYZE"], ids=["new", "analysed"])
def test_a_part_of_a_long_log_is_found_without_reading_what_lies_before_or_behind_it(
    store_url: str, known: str
) -> None:
    """By a plan for the values that are asked for, and by one for any, which a question that is asked often may get."""
    with psycopg.connect(store_url, row_factory=dict_row) as connection:
        for rows in ROWS:
            connection.execute(f"{MADE} {rows}".encode())
        connection.execute(known.encode())
        for name, part in PARTS.items():
            bound = 150 + 20 * part.rows + part.also
            with on_behalf(connection, part.client):
                read = pages_read(connection, *part.asked)
            with on_behalf(connection, part.client):
                rows, by_any = rows_and_pages_read_by_any_plan(connection, *part.asked)
            assert rows == part.rows, name
            assert max(read, by_any) < bound, name


@contextmanager
def on_behalf(connection: psycopg.Connection[Any], client: str | None) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        if client is not None:
            connection.execute(_ON_BEHALF.encode(), (client,))
        yield


def rows_and_pages_read_by_any_plan(connection: psycopg.Connection[Any], query: str, given: Any) -> tuple[int, int]:
    """Prepare a query, as psycopg does what it is asked often; run it, and once more to count what it looks at."""
    connection.execute("DEALLOCATE ALL")
    found = connection.execute(query.encode(), given, prepare=True).fetchall()
    prepared = connection.execute("SELECT name FROM pg_prepared_statements").fetchone()
    assert prepared is not None
    values = [given[it] for it in dict.fromkeys(NAMED.findall(query))] if isinstance(given, dict) else list(given)
    call = f"EXECUTE {prepared['name']}" + (f" ({', '.join(['%s'] * len(values))})" if values else "")
    return len(found), pages_read(
        connection, ClientCursor(connection).mogrify(call.encode(), values).replace("%", "%%"), ()
    )
