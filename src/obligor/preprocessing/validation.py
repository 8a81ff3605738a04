"""Holds a tape against its contract with Great Expectations, and names every row that fails.

Each expectation sees only the columns that it reads, of all rows at once: so uniqueness and means are of the whole
tape, and a million rows by fifty columns never stand in memory together. An expectation that could not be evaluated is
an error of the contract; Great Expectations would report it as data that failed.

Histories are checked in the engine itself: they may hold tens of millions of rows, and none of theirs is put in
quarantine.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from obligor.core.contract import contract_error
from obligor.core.dialects import Dialect, emit
from obligor.core.errors import ContractError, GateError, Problem
from obligor.core.findings import REASONS, Finding, FindingCode, Findings
from obligor.preprocessing.batches import Batches, UnusableError
from obligor.preprocessing.cleaning import mark_copies
from obligor.preprocessing.engine import among, fetch_one, identifier, value
from obligor.preprocessing.suite import Check, suite_of, suite_to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    import pandas as pd

    from obligor.core.clauses import Limits
    from obligor.core.columns import Column
    from obligor.core.contract import Contract
    from obligor.core.expressions import Expression
    from obligor.preprocessing.batches import Built, Result
    from obligor.preprocessing.tape import Tape, TapeTable

QUARANTINE_REASONS = "quarantine_reasons"
_UNREADABLE = (FindingCode.UNPARSED, FindingCode.NOT_FINITE, FindingCode.COLLIDES)
_FAULTS = (*_UNREADABLE, FindingCode.BELOW_MIN, FindingCode.ABOVE_MAX)


def validate(tape: Tape, contract: Contract) -> Findings:
    """Hold a tape against its contract; bad data are found, never raised.

    Leaves two tables in the engine: ``copies(_row)``, the rows that repeat an earlier one, and
    ``quarantine_reasons(_row, code, column, check)``, a line for every critical failure of a row.

    Raises
    ------
    ContractError
        Where an expectation cannot be evaluated.
    """
    checks = suite_of(contract)
    mark_copies(tape)
    tape.db.execute(
        f'CREATE OR REPLACE TABLE {QUARANTINE_REASONS} AS SELECT _row, code, "column", '
        f"'readable' AS \"check\" FROM {identifier(tape.applications.unparsed)}"
    )
    found = [
        *_readable(tape, tape.applications, name="applications", severity="critical"),
        *_copied(tape),
        *_ambiguous(tape),
        *_expected(tape, checks, contract),
    ]
    for name, table in tape.histories.items():
        found += _readable(tape, table, name=name, severity="warning")
        found += _kept_limits(tape.db, table, name=name)
    (quarantined,) = fetch_one(tape.db, f"SELECT COUNT(DISTINCT _row) FROM {QUARANTINE_REASONS}")
    return Findings(tape.rows, tuple(found), quarantined, suite_to_plain(contract.name, checks))


def gate(findings: Findings, limits: Limits) -> None:
    """Stop where the findings break a limit that the contract set.

    Raises
    ------
    GateError
        With a table of every limit that is broken.
    """
    broken = list(_broken(findings, limits))
    if broken:
        unread = any(it.code is FindingCode.UNPARSED for it in findings.failed)
        limits_broken = sum(not code.startswith(" ") for code, *_ in broken)
        raise GateError(
            f"the tape breaks {limits_broken} limit{'s' * (limits_broken > 1)} of its contract\n{_table(broken)}",
            hint="mend the tape or, where the data are right, the contract"
            + ("; its `decimal` and `thousands` say how numbers are written, `format` how days are" if unread else ""),
        )


def _broken(findings: Findings, limits: Limits) -> Iterator[tuple[str, ...]]:
    share = findings.quarantined / findings.rows if findings.rows else 0.0
    if share > limits.quarantined:
        yield ("quarantined", "", str(findings.quarantined), f"{share:.2%}", f"{limits.quarantined:.2%}")
        worst = sorted((it for it in findings.failed if it.severity == "critical"), key=lambda it: -it.rows_failed)
        for finding in worst[:10]:
            yield (f"  {finding.code}", _named(finding), str(finding.rows_failed), f"{finding.share:.2%}", "")
    unreadable = sorted((it for it in findings.failed if it.code in _UNREADABLE), key=lambda it: (it.table, it.column))
    for place, of_column in groupby(unreadable, key=_named):
        these = list(of_column)
        failed, checked = sum(it.rows_failed for it in these), these[0].rows_checked
        if failed / checked > limits.unparsed:
            yield ("unparsed", place, str(failed), f"{failed / checked:.2%}", f"{limits.unparsed:.2%}")
    for finding in findings.failed:
        if finding.severity == "critical" and not finding.blames_rows:
            yield (str(finding.code), finding.message, "", "", "must hold")


def _named(finding: Finding) -> str:
    column = finding.column or finding.check
    return column if finding.table == "applications" else f"{finding.table}.{column}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = [("code", "column", "rows", "share", "limit"), *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(5)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


# --- what the reader noted ---------------------------------------------------------------------------------------


def _readable(tape: Tape, table: TapeTable, *, name: str, severity: Any) -> Iterator[Finding]:  # a Severity
    """Give a finding for each column: how many of its values could not be read, or are refused, and whether it has any."""
    counts = [f"COUNT({identifier(column)})" for column in table.columns]
    held = fetch_one(tape.db, f"SELECT {', '.join(counts)} FROM {identifier(table.name)}")
    noted: dict[tuple[str, str], int] = {
        (column, code): count
        for column, code, count in tape.db.execute(
            f'SELECT "column", code, COUNT(*) FROM {identifier(table.unparsed)} GROUP BY ALL'
        ).fetchall()
    }
    for column, values in zip(table.columns, held, strict=True):
        faults = {code: noted.get((column, code), 0) for code in _FAULTS}
        checked = values + sum(faults.values())
        for code, failed in faults.items():
            if failed or code is FindingCode.UNPARSED:
                message = f"{name}: {failed} of {checked} values of '{column}' {_plural(REASONS[code], failed)}"
                yield Finding(code, name, column, "readable", message, checked, failed, severity, failed == 0)
        if checked == 0 and table.rows:
            message = f"{name}: '{column}' holds no value in any of {table.rows} rows"
            yield Finding(
                FindingCode.NO_VALUES, name, column, "has values", message, table.rows, table.rows, "warning", False
            )


def _plural(reason: str, count: int) -> str:
    return (
        reason
        if count == 1
        else {"is ": "are ", "falls ": "fall ", "lacks ": "lack "}.get(
            reason[: reason.index(" ") + 1], reason[: reason.index(" ") + 1]
        )
        + reason[reason.index(" ") + 1 :]
    )


def _copied(tape: Tape) -> Iterator[Finding]:
    (copies,) = fetch_one(tape.db, "SELECT COUNT(*) FROM copies")
    message = f"{copies} of {tape.rows} rows repeat an earlier row in every column; they are excluded"
    yield Finding(
        FindingCode.DUPLICATE_ROW,
        "applications",
        None,
        "rows differ",
        message,
        tape.rows,
        copies,
        "warning",
        copies == 0,
    )


def _ambiguous(tape: Tape) -> Iterator[Finding]:
    """Warn of special codes that lie where real values may: the contract's word decides, but a person should know."""
    for name, column in tape.columns.items():
        within = tuple(code for code in column.special if isinstance(code, float) and _in_limits(code, column))
        if within and column.type == "number":
            column_sql = identifier(name)
            rows = f"SELECT COUNT({column_sql}), COUNT(*) FILTER ({among(column_sql, within)}) FROM applications"
            checked, failed = fetch_one(tape.db, rows)
            message = f"{failed} of {checked} values of '{name}' are special codes that lie between its min and max"
            yield Finding(
                FindingCode.SPECIAL_IN_RANGE, "applications", name, "codes stand apart", message, checked, failed,
                "warning", failed == 0,
            )  # fmt: skip


