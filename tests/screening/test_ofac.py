from __future__ import annotations

import gzip
import re
from datetime import date
from typing import TYPE_CHECKING

import pytest
from tests.screening.lists import EXAMPLE, PUBLISHED, SNAPSHOT

from obligor.core.errors import ScreeningError
from obligor.screening.births import parse_listed
from obligor.screening.lists import Entry, ListedName, ListSnapshot
from obligor.screening.ofac import read_ofac

if TYPE_CHECKING:
    from pathlib import Path

XML = """<?xml version="1.0" standalone="yes"?>
<sdnList xmlns="https://lists.example/SDN">
  <publshInformation><Publish_Date>11/20/2026</Publish_Date><Record_Count>2</Record_Count></publshInformation>
  <sdnEntry><uid>1001</uid><firstName>Oleg Petrovich</firstName><lastName>KORVAND</lastName><sdnType>Individual</sdnType>
    <programList><program>INVENTED-1</program></programList>
    <akaList>
      <aka><uid>1</uid><type>a.k.a.</type><category>strong</category><lastName>KORWANDT</lastName><firstName>Aleg</firstName></aka>
      <aka><uid>2</uid><type>a.k.a.</type><category>weak</category><lastName>EL MARTILLO</lastName></aka>
    </akaList>
    <dateOfBirthList><dateOfBirthItem><uid>3</uid><dateOfBirth>12 Mar 1952</dateOfBirth><mainEntry>true</mainEntry>
    </dateOfBirthItem></dateOfBirthList>
  </sdnEntry>
  <sdnEntry><uid>1005</uid><lastName>OCEAN MARIGOLD</lastName><sdnType>Vessel</sdnType>
    <programList><program>INVENTED-2</program></programList></sdnEntry>
</sdnList>"""


def entry(uid: str, snapshot: ListSnapshot = SNAPSHOT) -> Entry:
    return next(it for it in snapshot.entries if it.id == uid)


def as_xml(folder: Path, text: str = XML) -> Path:
    path = folder / "SDN.XML"
    path.write_text(text, encoding="utf-8")
    return path


def as_csv(folder: Path, **changed: str | None) -> Path:
    for stem in ("sdn", "alt"):
        (folder / f"{stem}.csv").write_bytes((EXAMPLE / f"{stem}.csv").read_bytes())
    for stem, text in changed.items():
        path = folder / f"{stem}.csv"
        path.unlink() if text is None else path.write_text(text, encoding="utf-8", newline="")
    return folder


def test_an_entry_has_its_names_birth_dates_and_programmes() -> None:
    assert entry("1001") == Entry(
        "1001",
        "individual",
        (
            ListedName("KORVAND, Oleg Petrovich", "main"),
            ListedName("KORWANDT, Aleg", "strong"),
            ListedName("EL MARTILLO", "weak"),
        ),
        (parse_listed("12 Mar 1952"),),
        ("INVENTED-1",),
    )
    assert entry("1002").born == (parse_listed("circa 1960"), parse_listed("1963"))
    assert entry("1002").programmes == ("INVENTED-1", "INVENTED-2")
    assert [it.kind for it in SNAPSHOT.entries].count("individual") == 6
    assert (entry("1004").kind, entry("1005").kind) == ("entity", "vessel")


def test_the_same_entry_in_xml_is_the_same_entry(tmp_path: Path) -> None:
    snapshot = read_ofac(as_xml(tmp_path))
    assert snapshot.published == PUBLISHED
    assert entry("1001", snapshot) == entry("1001")
    assert entry("1005", snapshot) == entry("1005")


def test_a_list_has_one_hash_in_whatever_order_and_packing_it_comes(tmp_path: Path) -> None:
    for stem in ("sdn", "alt"):
        lines = (EXAMPLE / f"{stem}.csv").read_bytes().removesuffix(b"\x1a").splitlines(keepends=True)
        (tmp_path / f"{stem}.csv.gz").write_bytes(gzip.compress(b"".join(lines[::-1])))
    assert read_ofac(tmp_path, published=PUBLISHED).sha256 == SNAPSHOT.sha256
    assert read_ofac(tmp_path, published=date(2026, 11, 21)).sha256 != SNAPSHOT.sha256


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("<Record_Count>2<", "<Record_Count>3<", "has 2 entries and says '3'"),
        ("11/20/2026", "20.11.2026", "Publish_Date"),
        (">weak<", ">feeble<", "wanted strong or weak"),
        (">Individual<", ">Person<", "is of type 'person'"),
        ("12 Mar 1952", "in spring", "birth date 'in spring'"),
        ("<uid>1005</uid>", "<uid>1001</uid>", "has the entry '1001' twice"),
        ("<lastName>OCEAN MARIGOLD</lastName>", "", "a name is empty"),
        ("</sdnList>", "", "is no XML"),
        ("sdnList", "otherList", "wanted <sdnList>"),
        ("<sdnList", '<!DOCTYPE a [<!ENTITY b "c">]><sdnList', "declares a document type"),
    ],
)  # fmt: skip
def test_an_xml_list_that_is_not_what_it_should_be_is_refused(tmp_path: Path, was: str, now: str, told: str) -> None:
    with pytest.raises(ScreeningError, match=re.escape(told)):
        read_ofac(as_xml(tmp_path, XML.replace(was, now)))


