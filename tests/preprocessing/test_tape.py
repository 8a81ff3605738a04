"""A tape is read whole: every cell is a value, missing or counted, and every fault has one clear message."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from obligor.core.columns import History, Table
from obligor.core.errors import ContractError, SourceError, TapeError, UnavailableError
from obligor.core.expressions import define_function
from obligor.core.snapshot import NumberForm, Snapshot, SnapshotFile
from obligor.core.text import text_lines
from obligor.preprocessing.cells import plain_number
from obligor.preprocessing.engine import connect, engine_trouble
from obligor.preprocessing.tape import Tape, read_tape

if TYPE_CHECKING:
    from pathlib import Path


def text_file(path: Path, content: str | bytes, **how: Any) -> SnapshotFile:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    known = {"table": "applications", "format": "csv", "delimiter": ",", "encoding": "utf-8", "compression": "none"}
    return SnapshotFile(**{"path": path, "bytes": 0, "sha256": "", "name": path.name, **known, **how})


def parquet_file(path: Path, columns: dict[str, Any], **how: Any) -> SnapshotFile:
    pq.write_table(pa.table(columns), path)
    return SnapshotFile(**{
        "table": "applications", "path": path, "format": "parquet", "bytes": 0, "sha256": "", "delimiter": None,
        "encoding": None, "compression": "none", "name": path.name, **how,
    })  # fmt: skip


def read(
    folder: Path, *files: SnapshotFile, histories: dict[str, Any] | None = None, **columns: dict[str, Any]
) -> Tape:
    table = Table.model_validate({"columns": columns})
    made = {name: History.model_validate(it) for name, it in (histories or {}).items()}
    return read_tape(connect(folder / "run"), Snapshot("hash", "test", files), applications=table, histories=made)


def cells(tape: Tape) -> list[tuple[Any, ...]]:
    return [row[1:] for row in tape.db.execute("SELECT * FROM applications ORDER BY _row").fetchall()]


def column(tape: Tape) -> list[Any]:
    return [row[0] for row in cells(tape)]


def faults(tape: Tape) -> list[tuple[int, str, str]]:
    return tape.db.execute("SELECT * FROM unparsed ORDER BY ALL").fetchall()


NUMBER, TEXT, DATE, BOOL = ({"type": it} for it in ("number", "text", "date", "bool"))


# --- laws --------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(alphabet=" aAbBäÄ'\"x,;\\%", max_size=6), min_size=1, max_size=12),
    case=st.sampled_from(["keep", "lower", "upper"]),
)
def test_a_category_on_a_tape_is_normalised_as_it_is_for_one_application(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], case: str
) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("level", "n"), *((text, 1) for text in texts)])
    folder = tmp_path_factory.mktemp("tape")
    how = {"type": "text", "case": case, "missing": ["A", "b'"], "map": {"a": "x'", "ÄB": "y\\"}}
    tape = read(folder, text_file(folder / "t.csv", out.getvalue()), level=how)
    lines, constants = text_lines(tape.columns["level"], variable="row", slot="q")
    normalise = define_function([*lines, "return row"], constants=constants)
    assert column(tape) == [normalise(text) for text in texts]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.floats(allow_nan=False), min_size=1, max_size=30))
def test_a_number_is_its_value_or_is_counted_as_unreadable(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("tape")
    tape = read(folder, text_file(folder / "t.csv", "n,m\n" + "".join(f"{it!r},\n" for it in numbers)), n=NUMBER)
    wanted = [None if abs(it) > 1e15 else 0.0 if abs(it) < 1e-15 else it for it in numbers]
    assert column(tape) == wanted
    assert [str(it) for it in column(tape)] == [str(it) for it in wanted]  # no minus zero
    assert faults(tape) == [(row, "n", "not_finite") for row, it in enumerate(wanted) if it is None]


# --- numbers, dates, truths and texts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "code"),
    [
        ("1.5", 1.5, None), ("+7", 7.0, None), (" -1e3 ", -1000.0, None), (".5", 0.5, None), ("5.", 5.0, None),
        ("-0.0", 0.0, None), ("1e-400", 0.0, None), ("", None, None), ("  ", None, None), ("NA", None, None),
        ("-9.00", None, None), ("nan", None, "not_finite"), ("NaN", None, "not_finite"), ("inf", None, "not_finite"),
        ("-Infinity", None, "not_finite"), ("1e400", None, "not_finite"), ("2e15", None, "not_finite"),
        ("1,000", None, "unparsed"), ("1_000", None, "unparsed"),
        ("0x10", None, "unparsed"), ("12abc", None, "unparsed"),
        ("1e", None, "unparsed"), ("--1", None, "unparsed"), ("\uff11", None, "unparsed"), ("true", None, "unparsed"),
    ],
)  # fmt: skip
def test_a_number_is_read_only_where_the_whole_text_is_one(
    tmp_path: Path, text: str, wanted: float | None, code: str | None
) -> None:
    how = {"type": "number", "missing": ["NA", -9]}
    tape = read(tmp_path, text_file(tmp_path / "t.csv", f'n\n"{text}"\n'), n=how)
    assert (column(tape), faults(tape)) == ([wanted], [(0, "n", code)] if code else [])
    assert str(column(tape)[0]) == str(wanted)


def test_nan_is_missing_where_the_contract_says_so(tmp_path: Path) -> None:
    tape = read(tmp_path, text_file(tmp_path / "t.csv", "n\nnan\n1\n"), n={"type": "number", "missing": ["nan"]})
    assert (column(tape), faults(tape)) == ([None, 1.0], [])


@pytest.mark.parametrize(
    ("text", "how", "wanted"),
    [
        ("2012-02-29", {}, date(2012, 2, 29)),
        ("2011-02-29", {}, None),
        ("1954-07-01", {}, date(1954, 7, 1)),
        ("0001-01-01", {}, date(1, 1, 1)),
        ("9999-12-31", {}, date(9999, 12, 31)),
        ("0000-01-01", {}, None),
        ("10000-01-01", {}, None),
        ("2011-12-31T23:30:00-05:00", {}, date(2011, 12, 31)),
        ("2011-12-31 23:30", {}, date(2011, 12, 31)),
        ("31/12/2011", {}, None),
        ("2011-1-5", {}, None),
        ("infinity", {}, None),
        ("epoch", {}, None),
        ("Sep-2016", {"format": "%b-%Y"}, date(2016, 9, 1)),
        ("2016-09-01", {"format": "%b-%Y"}, None),
        ("29.02.2011", {"format": "%d.%m.%Y"}, None),
        ("date: 2011-12-31.", {"extract": r"date: (\S+)\."}, date(2011, 12, 31)),
    ],
)
def test_a_day_is_read_only_where_the_calendar_has_it(
    tmp_path: Path, text: str, how: dict[str, Any], wanted: date | None
) -> None:
    tape = read(tmp_path, text_file(tmp_path / "t.csv", f"d\n{text}\n"), d=DATE | how)
    assert (column(tape), faults(tape)) == ([wanted], [] if wanted else [(0, "d", "unparsed")])


def test_a_truth_has_ten_spellings(tmp_path: Path) -> None:
    spelt = ["true", "T", "yes", "Y", "1", "False", "f", "NO", "n", "0", "", "maybe"]
    tape = read(tmp_path, text_file(tmp_path / "t.csv", "b,x\n" + "".join(f"{it},\n" for it in spelt)), b=BOOL)
    assert column(tape) == [True] * 5 + [False] * 5 + [None] * 2
    assert faults(tape) == [(11, "b", "unparsed")]


def test_the_part_that_the_contract_asks_for_is_the_value(tmp_path: Path) -> None:
    """A code stands for the whole cell, so it need not fit the pattern; any other text that does not fit is counted."""
    how = {"type": "number", "extract": r"(\d+)? ?months", "special": {-1: "open end"}, "missing": ["n/a"]}
    content = "term\n 36 months\n60 months\n-1\nn/a\n months\nlong\n"
    tape = read(tmp_path, text_file(tmp_path / "t.csv", content), term=how)
    assert column(tape) == [36.0, 60.0, -1.0, None, None, None]
    assert faults(tape) == [(5, "term", "unparsed")]


def test_a_special_code_stays_unscaled_and_a_value_that_would_fall_on_it_is_counted(tmp_path: Path) -> None:
    how = {"type": "number", "scale": 0.01, "special": {-1: "none", 98: "refused"}, "extract": r"([-\d.]+)%?"}
    tape = read(tmp_path, text_file(tmp_path / "t.csv", "rate\n13.5%\n-1\n98\n98%\n9800\n-100\n"), rate=how)
    assert column(tape) == [0.135, -1.0, 98.0, 98.0, None, None]
    assert faults(tape) == [(4, "rate", "collides"), (5, "rate", "collides")]


# --- Parquet -----------------------------------------------------------------------------------------------------


def test_a_parquet_file_comes_out_by_the_types_of_the_contract(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    file = parquet_file(tmp_path / "t.parquet", {
        "n": pa.array([1, 2, -9, None], pa.int8()),
        "f": [1.5, nan, inf, -0.0],
        "as_text": ["1.5", "x", " 2 ", None],
        "code": [36.0, 60.5, nan, None],
        "level": pa.array(["A", "b", "A", None]).dictionary_encode(),
        "day": pa.array([datetime(2011, 12, 31, 23, 59), datetime(1950, 1, 1), None, None]),  # noqa: DTZ001  no zone
        "packed": pa.array([20120229, 20110229, None, None]),
        "flag": [True, False, None, None],
        "flag_number": [1.0, 0.0, 2.0, None],
    })  # fmt: skip
    tape = read(
        tmp_path, file, n=NUMBER | {"missing": [-9]}, f=NUMBER, as_text=NUMBER, code=TEXT,
        level=TEXT | {"case": "lower"},
        day=DATE, packed=DATE | {"format": "%Y%m%d"}, flag=NUMBER, flag_number=BOOL,
    )  # fmt: skip
    assert cells(tape) == [
        (1.0, 1.5, 1.5, "36", "a", date(2011, 12, 31), date(2012, 2, 29), 1.0, True),
        (2.0, None, None, "60.5", "b", date(1950, 1, 1), None, 0.0, False),
        (None, None, 2.0, None, "a", None, None, None, None),
        (None, 0.0, None, None, None, None, None, None, None),
    ]
    assert faults(tape) == [
        (1, "as_text", "unparsed"), (1, "packed", "unparsed"), (2, "f", "not_finite"), (2, "flag_number", "unparsed"),
    ]  # fmt: skip


def test_a_column_of_a_type_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    file = parquet_file(tmp_path / "t.parquet", {"income": [[1, 2]]})
    with pytest.raises(TapeError, match=r"column 'income' holds .*\[\] in the file; wanted .* a number"):
        read(tmp_path, file, income=NUMBER)


def test_a_truncated_parquet_is_refused(tmp_path: Path) -> None:
    file = parquet_file(tmp_path / "t.parquet", {"income": list(range(10000))})
    file.path.write_bytes(file.path.read_bytes()[:5000])
    with pytest.raises(SourceError, match=r"t.parquet cannot be read as Parquet; wanted a whole file"):
        read(tmp_path, file, income=NUMBER)


# --- text files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (b"a;b\nM\xfcller\x96;1\n", {"delimiter": ";", "encoding": "latin-1"}),
        ("\ufeff\n\na;b\nMüller\x96;1\n".encode(), {"delimiter": ";"}),
        (
            gzip.compress(b"b|a\n1|M\xfcller\x96\n", mtime=0),
            {"delimiter": "|", "encoding": "latin-1", "compression": "gzip"},
        ),
        (zstandard.compress("a\tb\nMüller\x96\t1\n".encode()), {"delimiter": "\t", "compression": "zstd"}),
        (b"\n\r\na,b\r\nM\xc3\xbcller\xc2\x96,1\r\n", {}),
        ("Müller\x96,1\n".encode(), {"header": ("a", "b")}),
        (b"a,b\r\nM\xfcller\x96,1\r\n\x1a", {"encoding": "latin-1"}),
    ],
)
def test_a_text_file_is_read_however_it_is_written(tmp_path: Path, content: bytes, how: dict[str, Any]) -> None:
    tape = read(tmp_path, text_file(tmp_path / "t", content, **how), a=TEXT, b=NUMBER)
    assert cells(tape) == [("Müller\x96", 1.0)]


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "wanted"),
    [
        (",", None, "1234,5 -,5 +5, 1,5e3 -7", [1234.5, -0.5, 5.0, 1500.0, -7.0]),
        (",", None, "1.234 12.5 1.234,56 1,2,3 1_0", [None] * 5),
        (",", ".", "1.234,56 -12.345.678 1.234 1234,5", [1234.56, -12345678.0, 1234.0, 1234.5]),
        (",", ".", "12,50- 1.234,56- 0,5- 12- -12,5- ,5- 1.2,5-", [-12.5, -1234.56, -0.5, *[None] * 4]),
        (",", None, "12,50- 12.5-", [-12.5, None]),
        (".", ",", "12.50- 1,234.5-", [None] * 2),
        (",", ".", "1.23 0.250 1234.567 1.234.56 12.34,5 1,234.5", [None] * 6),
        (",", " ", "1\u00a0234,5 1\u202f234\u202f567", [1234.5, 1234567.0]),
        (".", "'", "1'234.5 1\u2019234 1'23", [1234.5, 1234.0, None]),
        (".", ",", "1,234.5 1,234 1,23 1.234", [1234.5, 1234.0, None, 1.234]),
    ],
)
def test_a_number_is_read_by_the_marks_of_its_table_and_by_no_others(
    tmp_path: Path, decimal: Any, thousands: Any, text: str, wanted: list[float | None]
) -> None:
    marks = NumberForm(decimal, thousands)
    file = text_file(
        tmp_path / "t", "a\tb\n" + "".join(f"{it}\t1\n" for it in text.split(" ")), delimiter="\t", numbers=marks
    )
    tape = read(tmp_path, file, a=NUMBER)
    assert column(tape) == wanted
    assert [row for row, *_ in faults(tape)] == [row for row, it in enumerate(wanted) if it is None]


@given(
    number=st.floats(min_value=-1e14, max_value=1e14).map(lambda it: round(it, 2)),
    decimal=st.sampled_from(".,"), thousands=st.sampled_from(".,' "),
)  # fmt: skip
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_number_reads_back_from_every_form_it_is_written_in(
    engine: duckdb.DuckDBPyConnection, number: float, decimal: Any, thousands: Any
) -> None:
    assume(decimal != thousands)
    text = f"{number:,.2f}".translate({ord(","): thousands, ord("."): decimal})
    behind = f"{text[1:]}-" if decimal == "," and text.startswith("-") else text
    sql = plain_number("text", NumberForm(decimal, thousands))
    query = f"SELECT CAST({sql} AS DOUBLE) FROM (SELECT UNNEST(?) AS text)"
    assert engine.execute(query, [[text, behind]]).fetchall() == [(number,)] * 2


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def test_marks_do_not_touch_codes_percentages_and_texts(tmp_path: Path) -> None:
    file = text_file(
        tmp_path / "t", "a;b;c\n-9,00;12,5 %;1,5\n99.999,0;1.200 %;1.234\n", delimiter=";", numbers=NumberForm(",", ".")
    )
    share = NUMBER | {"extract": "([-0-9.,]+) *%", "scale": 0.01}
    tape = read(tmp_path, file, a=NUMBER | {"special": {-9: "none"}, "missing": ["99999"]}, b=share, c=TEXT)
    assert cells(tape) == [(-9.0, 0.125, "1,5"), (None, 12.0, "1.234")]


def test_the_mark_at_the_end_of_a_file_of_one_column_is_no_row(tmp_path: Path) -> None:
    assert column(read(tmp_path, text_file(tmp_path / "t", b"a\n1\n2\n\x1a"), a=NUMBER)) == [1.0, 2.0]


def test_names_may_hold_anything(tmp_path: Path) -> None:
    names = ['a "quoted" name', "sel'ect", "select", "😀", "rowid", "v0", "faults", "a;b"]
    out = io.StringIO()
    csv.writer(out).writerows([names, [str(index) for index in range(len(names))]])
    tape = read(tmp_path, text_file(tmp_path / "t.csv", out.getvalue()), **dict.fromkeys(names, NUMBER))
    found = tape.db.execute("SELECT * FROM applications")
    assert [it[0] for it in found.description or []] == ["_row", *names]
    assert found.fetchall() == [(0, *range(len(names)))]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("inner", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "\n\n"])
def test_a_name_may_hold_a_line_break_of_any_kind(tmp_path: Path, end: str, inner: str, before: str) -> None:
    name = f"net{inner}income"
    content = f'{before}"{name}",loan\n1,a\n2,b\n'.replace(name, "NAME").replace("\n", end).replace("NAME", name)
    tape = read(tmp_path, text_file(tmp_path / "tape.csv", content), **{name: NUMBER})
    assert column(tape) == [1.0, 2.0]


def test_rows_of_many_files_are_numbered_in_the_order_of_the_files(tmp_path: Path) -> None:
    parts = [range(150_000), range(150_000, 150_010), range(150_010, 300_000)]
    files = [
        text_file(tmp_path / f"{i}.csv", ("n,m\n" if i else "m,n\n") + "".join(f"{it},{it}\n" for it in part))
        for i, part in enumerate(parts)
    ]
    tape = read(tmp_path, *files, n=NUMBER, m=NUMBER)
    counted = tape.db.execute("SELECT COUNT(*), MAX(_row), COUNT(*) FILTER (_row = n AND n = m) FROM applications")
    assert counted.fetchone() == (300_000, 299_999, 300_000) == (tape.rows, tape.rows - 1, tape.rows)


def test_a_history_is_read_as_the_applications_are_and_may_be_empty(tmp_path: Path) -> None:
    history = {"columns": {"id": TEXT, "due": DATE, "paid": NUMBER}, "key": ["id", "id"], "event_at": "due"}
    files = (
        text_file(tmp_path / "a.csv", "id\n1\n"),
        text_file(tmp_path / "r.csv", "id,due,paid\n1,2011-01-01,5\n1,soon,x\n", table="repayments"),
        text_file(tmp_path / "b.csv", "id,due,paid\n", table="bureau"),
    )
    tape = read(tmp_path, *files, id=TEXT, histories={"repayments": history, "bureau": history})
    made = tape.histories["repayments"]
    assert tape.db.execute(f"SELECT * FROM {made.name}").fetchall() == [
        (0, "1", date(2011, 1, 1), 5.0),
        (1, "1", None, None),
    ]
    assert tape.db.execute(f"SELECT * FROM {made.unparsed}").fetchall() == [
        (1, "due", "unparsed"),
        (1, "paid", "unparsed"),
    ]
    assert (made.rows, tape.histories["bureau"].rows) == (2, 0)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv is empty"),
        ("income,age\n", "t.csv has no rows"),
        ("Income ,age\n1,2\n", "lacks the column 'income' that the contract names\nHint: 'income' may be 'Income '"),
        ("income,income\n1,2\n", "has the column 'income' 2 times; wanted it once"),
        ("income,age\n1,2\n3\n4,5\n6\n", "2 lines cannot be read; the first, line 3, has 1 fields; wanted 2"),
        ("income,age\n1,2\n3,secret,5\n", "a line cannot be read; line 3, has 3 fields; wanted 2"),
        ('income,age\n1,"secret\n3,4\n', "a line cannot be read; line 2, has a quote that is not closed"),
        (b"income\n1\n3secret\xff\n", "a line cannot be read; line 3, is not UTF-8"),
        ("income,age\r\n1,2\r\n3,secret\r4,5\n", "cannot be read as CSV"),
        (gzip.compress(b"income\n" + b"1\n" * 9999, mtime=0)[:-20], "cannot be read as CSV"),
        (zstandard.compress(b"income\n" + b"1\n" * 99999)[:-5], "cannot be read as CSV"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused_without_repeating_it(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    packs = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}
    packed = {"compression": packs[content[:2]]} if content[:2] in packs else {}
    with pytest.raises((TapeError, SourceError)) as refused:
        read(tmp_path, text_file(tmp_path / "t.csv", content, **packed), income=NUMBER)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Income": NUMBER, "income": NUMBER}, "columns 'Income' and 'income' differ only in case"),
        ({"_row": NUMBER}, "'_row'"),
        ({"income": NUMBER | {"extract": "("}}, "column 'income': extract '\\(' is not understood"),
        ({"income": NUMBER | {"extract": "a"}}, "extract has 0 groups; wanted exactly one"),
        ({"day": DATE | {"format": "%Q"}}, "column 'day': format '%Q' is not understood"),
    ],
)
def test_a_contract_that_the_engine_cannot_follow_is_refused(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        read(tmp_path, text_file(tmp_path / "t.csv", "income,day\n1,2\n"), **columns)


def test_a_disk_that_fills_up_is_told_as_such(tmp_path: Path) -> None:
    db = connect(tmp_path)
    db.execute("SET max_temp_directory_size = '1MB'; SET memory_limit = '30MB'")
    with pytest.raises(UnavailableError, match="sorting: the disk is full"), engine_trouble("sorting"):
        db.execute("CREATE TEMP TABLE t AS SELECT random() AS x, * FROM range(5000000) ORDER BY x")


# --- real tapes --------------------------------------------------------------------------------------------------


def test_the_real_layout_of_lendingclub_is_read(tmp_path: Path, datasets: Path) -> None:
    path = datasets / "lendingclub_2007_2018_sample2k" / "lending_club_sample.csv.gz"
    file = SnapshotFile("applications", path, "csv", 0, "", ",", "utf-8", "gzip")
    tape = read(
        tmp_path, file, issue_d=DATE | {"format": "%b-%Y"}, term=NUMBER | {"extract": r"(\d+) months"},
        loan_amnt=NUMBER, emp_length=TEXT, loan_status=TEXT,
    )  # fmt: skip
    assert (tape.rows, faults(tape)) == (2000, [])
    db: duckdb.DuckDBPyConnection = tape.db
    assert db.execute("SELECT DISTINCT term FROM applications ORDER BY 1").fetchall() == [(36.0,), (60.0,)]
    assert db.execute("SELECT MIN(issue_d) FROM applications").fetchone() == (date(2007, 11, 1),)