def _in_limits(code: float, column: Column) -> bool:
    low, high = column.min, column.max
    if not isinstance(low, float) and not isinstance(high, float):
        return False
    return (not isinstance(low, float) or code >= low) and (not isinstance(high, float) or code <= high)


def _kept_limits(db: duckdb.DuckDBPyConnection, table: TapeTable, *, name: str) -> Iterator[Finding]:
    """Hold a history against the rules of its columns."""
    for column_name, column in table.columns.items():
        column_sql = identifier(column_name)
        codes = tuple(column.special) if column.type in ("number", "text") else ()
        real = f"{column_sql} IS NOT NULL AND NOT {among(column_sql, codes)}"
        rules = {
            FindingCode.MISSING_REQUIRED: f"{column_sql} IS NULL" if column.required else None,
            FindingCode.BELOW_MIN: f"{real} AND {column_sql} < {value(column.min)}" if column.min is not None else None,
            FindingCode.ABOVE_MAX: f"{real} AND {column_sql} > {value(column.max)}" if column.max is not None else None,
            FindingCode.UNKNOWN_LEVEL: f"{real} AND NOT {among(f'CAST({column_sql} AS VARCHAR)', column.levels)}"
            if column.levels is not None and column.type == "text"
            else None,
        }
        for code, rule in rules.items():
            if rule is not None:
                (failed,) = fetch_one(db, f"SELECT COUNT(*) FROM {identifier(table.name)} WHERE {rule}")
                message = f"{name}: {failed} of {table.rows} rows: '{column_name}' {REASONS[code]}"
                yield Finding(code, name, column_name, "rule", message, table.rows, failed, "warning", failed == 0)


