"""How people decide: who is too fast to have read, who always agrees with whom, and whose all go one way."""

from __future__ import annotations

import pytest

from obligor.core.conduct import Count, Pace, one_way, pairs, rate


def count(by: str, agreed_by: str | None, number: int, **said: str) -> Count:
    return Count(said, by, agreed_by, number)


@pytest.mark.parametrize(
    ("pace", "hasty"),
    [
        (Pace("Ben", 500, 500, 0.6), True),
        (Pace("Ben", 11, 11, 3600.0), True),
        (Pace("Ben", 10, 10, 30.0), False),
        (Pace("Ben", 10, 10, 29.9), True),
        (Pace("Ben", 9, 9, 0.1), False),
        (Pace("Ben", 5000, 10, 30.0), False),
        (Pace("Ben", 1, 1, None), False),
    ],
)
def test_who_decides_more_than_can_be_read_is_hasty_but_not_of_few(pace: Pace, hasty: bool) -> None:  # noqa: FBT001  a case
    assert pace.hasty is hasty


def test_pairs_are_named_and_those_that_are_always_the_same() -> None:
    counts = (
        count("Ben", "Sue", 3, kind="a"),
        count("Ben", "Ann", 1, kind="a"),
        count("Ben", None, 9, kind="a"),
        count("Cy", "Sue", 2, kind="a"),
        count("Cy", "Sue", 3, kind="b"),
        count("Di", "Sue", 4, kind="a"),
    )
    assert [tuple(it.values()) for it in pairs(counts)] == [
        ("Ben", "Ann", 1, 0.25, False),
        ("Ben", "Sue", 3, 0.75, False),
        ("Cy", "Sue", 5, 1.0, True),
        ("Di", "Sue", 4, 1.0, False),  # too few to say so
    ]


def test_whose_all_go_one_way_is_told_where_those_of_others_do_not() -> None:
    counts = (
        count("Ben", None, 4, outcome="approve", reason="outside"),
        count("Ben", None, 1, outcome="decline", reason="outside"),
        count("Cy", None, 5, outcome="approve", reason="compensating"),
        count("Di", None, 4, outcome="decline", reason="outside"),
    )
    assert list(one_way(counts, ("outcome",), fewest=5)) == [{"by": "Cy", "count": 5, "outcome": "approve"}]
    assert list(one_way(counts, ("outcome",), fewest=6)) == []
    assert [it["by"] for it in one_way(counts, ("outcome", "reason"), fewest=5)] == ["Ben", "Cy", "Cy"]


def test_what_nobodys_should_all_be_is_told_though_everybodys_are() -> None:
    counts = (count("Gil", None, 20, verdict="kept"), count("Hal", None, 19, verdict="kept"))
    assert list(one_way(counts, ("verdict",), fewest=20)) == []
    assert list(one_way(counts, ("verdict",), fewest=20, never_all=("kept",))) == [
        {"by": "Gil", "count": 20, "verdict": "kept"}
    ]


def test_a_rate_of_nothing_is_none() -> None:
    assert (rate(0, 0), rate(1, 3)) == (None, 0.333333)
