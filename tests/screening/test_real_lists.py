"""On the real list of OFAC, and the data set of opensanctions/yente: what the reference says of recall and mistakes."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING

import pytest

from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate, parse_born
from obligor.screening.lists import Entry, ListedName, ListSnapshot
from obligor.screening.matching import Matcher
from obligor.screening.names import spell
from obligor.screening.ofac import read_ofac

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, str]


def read(datasets: Path, name: str) -> list[Row]:
    with gzip.open(datasets / "name_screening_yente" / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def born(row: Row) -> BirthDate | None:
    try:
        return parse_born(row["date_of_birth"])
    except ScreeningError:
        return None


@pytest.fixture(scope="module")
def matcher(datasets: Path) -> Matcher:
    united_nations = [
        Entry(f"un-{at}", "individual", (ListedName(row["full_name"], "main"),), tuple(filter(None, [born(row)])))
        for at, row in enumerate(read(datasets, "positives_un_untreated"))
    ]
    return Matcher.of(ListSnapshot("both", None, (*read_ofac(datasets / "ofac_sdn_2021").entries, *united_nations)))


def test_of_listed_persons_with_typing_errors_99_of_100_are_found(matcher: Matcher, datasets: Path) -> None:
    treated = read(datasets, "positives_un_treated")
    found = [
        any(hit.entry == f"un-{at}" for hit in matcher.hits(spell(row["full_name"]), born(row)))
        for at, row in enumerate(treated)
    ]
    assert sum(found) >= 0.99 * len(treated)


def test_of_made_up_people_at_most_2_of_1000_are_mistaken(matcher: Matcher, datasets: Path) -> None:
    made_up = [row for name in ("negatives_us", "negatives_global") for row in read(datasets, name)[::100]]
    mistaken = [row for row in made_up if matcher.hits(spell(row["full_name"]), born(row))]
    assert len(mistaken) <= 0.002 * len(made_up)


def test_the_index_loses_nobody_whom_comparing_with_every_name_finds(matcher: Matcher, datasets: Path) -> None:
    for row in read(datasets, "positives_un_treated")[::40]:
        parts = spell(row["full_name"])
        assert matcher.hits(parts, None) == matcher.hits_among_all(parts, None)