# --- Great Expectations ------------------------------------------------------------------------------------------


def _expected(tape: Tape, checks: Sequence[Check], contract: Contract) -> Iterator[Finding]:
    if not checks:
        return
    batches = Batches()
    try:
        built = [batches.build(check, place) for place, check in enumerate(checks)]
        keys = [_frame_key(check) for check in checks]
        found: dict[int, Finding] = {}
        for _, places in groupby(sorted(range(len(checks)), key=keys.__getitem__), keys.__getitem__):
            found |= _of_frame(tape, [built[place] for place in places], batches=batches)
    except UnusableError as error:
        raise _refusal(error, contract) from error
    yield from (found[place] for place in range(len(checks)))


def _of_frame(tape: Tape, members: Sequence[Built], *, batches: Batches) -> dict[int, Finding]:
    """Evaluate the checks that read the same part of the tape, and note the rows that fail."""
    frame = _frame(tape, members[0].check)
    results = batches.validate(frame, members)
    for built in members:
        result = results[built.place]
        if not result.passed and built.check.severity == "critical" and result.blames_rows:
            _note(tape.db, built.check, result.failed)
    return {it.place: _finding(it.check, results[it.place], tape=tape, frame_rows=len(frame)) for it in members}


def _frame_key(check: Check) -> tuple[tuple[str, ...], bool, bool, str]:
    where = check.where.source if check.where else ""
    return (check.columns, check.with_specials, check.among_copies, where)


def _frame(tape: Tape, check: Check) -> pd.DataFrame:
    """Fetch what a check reads, with the position of each row as its index."""
    if check.columns:
        made = [f"{_seen(name, tape.columns[name], check)} AS {identifier(name)}" for name in check.columns]
    else:  # about the table: its columns by name, and its rows by number
        made = [f"CAST(0 AS TINYINT) AS {identifier(name)}" for name in tape.columns]
    conditions = [] if check.among_copies else ["_row NOT IN (SELECT _row FROM copies)"]
    if check.where is not None:
        conditions.append(_condition(check.where))
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = f"SELECT _row, {', '.join(made)} FROM applications {where} ORDER BY _row"
    return tape.db.execute(query).df().set_index("_row")


def _seen(name: str, column: Column, check: Check) -> str:
    column_sql = identifier(name)
    if check.with_specials or not column.special or column.type not in ("number", "text"):
        return column_sql
    return f"CASE WHEN NOT {among(column_sql, tuple(column.special))} THEN {column_sql} END"


def _condition(where: Expression) -> str:
    return f"({emit(where, Dialect.DUCKDB)})"


def _refusal(error: UnusableError, contract: Contract) -> ContractError:
    """Name the expectation that cannot be evaluated, and its place in the contract."""
    check = error.check
    if check.code is not FindingCode.EXPECTATION:
        return contract_error([Problem(("applications", "columns", check.column or ""), str(error))])
    added = [it for it in suite_of(contract) if it.code is FindingCode.EXPECTATION]
    return contract_error([Problem(("expectations", added.index(check)), str(error))])


def _finding(check: Check, result: Result, *, tape: Tape, frame_rows: int) -> Finding:
    what = f"'{check.column}'" if check.column else ", ".join(f"'{name}'" for name in check.columns) or "the table"
    because = f" ({check.because})" if check.because else ""
    shown = all(tape.columns[name].privacy == "none" for name in check.columns)
    if result.blames_rows:
        reason = check.type if check.code is FindingCode.EXPECTATION else REASONS[check.code]
        message = f"{len(result.failed)} of {result.rows_checked} rows: {what} {reason}{because}"
    else:
        observed = f", observed {result.observed:g}" if result.observed is not None and shown else ""
        message = f"{check.type} of {what}: {'holds' if result.passed else 'does not hold'}{observed}{because}"
    return Finding(
        check.code,
        "applications",
        check.column,
        check.type,
        message,
        result.rows_checked if result.blames_rows else frame_rows,
        len(result.failed),
        check.severity,
        result.passed,
        result.blames_rows,
    )


def _note(db: duckdb.DuckDBPyConnection, check: Check, rows: Sequence[int]) -> None:
    db.register("failing_rows", pa.table({"_row": pa.array(rows, pa.int64())}))
    db.execute(
        f"INSERT INTO {QUARANTINE_REASONS} SELECT _row, ?, ?, ? FROM failing_rows",
        [str(check.code), check.column, check.type],
    )
    db.unregister("failing_rows")
