from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate, agreement, parse_born, parse_listed


@pytest.mark.parametrize(
    ("text", "first", "last", "about"),
    [
        ("12 Mar 1952", (1952, 3, 12), (1952, 3, 12), False),
        ("Feb 1956", (1956, 2, 1), (1956, 2, 29), False),
        ("1952", (1952, 1, 1), (1952, 12, 31), False),
        ("circa 1952", (1952, 1, 1), (1952, 12, 31), True),
        ("circa 12 Mar 1952", (1952, 3, 12), (1952, 3, 12), True),
        ("1952 to 1954", (1952, 1, 1), (1954, 12, 31), False),
        ("circa 1952-1953", (1952, 1, 1), (1953, 12, 31), True),
        ("04 Jul 1981 to 09 Aug 1982", (1981, 7, 4), (1982, 8, 9), False),
    ],
)
def test_a_birth_date_of_a_list_is_the_days_it_may_mean(
    text: str,
    first: tuple[int, int, int],
    last: tuple[int, int, int],
    about: bool,  # noqa: FBT001
) -> None:
    assert parse_listed(text) == BirthDate(date(*first), date(*last), about)


@pytest.mark.parametrize(
    "text", ["", "31 Feb 1952", "about 1952", "1952 to", "1954 to 1952", "12.3.1952", "1 to 2 to 3"]
)
def test_a_birth_date_that_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(ScreeningError, match="birth date"):
        parse_listed(text)


@pytest.mark.parametrize(
    "text",
    ["", "1970-1-1", "1970-13-01", "01/02/1970", "70", "\uff11\uff19\uff17\uff10", "1970-01-01T00:00"],
    ids=ascii,
)
def test_a_birth_date_of_an_applicant_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ScreeningError, match="wanted one such as") as caught:
        parse_born(text)
    assert str(caught.value) == "born: is no date; wanted one such as 1970-01-31, 1970-01 or 1970"


@pytest.mark.parametrize(
    ("born", "listed", "said"),
    [
        ("1952-03-12", ["12 Mar 1952"], "exact"),
        ("1952-12-03", ["12 Mar 1952"], "swapped"),
        ("1952-03-13", ["12 Mar 1952"], "near"),
        ("1953-03-12", ["12 Mar 1952"], "near"),
        ("1954-03-12", ["12 Mar 1952"], "different"),
        ("1952", ["12 Mar 1952"], "compatible"),
        ("1952-07-01", ["1952"], "compatible"),
        ("1953-07-01", ["1952"], "near"),
        ("1954-07-01", ["circa 1952"], "compatible"),
        ("1956-07-01", ["circa 1952"], "different"),
        ("1982-01-01", ["04 Jul 1981 to 09 Aug 1982"], "compatible"),
        ("1970-01-01", ["12 Mar 1952", "01 Jan 1970"], "exact"),
        ("1970-01-01", [], "unknown"),
    ],
)
def test_the_birth_date_that_agrees_best_counts(born: str, listed: list[str], said: str) -> None:
    assert agreement(parse_born(born), tuple(map(parse_listed, listed))) == said


def test_an_applicant_without_a_birth_date_is_neither_confirmed_nor_cleared() -> None:
    assert agreement(None, (parse_listed("1952"),)) == "unknown"


@given(st.dates(date(1900, 1, 1), date(2020, 12, 31)))
def test_a_day_agrees_with_itself_however_it_is_written(day: date) -> None:
    assert parse_born(day.isoformat()) == parse_listed(day.strftime("%d %b %Y")) == BirthDate.on(day)
