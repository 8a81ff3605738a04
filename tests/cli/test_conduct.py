"""Reports of `obligor` name who decides too fast, always alike, or always as the same two: on reviews, proposals and alerts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.stores import as_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

ACTS = """
    INSERT INTO obligor.review_decision (review_id, leaf_index, verdict, outcome, decided_at, by)
    SELECT gen_random_uuid(), n, 'kept', 'decline', timestamptz '2026-11-02 09:00Z' + n * interval '0.6 seconds', 'Gil'
    FROM generate_series(1, 500) AS n
    UNION ALL SELECT gen_random_uuid(), 1000 + n, CASE n % 3 WHEN 0 THEN 'changed' ELSE 'kept' END, 'decline',
        timestamptz '2026-11-03 09:00Z' + n * interval '10 minutes', 'Hal' FROM generate_series(1, 30) AS n;
    INSERT INTO obligor.proposal (proposal_id, step, kind, said, because, proposed_by, expires_at, at, by, leaf_index)
    SELECT 'p' || n, step, 'key.created', n::text, '', maker, 'infinity',
        timestamptz '2026-11-02 09:00Z' + n * interval '1 hour',
        CASE step WHEN 'proposed' THEN maker ELSE checker END, 2000 + 2 * n + (step = 'agreed')::int
    FROM unnest(ARRAY['proposed', 'agreed']) AS step, (
        SELECT n, CASE WHEN n <= 6 THEN 'ada' ELSE 'ben' END AS maker, CASE WHEN n = 9 THEN 'cy' ELSE 'grace' END AS checker
        FROM generate_series(1, 12) AS n
    ) AS pairs;
    INSERT INTO obligor.user_role VALUES ('ada', 'admin', 'granted', 'ada', 'ada', '2026-11-01Z', 3000),
        ('eve', 'auditor', 'granted', 'ada', 'grace', '2026-11-01Z', 3001),
        ('eve', 'operator', 'proposed', 'ada', 'ada', '2026-11-01Z', 3002);
    INSERT INTO obligor.profile_change VALUES ('c', 'proposed', 3003, '', '', '', '2026-11-01Z', 'ben'),
        ('c', 'approved', 3004, '', '', '', '2026-11-01Z', 'cy');
    INSERT INTO obligor.alert_step (alert_id, step, because, until, at, by, leaf_index, finding)
    SELECT gen_random_uuid(), 'cleared', '', 'infinity', timestamptz '2026-11-02 09:00Z' + n * interval '2 seconds', 'Amy',
        4000 + n, NULL
    FROM generate_series(1, 40) AS n;
    INSERT INTO obligor.alert_step VALUES (gen_random_uuid(), 'confirmed', '', NULL, '2026-11-05Z', 'Bea', 5000, NULL);
    WITH alert AS (SELECT gen_random_uuid() AS id, n FROM generate_series(1, 5) AS n)
    INSERT INTO obligor.alert_step SELECT id, step, '', 'infinity', timestamptz '2026-11-06Z' + n * interval '1 hour',
        CASE step WHEN 'cleared' THEN 'Dee' ELSE 'Bea' END, 6000 + 2 * n + (step = 'cleared')::int, 'due_diligence'
    FROM alert, unnest(ARRAY['examined', 'cleared']) AS step;
"""


@pytest.fixture
def report(call: Call, url: str) -> Callable[..., dict[str, Any]]:
    """A report on a store in which people did what they should not."""
    assert call("Rose", "releases", "list")[0] == 0  # makes the tables
    with psycopg.connect(as_owner(url)) as connection:
        connection.execute(ACTS)

    def told(*command: str) -> dict[str, Any]:
        code, out, err = call("Rose", *command, "--json")
        assert (code, err) == (0, ""), err
        found: dict[str, Any] = json.loads(out)
        return found

    return told


def test_a_reviewer_of_500_cases_in_five_minutes_who_always_upholds_is_named_and_one_who_reads_is_not(
    call: Call, report: Callable[..., dict[str, Any]]
) -> None:
    told = report("reviews", "report")
    assert (told["reviews"], told["by"]["Gil"]["count"], told["verdict"]["changed"]["count"]) == (530, 500, 10)
    assert told["hasty"] == [{"by": "Gil", "number": 500, "most_in_window": 500, "median_gap_s": 0.6}]
    assert told["one_way"] == [{"by": "Gil", "count": 500, "verdict": "kept"}]
    assert call("Rose", "reviews", "report")[1].splitlines()[-2:] == [
        "all 500 by Gil go one way: verdict kept",
        "faster than anybody reads, Gil: 500, up to 500 in five minutes, usually 0.6 seconds apart",
    ]
    later = report("reviews", "report", "--from", "2026-11-03")
    assert (later["reviews"], later["hasty"], later["one_way"]) == (30, [], [])
    assert report("reviews", "report", "--to", "2026-11-02")["reviews"] == 0


def test_a_maker_and_a_checker_who_are_always_the_same_are_named_whatever_they_proposed(
    call: Call, report: Callable[..., dict[str, Any]]
) -> None:
    told = report("proposals", "report")
    assert {name: it["count"] for name, it in told["kind"].items()} == {
        "key.created": 12,
        "profile.approved": 1,
        "role.granted": 1,
    }
    assert [tuple(it.values()) for it in told["pairs"]] == [
        ("ada", "grace", 7, 1.0, True),
        ("ben", "cy", 2, 0.285714, False),
        ("ben", "grace", 5, 0.714286, False),
    ]
    assert told["hasty"] == []
    assert (
        "by ada, grace agreed: 7 (100.00%) of what anybody agreed to  ALWAYS THE SAME TWO"
        in (call("Rose", "proposals", "report")[1])
    )


def test_who_clears_alerts_too_fast_is_named_and_who_always_approves_the_same_persons(
    report: Callable[..., dict[str, Any]],
) -> None:
    told = report("alerts", "handled")
    assert {name: it["count"] for name, it in told["step"].items()} == {"cleared": 45, "confirmed": 1, "examined": 5}
    assert told["hasty"] == [{"by": "Amy", "number": 40, "most_in_window": 40, "median_gap_s": 2.0}]
    assert [tuple(it.values()) for it in told["pairs"]] == [("Bea", "Dee", 5, 1.0, True)]
    assert told["one_way"] == []
