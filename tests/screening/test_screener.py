"""Whom a screening finds on a list of invented names, and whom it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.screening.lists import PUBLISHED, SNAPSHOT, TODAY

from obligor.core.errors import ScreeningError
from obligor.screening.births import parse_born
from obligor.screening.lists import ListedName, ListSnapshot
from obligor.screening.matching import ALGORITHM, Matcher
from obligor.screening.names import name_parts
from obligor.screening.rules import Rules
from obligor.screening.screener import Screener, Screening

SCREENER = Screener.of(SNAPSHOT)
FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) if letter != " " else "\u3000" for letter in "Oleg Petrovich Korvand")
HITS = [
    # as listed, in another order, and in other signs
    ("Oleg Petrovich Korvand", None, "1001", 1.0),
    ("KORVAND, OLEG PETROVICH", None, "1001", 1.0),
    ("korvand-oleg.petrovich", None, "1001", 1.0),
    (FULL_WIDTH, None, "1001", 1.0),  # full width
    ("Oleg Petro\u200bvich K\u202eorvand", None, "1001", 1.0),  # unseen characters
    ("O\u0301l\u0308e\u0301g Petrovich Korva\u0300\u0301\u0302nd", None, "1001", 1.0),  # combining marks
    ("Oleg Petrovich K\u043erv\u0430nd", None, "1001", 1.0),  # Cyrillic letters in a Latin word
    ("Oleg Petrovich \u039a\u03bfrvand", None, "1001", 1.0),  # Greek ones
    ("KorvandOleg Petrovich", None, "1001", 1.0),  # a space that is missing
    # transliterated
    ("Олег Петрович Корванд", None, "1001", 1.0),
    ("Сергей Ильич Фёдоров", None, "1007", 0.9474),
    ("María Inés Durand Velazco", None, "1008", 1.0),
    # one letter: left out, doubled, exchanged with its neighbour, another
    ("Oleg Petrovich Korvan", None, "1001", 0.9524),
    ("Oleg Petrovich Korrvand", None, "1001", 0.9583),
    ("Oleg Petrovich Krovand", None, "1001", 0.9524),
    ("Oleg Petrovich Kormand", None, "1001", 0.9524),
    # parts left out, and initials
    ("Oleg Korvand", None, "1001", 0.9091),
    ("O. P. Korvand", "1952-03-12", "1001", 0.9267),
    ("Maria Ines Durand", None, "1008", 0.9375),
    # aliases: strong by themselves, weak with the birth date, or as the whole name
    ("Aleg Korwandt", None, "1001", 1.0),
    ("El Martillo", None, "1001", 0.9),
    ("Seryoga", "1970-09-05", "1007", 0.96),
    # birth dates
    ("Oleg Korvnad", "1952-03-12", "1001", 0.9042),
    ("Oleg Petrovich Korvand", "1952-12-03", "1001", 1.0),  # day and month exchanged
    ("Thandolwethu Mbekwane", "1982-01-31", "1006", 1.0),  # inside the range
    ("Oleg Petrovich Korvand", "1988-01-01", "1001", 0.92),  # the same name alone is enough
    # companies, whatever their legal form
    ("Zenith Harbour Trading", None, "1004", 0.978),
    ("ZENITH HARBOUR TRADING LLC", None, "1004", 0.9519),
    ("Harbor Star Logistics", None, "1004", 0.9459),
    # short names
    ("Bo Li", None, "1003", 1.0),
    ("Bo Li", "1975-05-05", "1003", 1.0),
]
CLEAR = [
    ("Jane Example", None),
    ("Petrovich", None),  # a part alone
    ("Korvand", None),
    ("Oleg", None),
    ("Oleg Ivanovich Sidorenko", None),
    ("Ba Li", None),  # one letter of a short name
    ("Bo", None),
    ("Bo Lin", None),
    ("Yu Bo Lian", None),
    ("Seryoga Baker", "1990-01-01"),
    ("El Martillo", "1990-03-12"),  # a weak alias, and another birth date
    ("Trading Co Ltd", None),
    ("Harbour Trading Company Limited", None),
    ("Ocean Marigold", None),  # a ship
    ("1952 03 12", None),
    ("z" * 350, None),
]


def screen(name: str, born: str | None = None, screener: Screener = SCREENER) -> Screening:
    return screener.screen(name, parse_born(born) if born else None, today=TODAY)


@pytest.mark.parametrize(("name", "born", "entry", "score"), HITS, ids=ascii)
def test_an_applicant_on_the_list_is_a_hit(name: str, born: str | None, entry: str, score: float) -> None:
    found = screen(name, born).hits
    assert [(hit.entry, hit.score) for hit in found] == [(entry, score)]


@pytest.mark.parametrize(("name", "born"), CLEAR, ids=ascii)
def test_an_applicant_who_is_not_on_the_list_is_no_hit(name: str, born: str | None) -> None:
    assert screen(name, born).hits == ()


@pytest.mark.parametrize("name", ["", "   ", "\u200b\u202e", "---", "🙂🙂", "\ud800", "\x00", "\u0301" * 40], ids=ascii)
def test_a_name_of_which_nothing_can_be_compared_is_refused(name: str) -> None:
    with pytest.raises(ScreeningError, match="holds no letter or digit"):
        screen(name)


@pytest.mark.parametrize(("name", "told"), [("Korvand " * 1250, "10000 characters"), ("K " * 25, "25 parts")])
def test_a_name_that_is_longer_than_a_name_can_be_is_refused_and_not_repeated(name: str, told: str) -> None:
    with pytest.raises(ScreeningError, match=told) as caught:
        screen(name)
    assert "Korvand" not in str(caught.value)


def test_a_hit_says_which_name_matched_and_why() -> None:
    (hit,) = screen("Aleg Korvandt", "1952-03-12").hits
    assert (hit.entry, hit.kind, hit.name.text, hit.name.strength) == ("1001", "individual", "KORWANDT, Aleg", "strong")
    assert [tuple(pair) for pair in hit.pairs] == [("aleg", "aleg", 1.0), ("korvandt", "korwandt", 0.875)]
    assert (hit.born, hit.by_birth, hit.by_strength, hit.programmes) == ("exact", 0.06, 0.0, ("INVENTED-1",))
    assert hit.score == pytest.approx(hit.by_name + hit.by_birth + hit.by_strength, abs=1e-4)


def test_a_screening_names_the_list_the_algorithm_and_the_rules() -> None:
    found = screen("Jane Example")
    assert found.snapshot_sha256 == SNAPSHOT.sha256
    assert found.algorithm == ALGORITHM
    assert found.config_sha256 == Rules().sha256 != replace(Rules(), threshold=0.9).sha256
    assert not found.stale


def test_a_list_is_stale_when_it_is_too_old_or_of_no_known_day() -> None:
    def stale(on: date | None, today: date) -> bool:
        screener = Screener.of(replace(SNAPSHOT, published=on), max_age=timedelta(days=10))
        return screener.screen("Jane Example", today=today).stale

    assert not stale(PUBLISHED, PUBLISHED + timedelta(days=10))
    assert stale(PUBLISHED, PUBLISHED + timedelta(days=11))
    assert stale(PUBLISHED, PUBLISHED - timedelta(days=1))
    assert stale(None, TODAY)


def test_a_list_can_be_relied_on_until_the_end_of_the_last_day_on_which_it_is_not_stale() -> None:
    about, age = Screener.of(SNAPSHOT).about, timedelta(days=10)
    midnight = datetime.combine(PUBLISHED, time(), tzinfo=UTC)
    assert about.left(midnight, max_age=age) == timedelta(days=11)
    assert about.left(midnight + timedelta(days=11, seconds=-1), max_age=age) == timedelta(seconds=1)
    for at in (midnight + timedelta(days=11), midnight - timedelta(seconds=1)):
        assert about.left(at, max_age=age) == timedelta(0)
    assert replace(about, published=None).left(midnight, max_age=age) == timedelta(0)


def test_two_hits_with_the_same_score_stand_in_the_order_of_their_ids() -> None:
    twins = [replace(SNAPSHOT.entries[0], id=uid) for uid in ("9", "30", "200", "1")]
    for order in (twins, twins[::-1]):
        screener = Screener.of(ListSnapshot("invented", PUBLISHED, tuple(order)))
        assert [hit.entry for hit in screen("Oleg Petrovich Korvand", None, screener).hits] == ["1", "200", "30", "9"]


def test_what_was_found_once_is_remembered_by_parts_and_birth_date() -> None:
    screener = Screener.of(SNAPSHOT)
    first = screen("Oleg Korvand", "1952-03-12", screener).hits
    assert screen("OLEG, Korvand", "1952-03-12", screener).hits is first
    assert screen("Oleg Korvand", None, screener).hits is not first


@given(st.permutations(["Yusuf", "Abdulrahman", "Bin", "Rashid", "AL-QARNIDI"]))
def test_the_order_of_parts_plays_no_role(parts: list[str]) -> None:
    (hit,) = screen(" ".join(parts)).hits
    assert (hit.entry, hit.by_name) == ("1002", 1.0)


@given(st.text(max_size=60))
def test_any_text_is_screened_or_refused(name: str) -> None:
    try:
        found = screen(name)
    except ScreeningError:
        return
    assert all(0.86 <= hit.score <= 1 for hit in found.hits)


@given(st.sampled_from([name for entry in SNAPSHOT.entries[:4] for name in entry.names]), st.data())
def test_the_index_finds_what_comparing_with_every_name_finds(name: ListedName, data: st.DataObject) -> None:
    text = list(name.text)
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz "))
    matcher, parts = Matcher.of(SNAPSHOT), name_parts("".join(text))
    assert matcher.hits(parts, None) == matcher.hits_among_all(parts, None)


def test_a_list_with_an_entry_that_nobody_could_match_is_refused() -> None:
    mute = replace(SNAPSHOT.entries[0], id="77", names=(ListedName("***", "main"),))
    with pytest.raises(ScreeningError, match="the entry '77' has no name that could be compared"):
        Screener.of(replace(SNAPSHOT, entries=(*SNAPSHOT.entries, mute)))
    ships = tuple(it for it in SNAPSHOT.entries if it.kind == "vessel")
    with pytest.raises(ScreeningError, match="has no name of the kinds individual, entity"):
        Screener.of(replace(SNAPSHOT, entries=ships))


def test_nonsense_for_a_threshold_is_refused() -> None:
    for threshold in (0.0, -1.0, 1.01, float("nan")):
        with pytest.raises(ScreeningError, match="threshold"):
            Rules(threshold=threshold)