def test_an_xml_list_says_its_own_day(tmp_path: Path) -> None:
    with pytest.raises(ScreeningError, match="was published on 2026-11-20, not on 2026-11-21"):
        read_ofac(as_xml(tmp_path), published=date(2026, 11, 21))
    path = tmp_path / "other.xml"
    path.write_bytes(XML.encode("utf-16"))
    with pytest.raises(ScreeningError, match=r"^other\.xml: is not UTF-8"):
        read_ofac(path)


@pytest.mark.parametrize("content", [b"<a/>", b"<sdnList>", XML.replace("<uid>1005</uid>", "<uid>1001</uid>").encode()])
def test_an_xml_list_that_is_refused_is_named_as_it_was_given(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.xml"
    path.write_bytes(content)
    with pytest.raises(ScreeningError, match=r"^broken\.xml: (?!list)"):
        read_ofac(path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"alt": None}, "alt.csv: is missing"),
        ({"sdn": "", "alt": ""}, "has no entry"),
        ({"sdn": "1,2,3\r\n"}, "line 1: has 3 fields; wanted 12"),
        ({"sdn": '1,"A","individual"' + ",-0- " * 9 + '\r\n2,"B'}, "line 2: is no CSV"),
        ({"sdn": 'x,"A","individual"' + ",-0- " * 9 + "\r\n"}, "line 1: wanted a number and a name"),
        ({"sdn": '1,"A","robot"' + ",-0- " * 9 + "\r\n"}, "is of type 'robot'"),
        ({"sdn": '1,"A","individual"' + ",-0- " * 8 + ',"DOB long ago."\r\n'}, "birth date 'long ago'"),
        ({"alt": '1001,1,"nick","X",-0- \r\n'}, "an alias of type 'nick'"),
        ({"alt": '77,1,"aka","X",-0- \r\n'}, "1 entries that sdn.csv does not have"),
    ],
)
def test_a_csv_list_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, changed: dict[str, str | None], told: str
) -> None:
    with pytest.raises(ScreeningError, match=re.escape(told)):
        read_ofac(as_csv(tmp_path, **changed))


def test_remarks_go_on_in_the_file_of_comments_and_are_not_guessed_where_they_are_cut(tmp_path: Path) -> None:
    cut = ("DOB 1960; " + "x" * 1000)[:988] + "; DOB 01 Ja"
    row = '1,"A, B","individual"' + ",-0- " * 8 + f',"{cut:y<1000}"\r\n'
    folder = as_csv(tmp_path, sdn=row, alt="")
    assert read_ofac(folder).entries[0].born == (parse_listed("1960"),)
    whole = row.replace("y", "")
    folder = as_csv(tmp_path, sdn=whole, alt="", sdn_comments="1,\"n 1970; a.k.a. 'THE CAT'.\"\r\n")
    found = read_ofac(folder).entries[0]
    assert found.born == (parse_listed("1960"), parse_listed("01 Jan 1970"))
    assert found.names[-1] == ListedName("THE CAT", "weak")


def test_a_list_in_capitals_or_in_the_code_page_of_windows_is_read(tmp_path: Path) -> None:
    for stem in ("sdn", "alt"):
        text = (EXAMPLE / f"{stem}.csv").read_text(encoding="utf-8").replace("Oleg", "Olég")
        (tmp_path / f"{stem.upper()}.CSV").write_bytes(text.encode("cp1252"))
    assert entry("1001", read_ofac(tmp_path)).names[0].text == "KORVAND, Olég Petrovich"
    (tmp_path / "ALT.CSV").write_bytes(b"\x81\x8d")
    with pytest.raises(ScreeningError, match=r"ALT\.CSV: is no text"):
        read_ofac(tmp_path)


def test_a_list_that_is_not_there_or_is_not_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("x")
    (tmp_path / "sdn.csv.gz").write_bytes(b"\x1f\x8b broken")
    for path, told in (
        (tmp_path / "absent", "there is no such file"),
        (tmp_path / "list.txt", "wanted SDN.XML"),
        (tmp_path / "sdn.csv.gz", "is missing|cannot be read"),
        (EXAMPLE.parent, "holds 0 lists"),
    ):
        with pytest.raises(ScreeningError, match=told):
            read_ofac(path)


def test_the_real_list_is_read_to_its_last_entry(datasets: Path) -> None:
    snapshot = read_ofac(datasets / "ofac_sdn_2021")
    names = [name for it in snapshot.entries for name in it.names]
    assert (len(snapshot.entries), len(names), sum(name.strength == "weak" for name in names)) == (8890, 23040, 2414)
    assert sum(bool(it.born) for it in snapshot.entries) == 4371
