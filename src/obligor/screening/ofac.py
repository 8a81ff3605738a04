"""Reads lists in the formats of OFAC: SDN.XML, and the CSV trio SDN, ALT and ADD.

The CSV files have no header; ``-0-`` is null, and the files may end with a byte 0x1A. Birth dates and weak aliases stand in the
remarks of SDN.CSV (``DOB 12 Mar 1952; alt. DOB 1953; a.k.a. 'ABU X'``), other aliases in ALT.CSV. Remarks longer than 1,000
characters go on in SDN_COMMENTS.CSV, which is read where it is there. Addresses are not compared, and not read.
(OFAC, "Specially Designated Nationals and Blocked Persons: Data Specification", updated 25 September 2023.)
"""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, cast
from xml.etree import ElementTree as ET

from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate, parse_listed
from obligor.screening.files import content
from obligor.screening.lists import KINDS, Entry, ListedName, ListSnapshot, Strength

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SOURCE: Final = "OFAC SDN"
_NULL: Final = "-0-"
_ALIASES: Final = {"aka", "fka", "nka"}
_REMARK_BORN: Final = re.compile(r"(?:^|;\s*)(?:alt\.\s+)?DOB\s+([^;]+?)\.?\s*(?=;|$)")
_REMARK_WEAK: Final = re.compile(r"(?:^|;\s*)(?:alt\.\s+)?[afn]\.k\.a\.\s+'([^;]+?)'\s*\.?\s*(?=;|$)")
_CUT: Final = 1000
"""Characters after which remarks go on in SDN_COMMENTS.CSV."""
_WIDTHS: Final = {"sdn": 12, "alt": 5, "sdn_comments": 2}


def read_ofac(path: Path, *, published: date | None = None) -> ListSnapshot:
    """Read a list from an SDN.XML, from SDN.CSV with its companions beside it, or from a folder that holds either.

    Parameters
    ----------
    published
        The day of the list; an XML file says its own, and another day is refused.

    Raises
    ------
    ScreeningError
        Where a file is missing, malformed, cut off, or says something that cannot be understood.
    """
    main = _main_file(path)
    if _stem(main)[1] == "xml":
        data = content(main)
        try:
            return _from_xml(data, published)
        except ScreeningError as error:
            raise ScreeningError(f"{main.name}: {error.message.removeprefix('list: ')}", hint=error.hint) from error
    return _from_csv(main, published)


def _main_file(path: Path) -> Path:
    if path.is_file():
        if _stem(path)[1] not in ("xml", "csv"):
            raise ScreeningError(f"{path.name}: wanted SDN.XML, or SDN.CSV with ALT.CSV beside it")
        return path
    if not path.is_dir():
        raise ScreeningError(f"{path}: there is no such file or folder")
    found = [it for it in sorted(path.iterdir()) if _stem(it) in (("sdn", "xml"), ("sdn", "csv"))]
    if len(found) != 1:
        raise ScreeningError(f"{path}: holds {len(found)} lists; wanted one sdn.xml, or one sdn.csv with alt.csv")
    return found[0]


def _stem(path: Path) -> tuple[str, str]:
    stem, _, ending = path.name.lower().removesuffix(".gz").rpartition(".")
    return stem, ending


# --- CSV ---------------------------------------------------------------------------------------------------------


def _from_csv(main: Path, published: date | None) -> ListSnapshot:
    aliases: dict[str, list[str]] = {}
    for number, row in _rows(_beside(main, "alt"), "alt"):
        if row[2] not in _ALIASES:
            raise ScreeningError(f"alt.csv: line {number}: an alias of type {row[2][:20]!r}; wanted aka, fka or nka")
        aliases.setdefault(row[0], []).append(row[3])
    more: dict[str, str] = {}
    if (comments := _beside(main, "sdn_comments")).exists():
        for _, row in _rows(comments, "sdn_comments"):
            more[row[0]] = more.get(row[0], "") + row[1]
    entries = tuple(_entry_of_row(row, aliases, more, number) for number, row in _rows(main, "sdn"))
    strangers = aliases.keys() - {entry.id for entry in entries}
    if strangers:
        raise ScreeningError(
            f"alt.csv: {len(strangers)} entries that sdn.csv does not have; the files are not of one day"
        )
    return ListSnapshot(SOURCE, published, entries)


def _beside(main: Path, stem: str) -> Path:
    """Give the companion of the main file, in capitals or not, packed as it is."""
    name = f"{stem}.csv" + (".gz" if main.name.lower().endswith(".gz") else "")
    return next((it for it in sorted(main.parent.iterdir()) if it.name.lower() == name), main.with_name(name))


