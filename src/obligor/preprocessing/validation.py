"""Holds a tape against its contract with Great Expectations, and names every row that fails.

Each expectation sees only the columns that it reads, of all rows at once: so uniqueness and means are of the whole
tape, and a million rows by fifty columns never stand in memory together. An expectation that could not be evaluated is
an error of the contract; Great Expectations would report it as data that failed.

Histories are checked in the engine itself: they may hold tens of millions of rows, and none of theirs is put in
quarantine.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from obligor.core.contract import contract_error
from obligor.core.dialects import Dialect, emit
from obligor.core.errors import GateError, Problem
from obligor.core.findings import REASONS, Finding, FindingCode, Findings
from obligor.preprocessing.cleaning import mark_copies
from obligor.preprocessing.engine import among, fetch_one, identifier, value
from obligor.preprocessing.suite import Check, suite_of, suite_to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    import pandas as pd

    from obligor.core.contract import Column, Contract, Limits
    from obligor.core.expressions import Expression
    from obligor.preprocessing.tape import Tape, TapeTable

QUARANTINE_REASONS = "quarantine_reasons"
_UNREADABLE = (FindingCode.UNPARSED, FindingCode.NOT_FINITE, FindingCode.COLLIDES)
_COMPLETE = {
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
}


@dataclass(frozen=True, slots=True)
class _Result:
    """What Great Expectations says of one check."""

    passed: bool
    blames_rows: bool
    rows_checked: int
    failed: tuple[int, ...]
    observed: float | None


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
        f'CREATE OR REPLACE TABLE {QUARANTINE_REASONS} AS SELECT _row, code, "column", '  # noqa: S608  a literal
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
    (quarantined,) = fetch_one(tape.db, f"SELECT COUNT(DISTINCT _row) FROM {QUARANTINE_REASONS}")  # noqa: S608  constant
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
        limits_broken = sum(not code.startswith(" ") for code, *_ in broken)
        raise GateError(
            f"the tape breaks {limits_broken} limit{'s' * (limits_broken > 1)} of its contract\n{_table(broken)}",
            hint="mend the tape or, where the data are right, the contract",
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
    """Give a finding for each column: how many of its values could not be read, and whether it has any."""
    counts = [f"COUNT({identifier(column)})" for column in table.columns]
    held = fetch_one(tape.db, f"SELECT {', '.join(counts)} FROM {identifier(table.name)}")  # noqa: S608  quoted
    noted: dict[tuple[str, str], int] = {
        (column, code): count
        for column, code, count in tape.db.execute(
            f'SELECT "column", code, COUNT(*) FROM {identifier(table.unparsed)} GROUP BY ALL'  # noqa: S608  quoted
        ).fetchall()
    }
    for column, values in zip(table.columns, held, strict=True):
        faults = {code: noted.get((column, code), 0) for code in _UNREADABLE}
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
            rows = f"SELECT COUNT({column_sql}), COUNT(*) FILTER ({among(column_sql, within)}) FROM applications"  # noqa: S608
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
                (failed,) = fetch_one(db, f"SELECT COUNT(*) FROM {identifier(table.name)} WHERE {rule}")  # noqa: S608
                message = f"{name}: {failed} of {table.rows} rows: '{column_name}' {REASONS[code]}"
                yield Finding(code, name, column_name, "rule", message, table.rows, failed, "warning", failed == 0)


# --- Great Expectations ------------------------------------------------------------------------------------------


def _expected(tape: Tape, checks: Sequence[Check], contract: Contract) -> Iterator[Finding]:
    if not checks:
        return
    batches = _Batches()
    built = [_built(check, place, contract) for place, check in enumerate(checks)]
    found: dict[int, Finding] = {}
    for _, group in groupby(
        sorted(range(len(checks)), key=lambda it: _frame_key(checks[it])), lambda it: _frame_key(checks[it])
    ):
        places = list(group)
        frame = _frame(tape, checks[places[0]])
        said = batches.validate(frame, [built[place] for place in places])
        for place in places:
            check = checks[place]
            result = _result(said[place], check=check, rows=len(frame), contract=contract)
            found[place] = _finding(check, result, tape=tape, frame_rows=len(frame))
            if not result.passed and check.severity == "critical" and result.blames_rows:
                _note(tape.db, check, result.failed)
    yield from (found[place] for place in range(len(checks)))


def _frame_key(check: Check) -> tuple[object, ...]:
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
    query = f"SELECT _row, {', '.join(made)} FROM applications {where} ORDER BY _row"  # noqa: S608  quoted
    return tape.db.execute(query).df().set_index("_row")


def _seen(name: str, column: Column, check: Check) -> str:
    column_sql = identifier(name)
    if check.with_specials or not column.special or column.type not in ("number", "text"):
        return column_sql
    return f"CASE WHEN NOT {among(column_sql, tuple(column.special))} THEN {column_sql} END"


def _condition(where: Expression) -> str:
    return f"({emit(where, Dialect.DUCKDB)})"


class _Batches:
    """Great Expectations, quiet and without a home on the disk, ready to take frames."""

    def __init__(self) -> None:
        gx = _great_expectations()
        from great_expectations.data_context.types.base import ProgressBarsConfig

        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("tape").add_dataframe_asset("applications")
        self._suite = gx.ExpectationSuite
        self._definition = asset.add_batch_definition_whole_dataframe("rows")

    def validate(self, frame: pd.DataFrame, expectations: Sequence[Any]) -> dict[int, Mapping[str, Any]]:
        """Give what Great Expectations says of each expectation, by its place, as plain data."""
        batch = self._definition.get_batch({"dataframe": frame})
        suite = self._suite(name="suite", expectations=list(expectations))
        results = batch.validate(suite, result_format=_COMPLETE).results
        return {result.expectation_config.meta["place"]: result.to_json_dict() for result in results}


def _great_expectations() -> Any:  # untyped package
    """Import the package, which takes seconds, without its reports home and its warnings about old modules."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
    return gx


