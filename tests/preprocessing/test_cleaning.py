"""Rows in are rows used, quarantined or excluded, each with its reasons; caps come from train alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obligor.core.contract import Contract, parse_contract
from obligor.core.errors import TapeError
from obligor.core.snapshot import Snapshot, SnapshotFile
from obligor.preprocessing.cleaning import Accounting, learn_caps, settle_fates, write_quarantine
from obligor.preprocessing.engine import connect
from obligor.preprocessing.tape import Tape, read_tape
from obligor.preprocessing.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS: dict[str, Any] = {
    "id": {"type": "text", "unique": True, "role": "identifier"},
    "x": {"type": "number", "role": "predictor", "max": 100, "special": {999: "refused"}, "cap": [0.1, 0.9]},
    "name": {"type": "text", "privacy": "direct"},
    "status": {"type": "text", "role": "outcome"},
}
EXCLUDE = [{"when": "x < 2", "reason": "too small"}, {"when": "status = 'test'", "reason": "a test"}]
HEADER = "id,x,name,status\n"


def contract_of(columns: dict[str, Any], **more: Any) -> Contract:
    return parse_contract({
        "schema": "obligor/contract/1", "name": "test", "applications": {"columns": columns}, "split": {"random": {}},
        "outcome": {"window_months": 12, "status": {"column": "status", "good": ["good"], "bad": ["bad"]}}, **more,
    })  # fmt: skip


CONTRACT = contract_of(COLUMNS, exclude=EXCLUDE)


def cleaned(folder: Path, content: str) -> tuple[Tape, Accounting]:
    path = folder / "tape.csv"
    path.write_text(content)
    file = SnapshotFile("applications", path, "csv", 0, "", ",", "utf-8", "none")
    snapshot = Snapshot("hash", "test", (file,))
    tape = read_tape(connect(folder / "run"), snapshot, applications=CONTRACT.applications, histories={})
    validate(tape, CONTRACT)
    return tape, settle_fates(tape, CONTRACT)


def fates(tape: Tape) -> list[tuple[str, list[str]]]:
    return tape.db.execute("SELECT fate, reasons FROM fate ORDER BY _row").fetchall()


# --- laws --------------------------------------------------------------------------------------------------------

ROWS = st.tuples(
    st.sampled_from(["1", "2", "3", ""]),
    st.sampled_from(["", "1", "5", "50", "101", "999", "ten", "inf"]),
    st.sampled_from(["", "Ada"]),
    st.sampled_from(["good", "bad", "test"]),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=30))
def test_every_row_has_one_fate_and_the_accounting_adds_up(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    tape, accounting = cleaned(tmp_path_factory.mktemp("tape"), HEADER + "".join(",".join(it) + "\n" for it in rows))
    settled = fates(tape)
    assert len(settled) == len(rows) == accounting.rows
    assert [fate for fate, _ in settled].count("used") == accounting.used
    assert sum(accounting.quarantined.values()) == [fate for fate, _ in settled].count("quarantined")
    assert sum(accounting.excluded.values()) == [fate for fate, _ in settled].count("excluded")
    assert all(bool(reasons) == (fate != "used") for fate, reasons in settled)


def test_an_accounting_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(TapeError, match="5 rows came in, 4 are settled"):
        Accounting(5, 2, {"a": 1}, {"b": 1})


# --- fates -------------------------------------------------------------------------------------------------------


def test_of_equal_rows_the_first_is_kept_and_conflicting_rows_are_all_quarantined(tmp_path: Path) -> None:
    tape, accounting = cleaned(tmp_path, HEADER + "1,5,,good\n1,5,,good\n2,5,,good\n2,6,,good\n2,6,,good\n,5,,good\n")
    conflict = "id: has the same key as a row that differs"
    copy = "duplicate of an earlier row"
    assert fates(tape) == [
        ("used", []), ("excluded", [copy]), ("quarantined", [conflict]), ("quarantined", [conflict]),
        ("excluded", [copy]), ("used", []),
    ]  # fmt: skip
    assert accounting == Accounting(6, 2, {conflict: 2}, {copy: 2})


def test_rows_that_differ_only_in_what_cannot_be_read_are_no_copies(tmp_path: Path) -> None:
    tape, _ = cleaned(tmp_path, HEADER + ",ten,,good\n,two,,good\n")
    assert [fate for fate, _ in fates(tape)] == ["quarantined"] * 2


def test_quarantine_goes_before_exclusion_and_all_reasons_are_kept_in_order(tmp_path: Path) -> None:
    tape, accounting = cleaned(tmp_path, HEADER + "1,ten,,test\n2,1,,test\n3,101,,good\n4,,,good\n5,999,,good\n")
    unread, large = "x: cannot be read as the column's type", "x: is above the highest value that can be true"
    assert fates(tape) == [
        ("quarantined", [unread, "a test"]), ("excluded", ["too small", "a test"]), ("quarantined", [large]),
        ("used", []), ("used", []),
    ]  # fmt: skip
    assert accounting.to_plain() == {
        "rows": 5, "used": 2, "quarantined": {large: 1, unread: 1}, "excluded": {"too small": 1},
    }  # fmt: skip


def test_rows_whose_outcome_is_not_known_are_excluded_with_their_reason(tmp_path: Path) -> None:
    tape, _ = cleaned(tmp_path, HEADER + "1,5,,good\n2,6,,late\n3,ten,,late\n")
    tape.db.execute("CREATE TABLE immature AS SELECT _row FROM applications WHERE status = 'late'")
    accounting = settle_fates(tape, CONTRACT, excluded={"outcome is immature": "immature"})
    assert accounting.excluded == {"outcome is immature": 1}
    assert (accounting.used, sum(accounting.quarantined.values())) == (1, 1)


# --- quarantine and caps -----------------------------------------------------------------------------------------


def test_the_quarantine_shows_its_rows_and_reasons_but_no_person(tmp_path: Path) -> None:
    tape, _ = cleaned(tmp_path, HEADER + "1,5,Ada,good\n2,101,Rosalind,test\n")
    path = tmp_path / "out" / "quarantine.parquet"
    assert write_quarantine(tape, CONTRACT, path) == 1
    large = "x: is above the highest value that can be true"
    assert pq.read_table(path).to_pylist() == [
        {"_row": 1, "reasons": [large, "a test"], "id": "2", "x": 101.0, "status": "test"}
    ]
    assert [it.name for it in path.parent.iterdir()] == [path.name]


def test_an_empty_quarantine_is_written_too(tmp_path: Path) -> None:
    tape, _ = cleaned(tmp_path, HEADER + "1,5,Ada,good\n")
    assert write_quarantine(tape, CONTRACT, tmp_path / "q.parquet") == 0
    assert pq.read_table(tmp_path / "q.parquet").column_names == ["_row", "reasons", "id", "x", "status"]


def test_caps_are_quantiles_of_the_train_rows_without_special_codes(tmp_path: Path) -> None:
    rows = [f"{index},{index},,good" for index in range(1, 11)] + ["11,999,,good", "12,,,good", "13,90,,good"]
    tape, _ = cleaned(tmp_path, HEADER + "\n".join(rows) + "\n")
    tape.db.execute("CREATE TABLE train AS SELECT _row FROM applications WHERE _row < 12")
    assert learn_caps(tape, CONTRACT, train="train") == {"x": (1.0, 9.0)}
    tape.db.execute("CREATE TABLE none AS SELECT _row FROM applications WHERE FALSE")
    assert learn_caps(tape, CONTRACT, train="none") == {}


# --- real tapes --------------------------------------------------------------------------------------------------


def test_give_me_some_credit_is_accounted_for_to_the_last_row(tmp_path: Path, datasets: Path) -> None:
    past_due = {"type": "number", "role": "predictor", "min": 0, "max": 90, "special": {96: "other", 98: "refused"}}
    contract = parse_contract({
        "schema": "obligor/contract/1", "name": "gmsc", "split": {"random": {}},
        "applications": {"columns": {
            "age": {"type": "number", "role": "predictor", "min": 18},
            "MonthlyIncome": {"type": "number", "role": "predictor", "missing": ["NA"]},
            "NumberOfTimes90DaysLate": past_due,
            "SeriousDlqin2yrs": {"type": "text", "role": "outcome", "levels": ["0", "1"], "required": True},
        }},
        "outcome": {"window_months": 24, "status": {"column": "SeriousDlqin2yrs", "good": [0], "bad": [1]}},
    })  # fmt: skip
    path = datasets / "give_me_some_credit" / "cs-training.csv.gz"
    file = SnapshotFile("applications", path, "csv", 0, "", ",", "utf-8", "gzip")
    snapshot = Snapshot("hash", "test", (file,))
    tape = read_tape(connect(tmp_path / "run"), snapshot, applications=contract.applications, histories={})
    findings = validate(tape, contract)
    accounting = settle_fates(tape, contract)
    assert tape.db.execute("SELECT COUNT(*) - COUNT(MonthlyIncome) FROM applications").fetchone() == (29_731,)
    assert (findings.rows, findings.quarantined) == (150_000, 1)
    assert accounting.quarantined == {"age: is below the lowest value that can be true": 1}
    assert accounting.used + sum(accounting.excluded.values()) == 149_999
