"""A leaf that is written quickly is the leaf that the audit log defines."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.adapters.store.arrays import (
    ARRAYS,
    BYTEA,
    DATE,
    INT2,
    INT4,
    INT8,
    TEXT,
    TIME,
    UUID,
    array,
    day,
    int2,
    int4,
    int8,
    read_time,
    time,
)
from obligor.adapters.store.drafting import Draft
from obligor.core.errors import AuditError
from obligor.core.leaves import Leaf, commitment
from obligor.core.merkle import Frontier
from obligor.serving.acts import Act, Submission

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=40)
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def body_of(act: Act) -> bytes:
    draft = Draft(Frontier(), None)
    draft.add(Submission((act,), lambda _: b""))
    return draft._bodies[0]


@given(
    at=TIMES,
    actor=st.tuples(st.sampled_from(["client:", "person:"]), NAMES).map("".join),
    kind=st.from_regex(r"[a-z]+(\.[a-z]+)*", fullmatch=True),
    subject=st.one_of(NAMES, st.uuids().map(str)),
    record=st.binary(max_size=50),
)
def test_a_leaf_is_written_as_it_is_defined(at: datetime, actor: str, kind: str, subject: str, record: bytes) -> None:
    act = Act(kind, at, actor, subject, record, bytes(16))
    assert body_of(act) == Leaf(at, actor, kind, subject, commitment(record, bytes(16))).body()


@pytest.mark.parametrize(
    "change",
    [
        {"by": "nobody"},
        {"kind": "Decision"},
        {"subject": ""},
        {"subject": "a\n"},
        {"salt": b""},
        {"by": "client:\ud800"},
    ],
)
def test_a_leaf_that_is_not_as_defined_is_not_written(change: dict[str, object]) -> None:
    said: dict[str, object] = {"kind": "decision", "by": "client:a", "subject": "s", "record": b"", "salt": bytes(16)}
    with pytest.raises(AuditError):
        body_of(Act(at=datetime(2026, 1, 1, tzinfo=UTC), **{**said, **change}))  # type: ignore[arg-type]  as the fields


@given(at=TIMES, hours=st.integers(-12, 12))
def test_a_time_is_kept_to_the_microsecond_from_any_zone(at: datetime, hours: int) -> None:
    assert read_time(time(at.astimezone(timezone(timedelta(hours=hours))))) == at


def test_the_database_reads_packed_arrays_as_they_were_meant(store_url: str) -> None:
    at = datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=UTC)
    given = [
        (INT8, [int8(-(2**63)), int8(2**63 - 1)], "{-9223372036854775808,9223372036854775807}"),
        (INT4, [int4(-1), None], "{-1,NULL}"),
        (INT2, [int2(32767)], "{32767}"),
        (TEXT, [b"", 'ü"{},\\'.encode(), None], '{"","ü\\"{},\\\\",NULL}'),
        (BYTEA, [b"\0\xff"], '{"\\\\x00ff"}'),
        (TIME, [time(at)], '{"1999-12-31 23:59:59.000001+00"}'),
        (DATE, [day(date(1999, 12, 31)), day(date(2400, 2, 29))], "{1999-12-31,2400-02-29}"),
        (UUID, [bytes(16)], "{00000000-0000-0000-0000-000000000000}"),
    ]
    with psycopg.connect(store_url) as connection:
        connection.execute("SET timezone = 'UTC'")
        for oid, items, wanted in given:
            found = connection.pgconn.exec_params(b"SELECT $1::text", [array(oid, items)], [ARRAYS[oid]], [1])
            assert (found.get_value(0, 0) or found.error_message) == wanted.encode()
