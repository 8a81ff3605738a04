"""A tape is held against its contract: what is wrong is found and counted, and limits are kept by a gate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obligor.core.clauses import Limits
from obligor.core.contract import Contract, parse_contract
from obligor.core.errors import ContractError, GateError
from obligor.core.findings import FindingCode, Findings
from obligor.core.snapshot import Snapshot, SnapshotFile
from obligor.preprocessing.engine import connect
from obligor.preprocessing.suite import suite_of
from obligor.preprocessing.tape import Tape, read_tape
from obligor.preprocessing.validation import gate, validate

if TYPE_CHECKING:
    from pathlib import Path

STATUS = {"type": "text", "role": "outcome"}


def contract_of(columns: dict[str, Any], **more: Any) -> Contract:
    columns = {"x": {"type": "number", "role": "predictor"}, "status": STATUS} | columns
    return parse_contract({
        "schema": "obligor/contract/1", "name": "test", "applications": {"columns": columns}, "split": {"random": {}},
        "outcome": {"window_months": 12, "status": {"column": "status", "good": ["good"], "bad": ["bad"]}}, **more,
    })  # fmt: skip


def table_file(path: Path, content: str, table: str = "applications") -> SnapshotFile:
    path.write_text(content)
    return SnapshotFile(table, path, "csv", 0, "", ",", "utf-8", "none")


def tape_of(folder: Path, contract: Contract, content: str, **histories: str) -> Tape:
    files = [table_file(folder / "tape.csv", content)]
    files += [table_file(folder / f"{name}.csv", text, name) for name, text in histories.items()]
    snapshot = Snapshot("hash", "test", tuple(files))
    db = connect(folder / "run")
    return read_tape(db, snapshot, applications=contract.applications, histories=contract.histories)


def reasons(tape: Tape) -> list[tuple[int, str, str]]:
    return tape.db.execute('SELECT _row, code, "column" FROM quarantine_reasons ORDER BY ALL').fetchall()


def failed(findings: Findings) -> list[tuple[str, str | None, int, int]]:
    return [(str(it.code), it.column, it.rows_failed, it.rows_checked) for it in findings.failed]


# --- a second opinion --------------------------------------------------------------------------------------------

VALUES = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 98.0, 99.0]), st.integers(-20, 120).map(float))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(VALUES, st.sampled_from(["", "a", "b", "c"])), min_size=1, max_size=40))
def test_great_expectations_blames_the_rows_that_plain_arithmetic_blames(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float | None, str]]
) -> None:
    contract = contract_of({
        "x": {"type": "number", "role": "predictor", "required": True, "min": 0, "max": 90,
              "special": {-1: "none", 98: "refused"}},
        "level": {"type": "text", "levels": ["a", "b"]},
        "id": {"type": "text", "unique": True},
    })  # fmt: skip
    lines = [f"{'' if x is None else x},{level},good,{index // 2 * 2}" for index, (x, level) in enumerate(rows)]
    folder = tmp_path_factory.mktemp("tape")
    tape = tape_of(folder, contract, "\n".join(["x,level,status,id", *lines, ""]))
    validate(tape, contract)
    x = np.array([np.nan if it is None else it for it, _ in rows])
    levels = np.array([it for _, it in rows])
    real = ~np.isnan(x) & ~np.isin(x, [-1, 98])
    row = np.arange(len(rows))
    mate = np.minimum(row ^ 1, len(rows) - 1)
    differs = np.array([rows[a] != rows[b] for a, b in zip(row, mate, strict=True)])
    wanted = {
        ("missing_required", "x"): np.isnan(x),
        ("below_min", "x"): real & (x < 0),
        ("above_max", "x"): real & (x > 90),
        ("unknown_level", "level"): ~np.isin(levels, ["", "a", "b"]),
        ("duplicate_key", "id"): differs & (mate != row),
    }
    assert reasons(tape) == sorted((int(at), *key) for key, mask in wanted.items() for at in np.flatnonzero(mask))


# --- what follows from the columns -------------------------------------------------------------------------------


def test_a_value_that_is_refused_is_quarantined_by_its_limit_and_read_no_more(tmp_path: Path) -> None:
    """A row is put in quarantine as it is where the value is only flagged; a history reads it as missing."""
    limited: dict[str, dict[str, Any]] = {
        "x": {
            "type": "number",
            "role": "predictor",
            "min": 0,
            "max": 1,
            "scale": 0.01,
            "special": {-1: "no"},
            "missing": [-9],
        },
        "day": {"type": "date", "min": "2010-01-01", "role": "applied_at", "required": True},
    }
    history = {"key": ["id", "id"], "event_at": "at", "columns": {"id": {"type": "text"}, "at": {"type": "date"}}}
    content = (
        "id,x,day,status\na,50,2010-01-01,good\nb,-50,2010-01-01,bad\nc,101,2010-01-01,bad\nd,-1,2010-01-01,good\n"
        "e,-9,2010-01-01,good\nf,100,2009-12-31,good\n"
    )
    found = {}
    for beyond in ("flag", "refuse"):
        columns = {name: it | {"beyond": beyond} for name, it in limited.items()}
        paid = {"type": "number", "max": 10, "beyond": beyond}
        whole = history | {"columns": {**history["columns"], "paid": paid}}  # type: ignore[dict-item]  # columns are one
        contract = contract_of({"id": {"type": "text", "role": "identifier"}, **columns}, histories={"payments": whole})
        folder = tmp_path / beyond
        folder.mkdir()
        tape = tape_of(folder, contract, content, payments="id,at,paid\na,2009-01-01,11\na,2009-01-01,10\n")
        findings = validate(tape, contract)
        gate(findings, Limits(quarantined=0.6, unparsed=0.0))
        counted = [(code, column, count) for code, column, count, _ in failed(findings)]
        assert {("below_min", "x", 1), ("above_max", "x", 1), ("above_max", "paid", 1)} < {*counted}
        assert len(counted) == len({*counted})
        values = tape.db.execute("SELECT x FROM applications ORDER BY _row").fetchall()
        paid_values = tape.db.execute("SELECT paid FROM history_payments ORDER BY _row").fetchall()
        found[beyond] = (reasons(tape), [it for (it,) in values], [it for (it,) in paid_values])
    flagged, refused = found["flag"], found["refuse"]
    assert flagged[0] == [(1, "below_min", "x"), (2, "above_max", "x"), (5, "below_min", "day")]
    assert refused[0] == [*flagged[0], (5, "missing_required", "day")]
    assert flagged[1:] == ([0.5, -0.5, 1.01, -1.0, None, 1.0], [11.0, 10.0])
    assert refused[1:] == ([0.5, None, None, -1.0, None, 1.0], [None, 10.0])


def test_every_rule_of_a_column_is_found_with_its_row_and_its_code(tmp_path: Path) -> None:
    contract = contract_of({
        "day": {"type": "date", "required": True, "min": "2010-01-01", "max": "2011-12-31"},
        "x": {"type": "number", "role": "predictor", "max": 100, "special": {999: "refused"}},
    })  # fmt: skip
    content = (
        "day,x,status\n2010-06-01,1,good\n1969-01-01,2,good\n2012-01-01,101,bad\n,999,good\n2011-02-29,1e400,good\n"
        "2011-01-01,ten,good\n"
    )
    tape = tape_of(tmp_path, contract, content)
    findings = validate(tape, contract)
    assert reasons(tape) == [
        (1, "below_min", "day"), (2, "above_max", "day"), (2, "above_max", "x"), (3, "missing_required", "day"),
        (4, "missing_required", "day"), (4, "not_finite", "x"), (4, "unparsed", "day"), (5, "unparsed", "x"),
    ]  # fmt: skip
    assert (findings.rows, findings.quarantined) == (6, 5)
    assert ("unparsed", "x", 1, 6) in failed(findings)
    assert ("above_max", "x", 1, 3) in failed(findings)  # a code is no number, and is not checked


def test_findings_are_plain_data_without_values(tmp_path: Path) -> None:
    contract = contract_of({"name": {"type": "text", "privacy": "direct", "levels": ["Ada"]}})
    findings = validate(tape_of(tmp_path, contract, "x,status,name\n1,good,Rosalind\nsecret,good,Ada\n"), contract)
    plain = json.dumps(findings.to_plain())
    assert "unknown_level" in plain
    assert "Rosalind" not in plain
    assert "secret" not in plain


def test_the_suite_is_a_value_that_can_be_read_and_stored(tmp_path: Path) -> None:
    contract = contract_of({"day": {"type": "date", "min": "2010-01-01"}})
    findings = validate(tape_of(tmp_path, contract, "x,status,day\n1,good,2010-01-01\n"), contract)
    assert findings.suite == {
        "name": "test",
        "expectations": [
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": {"column": "day", "min_value": "2010-01-01"},
                "severity": "critical",
                "meta": {"code": "below_min"},
            }
        ],
    }
    assert [check.code for check in suite_of(contract)] == [FindingCode.BELOW_MIN]


def test_special_codes_among_real_values_and_columns_without_values_are_warned_of(tmp_path: Path) -> None:
    contract = contract_of({
        "x": {"type": "number", "role": "predictor", "min": 0, "max": 120, "special": {96: "other"}},
        "empty": {"type": "number", "min": 0, "required": False},
    })  # fmt: skip
    findings = validate(tape_of(tmp_path, contract, "x,status,empty\n96,good,\n5,bad,\n"), contract)
    assert failed(findings) == [("no_values", "empty", 2, 2), ("special_in_range", "x", 1, 2)]
    assert findings.quarantined == 0


def test_a_history_is_checked_and_reported_but_puts_no_application_in_quarantine(tmp_path: Path) -> None:
    history = {
        "columns": {
            "id": {"type": "text"}, "due": {"type": "date", "required": True}, "paid": {"type": "number", "min": 0},
        },
        "key": ["id", "id"], "event_at": "due",
    }  # fmt: skip
    columns = {"id": {"type": "text"}, "on": {"type": "date", "role": "applied_at", "required": True}}
    contract = contract_of(columns, histories={"repayments": history})
    tape = tape_of(
        tmp_path, contract, "x,status,id,on\n1,good,1,2011-01-01\n", repayments="id,due,paid\n1,2011-01-01,-5\n1,,x\n"
    )
    findings = validate(tape, contract)
    assert failed(findings) == [
        ("unparsed", "paid", 1, 2), ("missing_required", "due", 1, 2), ("below_min", "paid", 1, 2),
    ]  # fmt: skip
    assert findings.quarantined == 0
    with pytest.raises(GateError, match=r"unparsed +repayments.paid +1 +50.00% +10.00%"):
        gate(findings, Limits(unparsed=0.1))


# --- what the contract adds --------------------------------------------------------------------------------------


def expecting(*expectations: dict[str, Any]) -> Contract:
    columns = {"y": {"type": "number", "special": {-1: "none"}}, "day": {"type": "date"}}
    return contract_of(columns, expectations=list(expectations))


PAIRS = "x,y,day,status\n5,1,2010-01-01,good\n1,5,2010-06-01,good\n2,7,2009-01-01,bad\n3,-1,,bad\n"
GREATER = {
    "type": "expect_column_pair_values_a_to_be_greater_than_b",
    "kwargs": {"column_A": "x", "column_B": "y", "ignore_row_if": "either_value_is_missing"},
    "because": "x includes y",
}


@pytest.mark.parametrize(
    ("expectation", "rows"),
    [
        (GREATER, [1, 2]),
        (GREATER | {"severity": "warning"}, []),
        (GREATER | {"kwargs": GREATER["kwargs"] | {"row_condition": "status = 'good'"}}, [1]),  # type: ignore[operator]
        (GREATER | {"kwargs": GREATER["kwargs"] | {"mostly": 0.3}}, []),  # type: ignore[operator]
        (
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "day", "min_value": "2010-01-01"}},
            [2],
        ),
        ({"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "y"}}, []),
        (
            {
                "type": "expect_column_mean_to_be_between",
                "kwargs": {"column": "x", "min_value": 9, "row_condition": "x > 100"},
            },
            [],
        ),
        ({"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["x", "status"]}}, []),
    ],
)
def test_an_expectation_of_the_contract_sends_its_failing_rows_to_quarantine(
    tmp_path: Path, expectation: dict[str, Any], rows: list[int]
) -> None:
    contract = expecting(expectation)
    tape = tape_of(tmp_path, contract, PAIRS)
    validate(tape, contract)
    assert [row for row, code, _ in reasons(tape) if code == "expectation"] == rows


def test_the_same_expectation_may_stand_twice(tmp_path: Path) -> None:
    contract = expecting(GREATER, GREATER)
    findings = validate(tape_of(tmp_path, contract, PAIRS), contract)
    assert [it.rows_failed for it in findings.failed if it.code is FindingCode.EXPECTATION] == [2, 2]


def test_an_expectation_of_the_whole_table_stops_the_run_where_it_is_critical(tmp_path: Path) -> None:
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "x", "max_value": 2}, "because": "units"}
    size = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 5}, "severity": "warning"}
    contract = expecting(mean, size)
    tape = tape_of(tmp_path, contract, PAIRS)
    findings = validate(tape, contract)
    assert [it.blames_rows for it in findings.failed] == [False, False]
    with pytest.raises(
        GateError, match=r"mean_to_be_between of 'x': does not hold, observed 2.75 \(units\)"
    ) as stopped:
        gate(findings, Limits())
    assert "row_count" not in str(stopped.value)


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ({"type": "expect_nonsense"}, r"expectations\.0: expect_nonsense cannot be evaluated: .* not found"),
        ({"type": "expect_column_max_to_be_between", "kwargs": {"column": "z"}}, "there is no column 'z'"),
        (
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "least": 1}},
            "expectations.0: .*extra fields not permitted",
        ),
        (
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "status", "regex": "("}},
            r"expectations.0: expect_column_values_to_match_regex cannot be evaluated: ",
        ),
        (
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "status", "min_value": 1}},
            "expectations.0: expect_column_values_to_be_between cannot be evaluated: ",
        ),
        (
            {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT * FROM {batch}"}},
            "unexpected_rows_expectation cannot be evaluated",
        ),
        (
            GREATER | {"kwargs": {"column_A": "x", "column_B": "y", "row_condition": "__import__('os')"}},
            "row_condition: ",
        ),
    ],
)
def test_an_expectation_that_cannot_be_evaluated_is_an_error_and_never_bad_data(
    tmp_path: Path, expectation: dict[str, Any], message: str
) -> None:
    contract = expecting(expectation)
    tape = tape_of(tmp_path, contract, PAIRS)
    with pytest.raises(ContractError, match=message):
        validate(tape, contract)


# --- the gate ----------------------------------------------------------------------------------------------------


def test_the_gate_shows_every_limit_that_is_broken_in_a_table(tmp_path: Path) -> None:
    contract = contract_of({"x": {"type": "number", "role": "predictor", "max": 10}})
    tape = tape_of(tmp_path, contract, "x,status\n" + "1,good\n" * 7 + "11,bad\nten,good\n?,good\n")
    findings = validate(tape, contract)
    gate(findings, Limits(quarantined=0.3, unparsed=0.2))
    with pytest.raises(GateError) as stopped:
        gate(findings, Limits())
    assert str(stopped.value).splitlines()[:6] == [
        "the tape breaks 2 limits of its contract",
        "code         column  rows  share   limit",
        "quarantined          3     30.00%  2.00%",
        "  unparsed   x       2     20.00%",
        "  above_max  x       1     12.50%",
        "unparsed     x       2     20.00%  1.00%",
    ]


def test_a_column_of_the_wrong_type_stops_the_run(tmp_path: Path) -> None:
    contract = contract_of({})
    findings = validate(tape_of(tmp_path, contract, "x,status\nlow,good\nhigh,bad\n"), contract)
    with pytest.raises(GateError, match=r"unparsed +x +2 +100.00% +1.00%"):
        gate(findings, Limits(quarantined=1))