def _rows(path: Path, table: str) -> Iterator[tuple[int, list[str]]]:
    if not path.exists():
        raise ScreeningError(f"{path.name}: is missing beside the list", hint="fetch all files of the list on one day")
    text = _decoded(path).removesuffix("\r\n").removesuffix("\x1a")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if len(row) != _WIDTHS[table]:
                raise ScreeningError(
                    f"{path.name}: line {reader.line_num}: has {len(row)} fields; wanted {_WIDTHS[table]}"
                )
            yield reader.line_num, ["" if field.strip() == _NULL else field.strip() for field in row]
    except csv.Error as error:
        raise ScreeningError(f"{path.name}: line {reader.line_num}: is no CSV ({error})") from error


def _decoded(path: Path) -> str:
    """Read a text in UTF-8, or in the Western code page of Windows where it is not."""
    data = content(path)
    for encoding in ("utf-8-sig", "cp1252"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise ScreeningError(f"{path.name}: is no text")


def _entry_of_row(row: list[str], aliases: Mapping[str, list[str]], more: Mapping[str, str], number: int) -> Entry:
    uid, main, kind, programme, remarks = row[0], row[1], row[2].lower() or "entity", row[3], row[11]
    if not uid.isdigit() or not main:
        raise ScreeningError(f"sdn.csv: line {number}: wanted a number and a name")
    if uid in more:
        remarks += more[uid]
    elif len(remarks) >= _CUT:
        remarks = remarks.rpartition(";")[0]  # the last remark is cut off, and may mean something else
    weak = _REMARK_WEAK.findall(remarks)
    names = [(main, "main"), *((it, "strong") for it in aliases.get(uid, ())), *((it, "weak") for it in weak)]
    born = tuple(parse_listed(it) for it in _REMARK_BORN.findall(remarks))
    return _entry(uid, kind, names, born, tuple(it.strip(" []") for it in programme.split("] [") if it.strip(" []")))


# --- XML ---------------------------------------------------------------------------------------------------------


def _from_xml(data: bytes, published: date | None) -> ListSnapshot:
    root = _parsed(data)
    if root.tag != "sdnList":
        raise ScreeningError(f"begins with <{root.tag[:40]}>; wanted <sdnList>")
    entries = tuple(_entry_of_node(node) for node in root.iter("sdnEntry"))
    said = _text(root.find("publshInformation"), "Record_Count")
    if said != str(len(entries)):
        raise ScreeningError(f"has {len(entries)} entries and says {said[:20]!r}; is it whole?")
    day = _day(_text(root.find("publshInformation"), "Publish_Date"))
    if published not in (None, day):
        raise ScreeningError(f"was published on {day}, not on {published}")
    return ListSnapshot(SOURCE, day, entries)


def _parsed(data: bytes) -> ET.Element:
    """Parse an XML file that declares nothing: no entity can be expanded, and nothing outside is named."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScreeningError("is not UTF-8") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ScreeningError("declares a document type; wanted none")
    try:
        root = ET.fromstring(text)  # noqa: S314  declares no entity, see above
    except ET.ParseError as error:
        raise ScreeningError(f"is no XML, line {error.position[0]}") from error
    for node in root.iter():  # the address of the name space has changed over the years, the names in it have not
        node.tag = node.tag.rpartition("}")[2]
    return root


def _entry_of_node(node: ET.Element) -> Entry:
    uid, kind = _text(node, "uid"), _text(node, "sdnType").lower()
    names = [(_whole_name(node), "main")]
    for alias in node.iterfind("akaList/aka"):
        category = _text(alias, "category")
        if category not in ("strong", "weak"):
            raise ScreeningError(f"entry {uid[:20]}: an alias is {category[:20]!r}; wanted strong or weak")
        names.append((_whole_name(alias), category))
    born = tuple(parse_listed(_text(it, "dateOfBirth")) for it in node.iterfind("dateOfBirthList/dateOfBirthItem"))
    programmes = tuple(it.text.strip() for it in node.iterfind("programList/program") if it.text)
    return _entry(uid, kind, names, born, programmes)


def _whole_name(node: ET.Element) -> str:
    first, last = _text(node, "firstName"), _text(node, "lastName")
    return f"{last}, {first}" if first else last


def _text(node: ET.Element | None, name: str) -> str:
    return (node.findtext(name) or "").strip() if node is not None else ""


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%m/%d/%Y").date()  # noqa: DTZ007  a day of publication has no zone
    except ValueError as error:
        raise ScreeningError(f"Publish_Date {text[:20]!r}; wanted one such as 11/24/2026") from error


def _entry(
    uid: str, kind: str, names: list[tuple[str, str]], born: tuple[BirthDate, ...], programmes: tuple[str, ...]
) -> Entry:
    if kind not in KINDS:
        raise ScreeningError(f"list: entry {uid[:20]} is of type {kind[:20]!r}; wanted one of {', '.join(KINDS)}")
    once = dict(reversed([(text, cast("Strength", strength)) for text, strength in names]))
    ordered = tuple(ListedName(text, once[text]) for text in dict.fromkeys(text for text, _ in names))
    return Entry(uid, kind, ordered, born, programmes)
