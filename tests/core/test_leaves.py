"""A leaf has one form, commits to its record, and tells nothing of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import AuditError
from obligor.core.leaves import Leaf, actor, commitment, is_committed, parse_leaf, parse_time, time_text

AT = datetime(2026, 11, 26, 19, 40, 0, 123456, tzinfo=UTC)
SALT = bytes(range(16))
LEAF = Leaf(at=AT, by="client:acme", kind="decision", subject="4f0c", commitment=commitment(b"{}", SALT))

printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
times = st.datetimes(timezones=st.just(UTC))


@given(times, printable, printable, st.sampled_from(["decision", "outcome", "key.created"]), st.binary(max_size=40))
def test_a_leaf_reads_back_as_it_was_written(at: datetime, who: str, subject: str, kind: str, record: bytes) -> None:
    leaf = Leaf(at=at, by=f"person:{who}", kind=kind, subject=subject, commitment=commitment(record, SALT))
    assert parse_leaf(leaf.body()) == leaf


def test_the_form_of_a_leaf_is_fixed() -> None:
    assert LEAF.body() == (
        b'{"at":"2026-11-26T19:40:00.123456Z","by":"client:acme",'
        b'"commitment":"'
        + LEAF.commitment.encode()
        + b'","kind":"decision","schema":"obligor/leaf/1","subject":"4f0c"}'
    )


def test_a_record_is_committed_to_by_hmac_under_its_salt() -> None:
    assert commitment(b"record", SALT) == hmac.new(SALT, b"record", hashlib.sha256).hexdigest()
    assert is_committed(LEAF, record=b"{}", salt=SALT)
    assert not is_committed(LEAF, record=b"{ }", salt=SALT)
    assert not is_committed(LEAF, record=b"{}", salt=SALT[:8])
    with pytest.raises(AuditError, match="a salt of 8 bytes; wanted 16"):
        commitment(b"record", SALT[:8])


def test_a_client_acts_as_a_client_and_a_person_as_themselves() -> None:
    assert [actor("acme"), actor("person:ada"), actor("personal")] == ["client:acme", "person:ada", "client:personal"]


def test_a_leaf_may_be_as_long_as_a_leaf_may_be() -> None:
    body = LEAF.body()
    long = body[:-2] + b"a" * (4096 - len(body)) + body[-2:]
    for longer, why in ((long, "a leaf's subject"), (long[:-2] + b"a" + long[-2:], "4097 bytes are more than 4096")):
        with pytest.raises(AuditError, match=why):
            parse_leaf(longer)


@given(printable, printable, st.integers(1, 59))
def test_moving_letters_over_the_edge_of_a_field_gives_another_leaf(first: str, second: str, at: int) -> None:
    """The actor "ab" on subject "c" is not the actor "a" on subject "bc"."""
    joined = first + second
    moved = joined[: at % len(joined)] or joined[:1], joined[at % len(joined) :] or joined[-1:]
    one = Leaf(at=AT, by=f"person:{first}", kind="decision", subject=second, commitment=LEAF.commitment)
    other = Leaf(at=AT, by=f"person:{moved[0]}", kind="decision", subject=moved[1], commitment=LEAF.commitment)
    assert (one.body() == other.body()) == ((first, second) == moved)


def test_actor_and_subject_do_not_run_into_each_other() -> None:
    one = Leaf(at=AT, by="person:ab", kind="decision", subject="c", commitment=LEAF.commitment)
    other = Leaf(at=AT, by="person:a", kind="decision", subject="bc", commitment=LEAF.commitment)
    assert one.body() != other.body()


SAID = json.loads(LEAF.body())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (json.dumps(SAID).encode(), "canonical form"),
        (LEAF.body() + b"\n", "canonical form"),
        (LEAF.body().replace(b"acme", b"\\u0061cme"), "canonical form"),
        (LEAF.body().replace(b'"by"', b'"at":"x","by"'), "'at' stands twice"),
        (json.dumps(SAID | {"score": 612.5}).encode(), "and nothing else"),
        (json.dumps(SAID | {"subject": 7}).encode(), "wanted an object of the texts"),
        (json.dumps(SAID | {"schema": "obligor/leaf/2"}).encode(), "schema is unknown"),
        (json.dumps(SAID | {"by": "root"}).encode(), "a leaf's by"),
        (json.dumps(SAID | {"kind": "Decision"}).encode(), "a leaf's kind"),
        (json.dumps(SAID | {"subject": "a\nb"}).encode(), "a leaf's subject"),
        (json.dumps(SAID | {"subject": "\ud800"}).encode(), "half of a character"),
        (json.dumps(SAID | {"commitment": "AB" * 32}).encode(), "a leaf's commitment"),
        (json.dumps(SAID | {"at": "2026-11-26T19:40:00Z"}).encode(), "a time"),
        (json.dumps(SAID | {"at": "2026-02-30T19:40:00.000000Z"}).encode(), "no such day"),
        (b"[]", "wanted an object"),
        (b"\xff", "is not JSON"),
        (b" " * 5000, "5000 bytes are more than 4096"),
    ],
)
def test_a_leaf_in_another_form_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(AuditError, match=why):
        parse_leaf(body)


@given(times)
def test_times_are_written_to_the_microsecond_and_sort_as_text(at: datetime) -> None:
    assert parse_time(time_text(at)) == at
    assert len(time_text(at)) == 27


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    assert time_text(AT.astimezone(timezone(timedelta(hours=2)))) == "2026-11-26T19:40:00.123456Z"
    for other in (AT.replace(tzinfo=None), AT.astimezone(timezone(timedelta(hours=2)))):
        with pytest.raises(AuditError, match="wanted a time in UTC"):
            replace(LEAF, at=other)
