"""A drafted contract can be read, fits the tape it was drafted from, and says what a person must check."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obligor.core.columns import Role
from obligor.core.errors import TapeError
from obligor.core.snapshot import NumberForm, Snapshot, SnapshotFile
from obligor.ingestion.contract_file import read_contract
from obligor.ingestion.formats import identify
from obligor.preprocessing import drafting
from obligor.preprocessing.drafting import draft_contract
from obligor.preprocessing.engine import connect, identifier
from obligor.preprocessing.tape import read_tape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.core.contract import Contract
    from obligor.preprocessing.tape import Tape


def snapshot_of(path: Path, **how: Any) -> Snapshot:
    kind = identify(path, path.name)
    known = {"format": kind.format, "delimiter": kind.delimiter, "encoding": kind.encoding}
    how = {
        "table": "applications",
        "path": path,
        "bytes": 0,
        "sha256": "",
        "compression": kind.compression,
        **known,
        **how,
    }
    return Snapshot("hash", "test", (SnapshotFile(**how),))


def draft(snapshot: Snapshot) -> str:
    with tempfile.TemporaryDirectory() as folder, connect(Path(folder)) as db:
        return draft_contract(db, snapshot, name="tape")


def tape_of(folder: Path, snapshot: Snapshot, contract: Contract) -> Tape:
    marks = NumberForm(contract.applications.decimal, contract.applications.thousands)
    snapshot = replace(snapshot, files=tuple(replace(it, numbers=marks) for it in snapshot.files))
    return read_tape(connect(folder), snapshot, applications=contract.applications, histories={})


def unfit(tape: Tape) -> list[str]:
    """Name the columns with a cell that cannot be read, or a value outside its limits."""
    found = [name for (name,) in tape.db.execute('SELECT DISTINCT "column" FROM unparsed').fetchall()]
    for name, column in tape.columns.items():
        codes = [code for code in column.special if isinstance(code, float)]
        values = [it for (it,) in tape.db.execute(f"SELECT {identifier(name)} FROM applications").fetchall()]
        known = [it for it in values if it is not None and it not in codes]
        low = column.min is not None and any(it < column.min for it in known)
        strange = column.levels is not None and not {*known} <= {*column.levels}
        twice = column.unique and len({*known}) < len(known)
        absent = column.required and len(known) < len(values)
        found += [name] if low or strange or twice or absent else []
    return found


def csv_file(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([names, *rows])
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    return path


def drafted(folder: Path, **columns: Sequence[object]) -> tuple[str, Contract]:
    path = csv_file(folder / "tape.csv", list(columns), list(zip(*columns.values(), strict=True)))
    text = draft(snapshot_of(path))
    return text, read_contract(text)


# --- laws --------------------------------------------------------------------------------------------------------

_ODD_NAMES = (
    *(
        "null",
        "yes",
        "No",
        "~",
        "1",
        "2.5",
        "1e5",
        "2007-01-01",
        "- a",
        "-",
        "a: b",
        "#x",
        "a #b",
        'q"uote',
        "it's",
        "{a}",
    ),
    *("[b]", "*star", "&and", "!tag", "%pct", "@at", "`tick`", "a,b", "é", "💰 amount", "👩\u200d👧", "tab\t", " lead"),
    *(
        "line\nbreak",
        "trail ",
        "back\\slash",
        "<<",
        "=",
        "?",
        "? a",
        "|",
        ">",
        "a\u2028b",
        "a\x85b",
        "a\x7fb",
        "\ufeffbom",
    ),
    *("select", "_row", "bad", "loan_status", "issue_d", "id", "age", "recoveries", "grade", "loan_amount", "email"),
    *("default", "x" * 201),
)
_TEXTS = st.text(max_size=12).filter(lambda it: "\0" not in it and it.encode(errors="ignore").decode() == it)
_NAMES = st.one_of(st.sampled_from(_ODD_NAMES), _TEXTS.filter(lambda it: it != "" and "\r" not in it))
_CELLS = st.sampled_from(
    [
        *(st.sampled_from(("0", "1")), st.sampled_from(("Fully Paid", "Charged Off", "Current"))),
        *(st.integers(-5, 200).map(str), st.floats().map(repr), st.sampled_from(("10.65%", "9%", "n/a", ""))),
        *(st.sampled_from((" 36 months", "60 months", "1 month")), st.sampled_from(("Y", "N", "NA"))),
        *(st.sampled_from(("Sep-2016", "Oct-2017", "Jan-2018", "x")), st.dates().map(str), _TEXTS, st.just("")),
        *(
            st.sampled_from(("0", "3", "98", "98", "-1")),
            st.just("a: 'b' #c"),
            st.sampled_from(("20110105", "20120231")),
        ),
        st.sampled_from(("1.0", "2.50", "$7", "1_0")),
    ]
)


@st.composite
def _tapes(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, ...]]]:
    names = draw(st.lists(_NAMES, min_size=2, max_size=5, unique=True))
    rows = draw(st.integers(1, 14))
    columns = [draw(st.lists(draw(_CELLS), min_size=rows, max_size=rows)) for _ in names]
    return names, list(zip(*columns, strict=True))


@settings(max_examples=60, deadline=None)
@given(tape=_tapes())
def test_whatever_a_tape_holds_its_draft_is_a_contract_that_the_tape_keeps(
    tape: tuple[list[str], list[tuple[str, ...]]],
) -> None:
    names, rows = tape
    with tempfile.TemporaryDirectory() as folder:
        path = csv_file(Path(folder) / "tape.csv", names, rows)
        snapshot = snapshot_of(path, delimiter=",")
        try:
            text = draft(snapshot)
        except TapeError as error:
            assert error.hint  # noqa: PT017  either way is right, and says how to go on
            return
        assert draft(snapshot) == text
        contract = read_contract(text)
        late = {contract.only(Role.APPLIED_AT)}  # the contract's rule asks for its date, which a draft says
        read = tape_of(Path(folder) / "run", snapshot, contract)
        assert read.rows == len(rows)
        assert {*unfit(read)} <= late
        assert {*contract.columns} <= {*names}


# --- what is found -----------------------------------------------------------------------------------------------

_N = 60
_BAD = [int(row % 6 == 0) for row in range(_N)]
_X = range(0, 3 * _N, 3)
_DAYS = [date(2019, 1, 10) + timedelta(days=20 * row) for row in range(_N)]


def test_raw_formats_are_read_as_what_they_mean(tmp_path: Path) -> None:
    text, contract = drafted(
        tmp_path, bad=_BAD, term=[f" {36 + 24 * (row % 2)} months" for row in range(_N)],
        rate_asked=[f"{5 + row / 8}%" for row in range(_N)], approved_d=[f"{it:%d.%m.%Y}" for it in _DAYS],
        booked=[f"{it:%Y%m%d}" for it in _DAYS], cost=[f"${row}.5" for row in range(_N)],
        booking_day=[f"{it:%Y%m%d}" for it in _DAYS], zip_code=[f"0{row % 9}123" for row in range(_N)],
        owner=["yes" if row % 3 else "no" for row in range(_N)],
    )  # fmt: skip
    columns = contract.columns
    assert (columns["term"].type, columns["term"].unit) == ("number", "months")
    assert (columns["rate_asked"].type, columns["rate_asked"].scale) == ("number", 0.01)
    assert (columns["approved_d"].type, columns["approved_d"].format) == ("date", "%d.%m.%Y")
    assert (columns["booking_day"].type, columns["booking_day"].format) == ("date", "%Y%m%d")
    assert (columns["cost"].type, columns["zip_code"].type, columns["owner"].type) == ("number", "text", "bool")
    tape = tape_of(tmp_path / "run", snapshot_of(tmp_path / "tape.csv"), contract)
    assert unfit(tape) == []
    first = tape.db.execute("SELECT term, rate_asked, approved_d, cost FROM applications LIMIT 1").fetchone()
    assert first == (36.0, 0.05, date(2019, 1, 10), 0.5)
    assert "check" in text


def test_days_that_read_either_way_are_to_be_checked(tmp_path: Path) -> None:
    text, contract = drafted(tmp_path, bad=_BAD, x=_X, opened=[f"0{1 + row % 9}/07/2020" for row in range(_N)])
    assert contract.columns["opened"].format == "%m/%d/%Y"
    assert "day before month, or month before day?" in text


def test_a_column_that_all_but_reads_as_numbers_or_days_says_so(tmp_path: Path) -> None:
    """Two formats of days, and numbers with a decimal comma, would else pass for a key, and be lost without a word."""
    days = [date(2020, 1, 1) + timedelta(days=row) for row in range(_N)]
    text, contract = drafted(
        tmp_path, bad=_BAD, x=_X, opened=[f"{it:%d/%m/%Y}" if at % 2 else str(it) for at, it in enumerate(days)],
        paid=[f"{row}000,50" for row in range(_N)], owed=["inf" if row % 6 == 0 else row * 1.5 for row in range(_N)],
        loan_id=[f"L{row}" for row in range(_N)],
    )  # fmt: skip
    said = {
        name: next(line for line in text.splitlines() if f" {name}: " in line) for name in ("opened", "paid", "owed")
    }
    assert "about 50% of its values are days as YYYY-MM-DD" in said["opened"]
    assert "about 100% of its values are numbers" in said["paid"]
    assert "about 83% of its values are numbers with marks that `decimal` and `thousands` of the table" in said["owed"]
    assert text.count("of its values are") == 3
    assert contract.columns["loan_id"].unique


def european(folder: Path, **columns: Sequence[object]) -> tuple[str, Contract, Snapshot]:
    rows = zip(*columns.values(), strict=True)
    lines = [";".join(columns), *(";".join(map(str, row)) for row in rows)]
    (folder / "tape.csv").write_text("\r\n".join(lines), encoding="cp1252", newline="")
    found = snapshot_of(folder / "tape.csv", delimiter=";", encoding="windows-1252")
    text = draft(found)
    return text, read_contract(text), found


def test_a_tape_as_the_continent_writes_it_is_drafted_and_read(tmp_path: Path) -> None:
    text, contract, snapshot = european(
        tmp_path, bad=_BAD, amount=[f"{1 + row % 9}.{row:03},50" for row in range(_N)],
        price=[f"{row},5 €" for row in range(_N)], share=[f"{row},25 %" for row in range(_N)],
        opened=[f"{day:%d.%m.%Y %H:%M}" for day in _DAYS], town=["Köln €", "Linz", "Wien"] * 20,
    )  # fmt: skip
    for line in ("encoding: windows-1252", 'decimal: ","', 'thousands: "."'):
        assert f"  {line}  # check: guessed" in text
    tape = tape_of(tmp_path, snapshot, contract)
    assert unfit(tape) == []
    first = tape.db.execute("SELECT amount, price, share, opened, town FROM applications LIMIT 1").fetchone()
    assert first == (1000.5, 0.5, 0.0025, _DAYS[0], "Köln €")


def test_a_number_that_reads_either_way_is_put_to_a_person(tmp_path: Path) -> None:
    """`1.234` alone speaks for neither; beside decimal commas, and no certain thousands, it is not read at all."""
    either = [f"{1 + row % 9}.{100 + row}" for row in range(_N)]
    text, contract, _ = european(tmp_path, bad=_BAD, x=_X, amount=either)
    assert (contract.applications.decimal, contract.applications.thousands) == (".", None)
    assert "1.234 is read as a fraction; is it, or thousands?" in text
    text, contract, _ = european(tmp_path, bad=_BAD, amount=either, rate=[f"{row},5" for row in range(_N)])
    assert (contract.applications.decimal, contract.applications.thousands) == (",", None)
    assert contract.columns["amount"].type == "text"
    assert "about 100% of its values are numbers with marks that `decimal` and `thousands`" in text
    text, contract, _ = european(
        tmp_path, bad=_BAD, amount=either, rate=[f"{row},5" for row in range(_N)],
        income=[f"1.{100 + row},5" for row in range(_N)],
    )  # fmt: skip
    assert (contract.columns["amount"].type, contract.applications.thousands) == ("number", ".")
    assert text.count("1.234 is read as thousands; is it, or a fraction?") == 1


def test_a_tape_in_english_keeps_its_points_and_its_commas_of_thousands(tmp_path: Path) -> None:
    text, contract = drafted(tmp_path, bad=_BAD, amount=[f"1,{100 + row}.50" for row in range(_N)], x=_X)
    assert (contract.applications.decimal, contract.applications.thousands) == (".", ",")
    assert contract.columns["amount"].type == "number"
    text, _ = drafted(tmp_path, bad=_BAD, amount=[row / 4 for row in range(_N)], x=_X)
    assert "decimal:" not in text
    assert "thousands" not in text


def test_a_key_that_repeats_is_told_with_its_count(tmp_path: Path) -> None:
    ids = [f"L{max(row, 4)}" for row in range(_N)]
    text, contract = drafted(tmp_path, bad=_BAD, x=_X, loan_id=ids)
    assert f"a key of loans or of persons?; 4 of {_N} rows repeat a value" in text
    assert not contract.columns["loan_id"].unique


def test_codes_far_outside_the_rest_become_special_and_those_within_do_not(tmp_path: Path) -> None:
    counts = [row % 5 for row in range(_N)]
    _, contract = drafted(
        tmp_path, bad=_BAD, late=[98 if row % 20 == 0 else it for row, it in enumerate(counts)],
        share=[70 + row // 2 for row in range(_N)], months_since=[-1 if row % 20 == 0 else row for row in range(_N)],
        days=[365243 if row % 10 == 0 else -row for row in range(_N)], balance=[row - 30 for row in range(_N)],
    )  # fmt: skip
    columns = contract.columns
    assert {name: [*it.special] for name, it in columns.items() if it.special} == {
        "late": [98.0],
        "months_since": [-1.0],
        "days": [365243.0],
    }
    assert (columns["months_since"].min, columns["balance"].min) == (0.0, None)


def test_protected_personal_and_later_known_columns_are_kept_off_the_card(tmp_path: Path) -> None:
    text, contract = drafted(
        tmp_path, bad=_BAD, amount=[900 + 7 * row for row in range(_N)], Age=[20 + row % 40 for row in range(_N)],
        applicantSex=[row % 2 for row in range(_N)], full_name=[f"Q{row}name W" for row in range(_N)],
        email=[f"u{row}@example.org" for row in range(_N)], recoveries=[row % 7 for row in range(_N)],
        Sub_Grade=[f"B{row % 5}" for row in range(_N)], city=[f"Ctown{row % 4}" for row in range(_N)],
        Default_Flag_2=[1 - it for it in _BAD], loan_id=[7000 + row for row in range(_N)], one=["k"] * _N,
        remarks=[f"words {row} and more words" for row in range(_N)], empty=[""] * _N,
    )  # fmt: skip
    columns = contract.columns
    assert contract.predictors == ("amount",)
    assert contract.only(Role.EXPOSURE) == "amount"
    assert columns["applicantSex"].type == "text"
    assert contract.with_role(Role.PROTECTED) == ("Age", "applicantSex")
    assert contract.with_role(Role.LEAKAGE) == ("recoveries", "Default_Flag_2")
    assert contract.with_role(Role.INCUMBENT_SCORE) == ("Sub_Grade",)
    assert columns["loan_id"].unique
    assert (columns["city"].role, columns["city"].privacy) == ((Role.INPUT,), "quasi")
    assert not {"full_name", "email", "empty", "one", "remarks"} & {*columns}
    assert not any(value in text for value in ("Q1name", "u1@", "Ctown1", "words 1"))


def test_a_rating_of_something_else_is_not_the_incumbents_and_a_draft_says_why_a_column_is(tmp_path: Path) -> None:
    ratings = ["REGION_RATING_CLIENT", "REGION_RATING_CLIENT_W_CITY", "propertyGrade", "score_of_employer"]
    own = {"sub_grade": "grade", "IntRate": "int rate", "risk_band": "risk band", "own_score": "score"}
    text, contract = drafted(
        tmp_path,
        target=[0, 0, 1] * 20,
        income=[at * 7 % 31 for at in range(60)],
        **{name: [1, 2, 3] * 20 for name in [*ratings, *own]},
    )
    assert [str(it) for name in ratings for it in contract.columns[name].role] == ["input"] * 4
    assert set(contract.with_role(Role.INCUMBENT_SCORE)) == set(own)
    for name, word in own.items():
        assert re.search(rf"{name}: .*# check: named '{word}', like the lender's own score, grade or price", text)
    assert "# check: named 'region rating', a rating of something else than the loan" in text


def test_days_that_a_spreadsheet_counted_are_to_be_checked(tmp_path: Path) -> None:
    days = [34380.44 + 7 * (at % 31) for at in range(60)]
    text, _ = drafted(
        tmp_path,
        target=[0, 0, 1] * 20,
        **{"Earliest Line Opened": days, "balance": days, "lines opened": [at % 7 for at in range(60)]},
    )
    (told,) = [line for line in text.splitlines() if "days as a spreadsheet counts them" in line]
    assert told.strip().startswith("Earliest Line Opened:")


def test_words_of_a_status_part_good_bad_young_and_unclear_loans(tmp_path: Path) -> None:
    statuses = ["Fully Paid", "Charged Off", "Current", "Late (31-120 days)", "Default", "Issued"]
    _, contract = drafted(tmp_path, loan_status=[statuses[row % 6] for row in range(_N)], x=_X)
    status = contract.outcome.status
    assert status is not None
    assert (status.good, status.bad) == (("Fully Paid",), ("Charged Off", "Default"))
    assert (status.immature, status.indeterminate) == (("Current", "Issued"), ("Late (31-120 days)",))


@pytest.mark.parametrize(
    ("name", "values", "bad"),
    [
        ("bad", ("0", "1"), "1"), ("good_flag", ("0", "1"), "0"), ("defaulted", ("no", "yes"), "yes"),
        ("Class", ("Creditworthy", "Uncreditworthy"), "Uncreditworthy"), ("repaid", ("false", "true"), "false"),
        ("target", ("no default", "default"), "default"),
        ("not_fully_paid", ("0", "1"), "1"), ("class", ("1", "2"), "2"), ("y", ("1.5", "0.1234567891"), "0.1234567891"),
    ],
)  # fmt: skip
def test_the_bad_one_of_two_values_is_told_by_words_or_by_number(
    tmp_path: Path, name: str, values: tuple[str, str], bad: str
) -> None:
    _, contract = drafted(tmp_path, **{name: [values[it] for it in _BAD]}, x=_X)
    status = contract.outcome.status
    assert status is not None
    assert (status.column, status.bad) == (name, (bad,))


def test_loans_with_a_date_are_parted_by_it_at_firsts_of_months(tmp_path: Path) -> None:
    text, contract = drafted(tmp_path, bad=_BAD, application_date=_DAYS, closed_date=_DAYS, x=_X)
    assert contract.only(Role.APPLIED_AT) == "application_date"
    assert contract.columns["closed_date"].role == (Role.LEAKAGE,)
    time = contract.split.time
    assert time is not None
    assert (time.validation_from.day, time.test_from.day) == (1, 1)
    known = [day.replace(year=day.year + 1) for day in _DAYS]  # when each outcome is
    train = sum(day <= time.validation_from for day in known)
    validation = sum(
        time.validation_from <= day and end <= time.test_from for day, end in zip(_DAYS, known, strict=True)
    )
    test = sum(day >= time.test_from for day in _DAYS)
    shares = [part / len(_DAYS) for part in (train, validation, test)]
    assert min(shares) > 0
    assert "{:.0%}, {:.0%} and {:.0%} of the loans are left".format(*shares) in text


def test_a_tape_too_short_for_its_window_is_said_to_make_no_card(tmp_path: Path) -> None:
    days = [date(2020, 1, 1) + timedelta(days=row % 360) for row in range(_N)]
    text, _ = drafted(tmp_path, bad=_BAD, application_date=days, x=_X)
    assert "FIRST: no card can be made so" in text
    longer, _ = drafted(tmp_path, bad=_BAD, application_date=_DAYS, x=_X)
    assert "no card can be made so" not in longer


def test_a_draft_asks_for_what_the_cutoff_rests_on(tmp_path: Path) -> None:
    text, _ = drafted(tmp_path, bad=_BAD, x=_X)
    assert "`economics`, what a loan earns and costs" in text


def test_an_outcome_that_no_name_speaks_for_is_said_at_the_top(tmp_path: Path) -> None:
    text, contract = drafted(tmp_path, pet=["a" if row % 2 else "b" for row in range(_N)], x=_X, z=_BAD)
    assert contract.only(Role.OUTCOME) == "z"
    assert "FIRST: no column is named like an outcome; z is a mere guess" in text


def test_a_long_tape_is_profiled_in_part_and_no_limit_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "MOST_ROWS", 20)
    text, contract = drafted(
        tmp_path, bad=_BAD, x=[-5 if row == 1 else row for row in range(_N)], city_kind=["a", "b"] * 30
    )
    assert "One row of 3 was profiled" in text
    assert all(it.min is None and it.levels is None for it in contract.columns.values())


# --- other files -------------------------------------------------------------------------------------------------


def test_a_parquet_tape_is_drafted_by_its_values_and_without_its_lists(tmp_path: Path) -> None:
    table = pa.table({
        "bad": [bool(it) for it in _BAD], "issued": _DAYS, "n": [float(it) for it in _X], "tags": [[1]] * _N,
        "kind": pa.array(["a", "b"] * 30).dictionary_encode(), "k": [row % 8 * 100 for row in range(_N)],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "tape.parquet")
    snapshot = snapshot_of(tmp_path / "tape.parquet")
    text = draft(snapshot)
    contract = read_contract(text)
    assert {name: it.type for name, it in contract.columns.items()} == {
        "bad": "text", "issued": "date", "n": "number", "kind": "text", "k": "number",
    }  # fmt: skip
    assert "# tags: holds list" in text
    assert unfit(tape_of(tmp_path / "run", snapshot, contract)) == []


def test_names_that_a_contract_cannot_hold_are_left_out(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path / "t.csv",
        ["", "A", "a", "x", "x", "bad"],
        [("1", *(it, it), *"12", bad) for it, bad in zip(_X, _BAD, strict=True)],
    )
    text = draft(snapshot_of(path))
    assert [*read_contract(text).columns] == ["A", "bad"]
    for line in ('"": has no name', "a: differs from another column only in case", "x: stands 2 times in the header"):
        assert line in text


# --- what no draft can be made of --------------------------------------------------------------------------------


def test_a_tape_without_two_values_anywhere_has_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="none of the 2 usable columns has two values") as caught:
        drafted(tmp_path, x=_X, y=[row / 7 for row in range(_N)])
    assert "days_past_due" in str(caught.value.hint)


def test_a_column_named_like_an_outcome_with_three_values_is_named_in_the_hint(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="none of the 2 usable columns") as caught:
        drafted(tmp_path, x=_X, bad=[row % 3 for row in range(_N)])
    assert "bad is named like an outcome" in str(caught.value.hint)
    assert "its 3 values" in str(caught.value.hint)


def test_a_tape_of_an_outcome_alone_has_no_predictor(tmp_path: Path) -> None:
    wanted = (
        "no column is left that could be a predictor, beside the outcome bad: sex is taken for protected; x holds one"
    )
    with pytest.raises(TapeError, match=wanted):
        drafted(tmp_path, bad=_BAD, sex=["m", "f"] * 30, x=[1] * _N)


def test_of_many_columns_that_are_no_predictors_eight_are_told(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="x7 holds one value only; and 4 more") as caught:
        drafted(tmp_path, bad=_BAD, **{f"x{place}": [1] * _N for place in range(12)})
    assert "x8" not in str(caught.value)


def test_an_outcome_of_one_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="TARGET is named like an outcome, but holds one value only; wanted loans"):
        drafted(tmp_path, x=_X, TARGET=[0] * _N)


def test_only_what_can_be_a_bureaus_score_is_asked_for_one(tmp_path: Path) -> None:
    flags = [row % 2 for row in range(_N)]
    text, _ = drafted(
        tmp_path, bad=_BAD, bureau_points=_X, AMT_REQ_CREDIT_BUREAU_HOUR=_X, bureau_enquiries=_X, bureau_hit=flags,
        bureau=["Experian", "Equifax", "none"] * 20,
    )  # fmt: skip
    assert [line.split(":")[0].strip() for line in text.splitlines() if "a bureau's score" in line] == ["bureau_points"]


# --- real tapes --------------------------------------------------------------------------------------------------


def real(datasets: Path, name: str, folder: Path, **how: Any) -> tuple[str, Contract]:
    snapshot = snapshot_of(datasets / name, **how)
    text = draft(snapshot)
    contract = read_contract(text)
    assert unfit(tape_of(folder, snapshot, contract)) == []
    return text, contract


def test_lendingclub_is_drafted_with_its_dates_statuses_leakage_and_grades(datasets: Path, tmp_path: Path) -> None:
    _, contract = real(datasets, "lendingclub_2007_2011/LoanStats3a_2007_2011.csv.gz", tmp_path)
    status = contract.outcome.status
    assert status is not None
    assert (contract.only(Role.APPLIED_AT), status.column) == ("issue_d", "loan_status")
    assert {"Fully Paid"} <= {*status.good}
    assert {"Charged Off"} <= {*status.bad}
    leaking = (
        "total_pymnt total_rec_prncp recoveries collection_recovery_fee last_pymnt_d last_pymnt_amnt settlement_amount"
    )
    assert {*leaking.split()} <= {*contract.with_role(Role.LEAKAGE)}
    assert contract.with_role(Role.INCUMBENT_SCORE) == ("int_rate", "grade", "sub_grade")
    assert contract.only(Role.EXPOSURE) == "loan_amnt"
    assert contract.split.time is not None


def test_the_raw_layout_of_lendingclub_is_read(datasets: Path, tmp_path: Path) -> None:
    _, contract = real(datasets, "lendingclub_2007_2018_sample2k/lending_club_sample.csv.gz", tmp_path)
    columns, status = contract.columns, contract.outcome.status
    assert (columns["term"].type, columns["term"].unit, columns["issue_d"].format) == ("number", "months", "%b-%Y")
    assert status is not None
    assert status.immature == ("Current",)
    assert not {"url", "desc", "emp_title", "member_id"} & {*columns}


def test_give_me_some_credit_is_drafted_with_its_codes(datasets: Path, tmp_path: Path) -> None:
    _, contract = real(datasets, "give_me_some_credit/cs-training.csv.gz", tmp_path)
    coded = [name for name, it in contract.columns.items() if [*it.special] == [96.0, 98.0]]
    assert len(coded) == 3
    assert contract.columns["MonthlyIncome"].missing == ("NA",)
    assert contract.outcome.status is not None
    assert (contract.outcome.status.column, contract.outcome.status.bad) == ("SeriousDlqin2yrs", ("1",))
    assert contract.with_role(Role.PROTECTED) == ("age",)


def test_the_tape_of_taiwan_is_drafted_with_its_protected_columns(datasets: Path, tmp_path: Path) -> None:
    _, contract = real(datasets, "uci_taiwan_credit_card/default_of_credit_card_clients.csv.gz", tmp_path)
    assert contract.with_role(Role.PROTECTED) == ("SEX", "MARRIAGE", "AGE")
    assert contract.with_role(Role.IDENTIFIER) == ("ID",)
    assert contract.only(Role.OUTCOME) == "default payment next month"
    assert contract.columns["PAY_0"].min is None


def test_german_credit_needs_its_layout_and_is_drafted_with_it(datasets: Path, tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="was read as a single column") as caught:
        draft(snapshot_of(datasets / "german_credit" / "german.data"))
    assert "`header`" in str(caught.value.hint)
    header = (*(f"x{place}" for place in range(20)), "class")
    text, contract = real(datasets, "german_credit/german.data", tmp_path, delimiter=" ", header=header)
    assert contract.outcome.status is not None
    assert (contract.applications.header, contract.outcome.status.bad) == (header, ("2",))
    assert 'delimiter: " "' in text