def _built(check: Check, place: int, contract: Contract) -> Any:  # untyped package
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    try:
        return ExpectationConfiguration(type=check.type, kwargs=check.kwargs, meta={"place": place}).to_domain_obj()
    except Exception as error:  # whatever the package raises, the expectation cannot be built
        raise _unusable(check, str(error), contract) from error


def _result(said: Mapping[str, Any], *, check: Check, rows: int, contract: Contract) -> _Result:
    if trouble := _exception(said.get("exception_info")):
        raise _unusable(check, trouble, contract)
    result = said.get("result") or {}
    blames_rows = "unexpected_count" in result
    listed = result.get("unexpected_index_list") or []
    failed = tuple(int(row) for part in listed for row in _rows_of(part))
    observed = result.get("observed_value")
    return _Result(
        passed=bool(said["success"]),
        blames_rows=blames_rows,
        rows_checked=int(result.get("element_count", rows)) - int(result.get("missing_count") or 0),
        failed=failed,
        observed=float(observed) if isinstance(observed, int | float) else None,
    )


def _rows_of(part: object) -> Sequence[Any]:
    """Read one entry of the list of failing rows, which has changed its shape between releases."""
    if isinstance(part, Mapping):
        rows = part["_row"]
        return rows if isinstance(rows, list) else [rows]
    return [part]


def _exception(info: object) -> str | None:
    """Find the message of an expectation that raised; the record is flat, or one for each metric."""
    if not isinstance(info, Mapping):
        return None
    if "raised_exception" in info:
        return str(info.get("exception_message")) if info["raised_exception"] else None
    return next((trouble for part in info.values() if (trouble := _exception(part))), None)


def _unusable(check: Check, trouble: str, contract: Contract) -> Exception:
    """Name the expectation that cannot be evaluated, without the value over which it fell."""
    told = " ".join(re.sub(r":\s*(b?'[^']*'|b?\"[^\"]*\")", "", trouble).split())[:300]
    message = f"{check.type} cannot be evaluated: {told}"
    if check.code is not FindingCode.EXPECTATION:
        return contract_error([Problem(("applications", "columns", check.column or ""), message)])
    same = [it for it in contract.expectations if it.type == check.type]
    near = [it for it in same if all(str(it.kwargs.get(key)) == str(check.kwargs.get(key)) for key in ("column",))]
    return contract_error([Problem(("expectations", contract.expectations.index((near or same)[0])), message)])


def _finding(check: Check, result: _Result, *, tape: Tape, frame_rows: int) -> Finding:
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
        f"INSERT INTO {QUARANTINE_REASONS} SELECT _row, ?, ?, ? FROM failing_rows",  # noqa: S608  a constant
        [str(check.code), check.column, check.type],
    )
    db.unregister("failing_rows")
