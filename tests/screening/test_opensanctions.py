"""Lists in the simple CSV of OpenSanctions, and what a list says of its kind."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from tests.screening.lists import SNAPSHOT

from obligor.bootstrap.screening import read_list
from obligor.core.errors import ScreeningError
from obligor.screening import files
from obligor.screening.births import BirthDate
from obligor.screening.lists import ListedName, parse_list
from obligor.screening.opensanctions import is_opensanctions

PEPS = Path("configs/lists/peps.csv")
HEADER = "id,schema,name,aliases,birth_date,program_ids,dataset\n"
DAY = date(2026, 11, 24)


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "targets.simple.csv"
    path.write_text(header + "".join(f"{it}\n" for it in lines), encoding="utf-8")
    return path


def test_a_list_is_read_with_its_names_births_and_registers() -> None:
    found = read_list(PEPS, kind="pep", published=DAY)
    assert (found.kind, found.source, found.published, len(found.entries)) == ("pep", "OpenSanctions", DAY, 3)
    first, _, last = found.entries
    assert first.names == (
        ListedName("Ottilie Marchetti-Vance", "main"),
        ListedName("Ottilie Vance", "strong"),
        ListedName("Оттилия Ванс", "strong"),
    )
    assert first.born == (BirthDate.on(date(1961, 7, 19)),)
    assert last.born == (
        BirthDate(date(1975, 2, 1), date(1975, 2, 28)),
        BirthDate(date(1976, 1, 1), date(1976, 12, 31)),
    )
    assert last.programmes == ("Invented Register of Ministers", "Invented Register of Mayors")


def test_kinds_programmes_and_what_stands_twice_are_read_as_they_are_meant(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'a,Person,Ann Example,"Ann Example;A. Example;A. Example",,EU-1;UK-2,Register',
        "b,Company,Example Ltd,,,,Register",
        "c,Vessel,MV Example,,,,Register",
        "d,Airplane,EX-1,,,,Register",
        "e,LegalEntity,Eve Example,,,,Register",
    )
    found = read_list(path, kind="sanctions", published=DAY)
    assert [it.kind for it in found.entries] == ["individual", "entity", "vessel", "aircraft", "individual"]
    assert [it.text for it in found.entries[0].names] == ["Ann Example", "A. Example"]
    assert [it.programmes for it in found.entries[:2]] == [("EU-1", "UK-2"), ("Register",)]


def test_a_packed_file_and_one_with_a_mark_are_read_as_plain_ones_are(tmp_path: Path) -> None:
    plain = written(tmp_path, "a,Person,Ann Example,,1970-01-31,,Register")
    packed, marked = tmp_path / "peps.csv.gz", tmp_path / "marked.csv"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert len({read_list(it, kind="pep", published=DAY).sha256 for it in (plain, packed, marked)}) == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,Person,,,,,"], "line 2: wanted an id and a name"),
        ([",Person,Ann,,,,"], "line 2: wanted an id and a name"),
        (["a,Person,Ann,,31/01/1970,,"], "line 2: birth_date: wanted one such as"),
        (["a,Person,Ann,,,,", "b,Person,Bob"], "line 3: wanted as many fields as the header has"),
        (["a,Person,Ann,,,,,,"], "line 2: wanted as many fields as the header has"),
        (["a,Person,Ann,,,,", "a,Person,Bob,,,,"], "has the entry 'a' twice"),
        (['a,Person,"Ann,,,,'], "is no CSV"),
        ([], "has no entry"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_by_its_line(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(ScreeningError, match=rf"^targets\.simple\.csv: .*{said}"):
        read_list(written(tmp_path, *lines), kind="pep", published=DAY)


def test_a_file_without_a_column_or_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScreeningError, match="has no column 'name'"):
        read_list(written(tmp_path, "a,Person", header="id,schema\n"), kind="pep", published=DAY)
    path = tmp_path / "latin.csv"
    path.write_bytes(HEADER.encode() + "a,Person,Ann É,,,,\n".encode("latin-1"))
    with pytest.raises(ScreeningError, match="is not UTF-8"):
        read_list(path, kind="pep", published=DAY)


def test_a_list_that_does_not_say_its_kind_is_taken_for_none_and_one_of_ofac_is_of_sanctions(tmp_path: Path) -> None:
    with pytest.raises(ScreeningError, match=r"^peps\.csv: does not say of which kind it is"):
        read_list(PEPS, kind=None, published=DAY)
    assert read_list(Path("configs/lists/example"), kind=None, published=DAY).kind == "sanctions"
    with pytest.raises(ScreeningError, match=r"gone\.csv: there is no such file or folder"):
        read_list(tmp_path / "gone.csv", kind="pep", published=DAY)


def test_a_list_of_ofac_is_of_no_politically_exposed_persons() -> None:
    with pytest.raises(ScreeningError, match="a list of OFAC is of sanctions"):
        read_list(Path("configs/lists/example"), kind="pep", published=DAY)


def test_the_kind_is_of_the_hash_and_one_of_sanctions_keeps_that_of_before() -> None:
    peps = replace(SNAPSHOT, kind="pep")
    assert b'"kind":"pep"' in peps.to_json()
    assert peps.sha256 != SNAPSHOT.sha256
    assert parse_list(peps.to_json()) == peps
    assert parse_list(SNAPSHOT.to_json()).kind == "sanctions"
    entries, _, rest = SNAPSHOT.to_json().partition(b"]}],")
    with pytest.raises(ScreeningError, match="is not the canonical form"):
        parse_list(entries + b']}],"kind":"sanctions",' + rest)


def test_a_file_that_is_too_large_is_refused_with_what_it_may_have_and_its_form_is_told_by_how_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, *(f"P{at},Person,Jane Example,,,," for at in range(60_000)))
    packed = path.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(files, "_MOST_BYTES", 1 << 20)
    for it in (path, packed):
        assert is_opensanctions(it)
        with pytest.raises(ScreeningError, match=f"{it.name}: has more than 1 MiB; wanted at most so many"):
            read_list(it, kind="pep", published=DAY)
