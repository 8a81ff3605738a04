"""Tells good loans from bad, by the value of a column or by the days past due of the repayments.

Conventions:

- The outcome window runs from ``applied_at`` to the same day ``window_months`` months later, that day included; where
  the month has no such day, to its last (31 January and one month is 28 or 29 February).
- An instalment is past due from the day after it fell due until the day it is paid, that day included: paid 90 days
  late, it was 90 days past due.
- A payment after ``observed_at`` was not known then, so the instalment counts as unpaid.
- Instalments that fell due before ``applied_at`` belong to an earlier loan and do not count; nor do those without a due
  date. Both are counted. A date that is there but cannot be read leaves the loan's outcome unknown.
- An application that the contract says was declined has no outcome, at any age; one that has an outcome all the same
  contradicts itself.
- A loan whose window is not over is immature even when it is bad already. Were its early bad kept, its peers who may
  yet turn out good would be missing beside it, and the youngest vintages would look worse than they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.columns import Role
from obligor.core.dialects import Dialect, emit
from obligor.core.errors import ContractError, TapeError
from obligor.core.expressions import parse_expression
from obligor.preprocessing.engine import among, engine_trouble, fetch_one, identifier, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from obligor.core.clauses import DaysPastDueOutcome, StatusOutcome
    from obligor.core.columns import Column, History
    from obligor.core.contract import Contract
    from obligor.core.expressions import Expression
    from obligor.core.syntax import Scalar

OUTCOME, EXCLUSIONS, PROBLEMS, DECLINED = "outcome", "outcome_exclusions", "outcome_problems", "declined"
INDETERMINATE, IMMATURE, MISSING = "indeterminate", "immature", "outcome missing"
NO_DATE, NO_REPAYMENTS, UNREADABLE = "no application date", "no repayments known", "a repayment cannot be read"
UNKNOWN_LEVEL, FUTURE, CONTRADICTION = "unknown_level", "future", "contradiction"
OUTCOME_OF_DECLINED = "outcome_of_declined"

_GOOD, _BAD = "good", "bad"
_TABLES = {
    OUTCOME: (_GOOD, _BAD),
    EXCLUSIONS: (INDETERMINATE, IMMATURE, MISSING, NO_DATE, NO_REPAYMENTS, UNREADABLE),
    PROBLEMS: (UNKNOWN_LEVEL, FUTURE, CONTRADICTION, OUTCOME_OF_DECLINED),
    DECLINED: (DECLINED,),
}
_TRUTHS = dict.fromkeys(("1", "true", "t", "yes", "y"), True) | dict.fromkeys(("0", "false", "f", "no", "n"), False)


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How the loans of a tape turned out, and why the outcome of the others is not known.

    Parameters
    ----------
    excluded, problems : mapping
        Loans by the reason, and by the column and code of what is wrong with them.
    instalments : mapping
        Lines of the repayments by what they were used for; empty for an outcome by status.
    """

    rows: int
    goods: int
    bads: int
    excluded: Mapping[str, int]
    problems: Mapping[str, int]
    instalments: Mapping[str, int]

    def to_plain(self) -> dict[str, object]:
        """Give plain data for the evidence."""
        plain: dict[str, object] = {"rows": self.rows, "goods": self.goods, "bads": self.bads}
        return plain | {name: dict(getattr(self, name)) for name in ("excluded", "problems", "instalments")}


def define_outcome(db: duckdb.DuckDBPyConnection, contract: Contract) -> OutcomeCounts:
    """Settle the outcome of every application, each in exactly one of four tables.

    ``outcome(_row, bad, period)`` has the known ones, with the month of application; ``outcome_exclusions(_row,
    reason)`` those that are not known; ``outcome_problems(_row, code, column)`` those that cannot be true;
    ``declined(_row, applied_at)`` the applications that were declined, and so have none.

    Raises
    ------
    TapeError
        Where the known outcomes are all good or all bad.
    """
    status = contract.outcome.status
    with engine_trouble("telling good loans from bad"):
        verdicts = _by_status(contract, status) if status else _by_repayments(contract)
        db.execute(f"CREATE OR REPLACE TABLE outcome_verdicts AS {verdicts}")
        for table, shown in _TABLES.items():
            db.execute(
                f"CREATE OR REPLACE TABLE {table} AS SELECT _row, {_SHOWN[table]} "
                f"FROM outcome_verdicts WHERE {among('verdict', shown)} ORDER BY _row"
            )
        db.execute("DROP TABLE outcome_verdicts")
        counts = _count(db, contract)
    if not (counts.goods and counts.bads):
        raise _one_kind(counts)
    return counts


_SHOWN = {
    OUTCOME: f"CAST(verdict = '{_BAD}' AS UTINYINT) AS bad, CAST(DATE_TRUNC('month', applied_at) AS DATE) AS period",
    EXCLUSIONS: "verdict AS reason",
    PROBLEMS: 'verdict AS code, "column"',
    DECLINED: "applied_at",
}


def window_end(applied_at: str, contract: Contract) -> str:
    """Write the last day of the outcome window as SQL."""
    return months_after(applied_at, str(contract.outcome.window_months))


def applied_sql(contract: Contract) -> str:
    """Write the column with the day of application, or a missing day."""
    name = contract.only(Role.APPLIED_AT)
    return identifier(name) if name else "CAST(NULL AS DATE)"


def observed_sql(contract: Contract) -> str:
    """Write the day up to which repayments are known."""
    return value(terms_of(contract).observed_at)


def declined_sql(contract: Contract) -> str:
    """Write whether an application was declined as SQL; a condition whose value is not known declines nobody."""
    return "FALSE" if contract.rejects is None else f"COALESCE({emit(_declined(contract), Dialect.DUCKDB)}, FALSE)"


def _declined(contract: Contract) -> Expression:
    types = {name: column.type for name, column in contract.columns.items()}
    return parse_expression(contract.rejects.when if contract.rejects else "FALSE", columns=types)


def _blamed(contract: Contract) -> str:
    """Write the column that tells of a declined application that it was declined."""
    return value(next(iter(_declined(contract).columns), ""))


def months_after(day: str, months: str) -> str:
    """Write the same day some months later, or the last day of that month."""
    return f"CAST({day} + TO_MONTHS(CAST({months} AS INTEGER)) AS DATE)"


# --- by the value of a column ------------------------------------------------------------------------------------


def _by_status(contract: Contract, status: StatusOutcome) -> str:
    column = identifier(status.column)
    text = f"CAST({column} AS VARCHAR)" if contract.columns[status.column].type == "date" else column
    arms = [f"WHEN {among('status', codes)} THEN '{verdict}'" for verdict, codes in _codes(contract, status).items()]
    applied_at = applied_sql(contract)
    late = [f"WHEN {identifier(it)} < {applied_at} THEN {value(it)}" for it in contract.with_role(Role.OUTCOME_DATE)]
    impossible = f"CASE {' '.join(late)} END" if late and contract.only(Role.APPLIED_AT) else "NULL"
    known = among("status", tuple(code for codes in _codes(contract, status).values() for code in codes))
    return (
        f"SELECT _row, applied_at, COALESCE(impossible, IF(declined, {_blamed(contract)}, NULL), {value(status.column)}) "
        f"AS \"column\", CASE WHEN impossible IS NOT NULL THEN '{CONTRADICTION}' "
        f"WHEN declined AND status IS NOT NULL AND {known} THEN '{OUTCOME_OF_DECLINED}' "
        f"WHEN declined THEN '{DECLINED}' WHEN status IS NULL THEN '{MISSING}' "
        f"{' '.join(arms)} ELSE '{UNKNOWN_LEVEL}' END AS verdict FROM (SELECT _row, {text} AS status, "
        f"{applied_at} AS applied_at, {impossible} AS impossible, {declined_sql(contract)} AS declined FROM applications)"
    )


def _codes(contract: Contract, status: StatusOutcome) -> dict[str, tuple[Scalar, ...]]:
    """Read the contract's values as the column's type has them, so that 1 is 1.0."""
    column = contract.columns[status.column]
    listed = {_GOOD: status.good, _BAD: status.bad, INDETERMINATE: status.indeterminate, IMMATURE: status.immature}
    codes = {
        verdict: tuple(_code(text, column, name=status.column) for text in texts) for verdict, texts in listed.items()
    }
    every = [code for of_verdict in codes.values() for code in dict.fromkeys(of_verdict)]
    if len(set(every)) < len(every):
        raise ContractError(f"outcome.status: two outcomes name the same {column.type} of column '{status.column}'")
    return codes


def _code(text: str, column: Column, *, name: str) -> Scalar:
    try:
        if column.type == "bool":
            return _TRUTHS[text.lower()]
        return float(text) if column.type == "number" else text
    except (KeyError, ValueError):
        raise ContractError(f"outcome.status: {text!r} can never be the {column.type} of column '{name}'") from None


# --- by days past due --------------------------------------------------------------------------------------------


def _by_repayments(contract: Contract) -> str:
    rule, observed = terms_of(contract), observed_sql(contract)
    grey = f"WHEN worst >= {rule.indeterminate_days} THEN '{INDETERMINATE}' " if rule.indeterminate_days else ""
    applied_at = applied_sql(contract)
    end = window_end("applied_at", contract)
    unread = ", ".join(value(name) for name in (rule.due_on, rule.paid_on))
    history = contract.histories[rule.history]
    return (
        # The worst days past due within the window: each instalment stands until it is paid or the window ends.
        f"WITH instalments AS ({instalments_sql(contract)}), "
        f"worst AS (SELECT _row, MAX(GREATEST(0, LEAST(COALESCE(paid_on, {end}), {end}) - due_on)) AS worst "
        "FROM instalments GROUP BY _row), "
        f"unread AS (SELECT DISTINCT h.{identifier(history.key[0])} AS key "
        f"FROM {identifier('unparsed_' + rule.history)} u JOIN {_table(rule)} h ON h._row = u._row "
        f'WHERE u."column" IN ({unread}) AND h.{identifier(history.key[0])} IS NOT NULL) '
        f"SELECT _row, applied_at, IF(declined AND worst IS NOT NULL, {_blamed(contract)}, "
        f'{value(contract.only(Role.APPLIED_AT) or "")}) AS "column", CASE '
        f"WHEN applied_at IS NULL THEN '{NO_DATE}' WHEN applied_at > {observed} THEN '{FUTURE}' "
        f"WHEN declined AND worst IS NOT NULL THEN '{OUTCOME_OF_DECLINED}' WHEN declined THEN '{DECLINED}' "
        f"WHEN {end} > {observed} THEN '{IMMATURE}' WHEN key IN (FROM unread) THEN '{UNREADABLE}' "
        f"WHEN worst IS NULL THEN '{NO_REPAYMENTS}' WHEN worst >= {rule.bad_days} THEN '{_BAD}' "
        f"{grey}ELSE '{_GOOD}' END AS verdict FROM "
        f"(SELECT _row, {identifier(history.key[1])} AS key, {applied_at} AS applied_at, "
        f"{declined_sql(contract)} AS declined FROM applications) "
        "LEFT JOIN worst USING (_row)"
    )


def terms_of(contract: Contract) -> DaysPastDueOutcome:
    """Give the terms of an outcome by days past due."""
    terms = contract.outcome.days_past_due
    if terms is None:
        raise ContractError("outcome.days_past_due: the contract has none")
    return terms


def instalments_sql(contract: Contract, usable: str = "applications") -> str:
    """Give the instalments of each application that fell due from the day of application on."""
    rule = terms_of(contract)
    history = contract.histories[rule.history]
    _refuse_unlike_keys(contract, history, name=rule.history)
    paid_on, applied_at = f"h.{identifier(rule.paid_on)}", f"a.{applied_sql(contract)}"
    return (
        f"SELECT a._row, {applied_at} AS applied_at, h.{identifier(rule.due_on)} AS due_on, "
        f"CASE WHEN {paid_on} <= {observed_sql(contract)} THEN {paid_on} END AS paid_on "
        f"FROM applications a JOIN {_table(rule)} h ON h.{identifier(history.key[0])} = a.{identifier(history.key[1])} "
        f"WHERE h.{identifier(rule.due_on)} >= {applied_at} AND {applied_at} <= {observed_sql(contract)} "
        f"AND a._row IN (SELECT _row FROM {identifier(usable)})"
    )


def _refuse_unlike_keys(contract: Contract, history: History, *, name: str) -> None:
    own, other = history.columns[history.key[0]].type, contract.columns[history.key[1]].type
    if own != other:
        raise ContractError(
            f"histories.{name}.key: '{history.key[0]}' is a {own}, but '{history.key[1]}' of applications is a {other}"
        )


def _table(rule: DaysPastDueOutcome) -> str:
    return identifier(f"history_{rule.history}")


# --- counts ------------------------------------------------------------------------------------------------------


def _count(db: duckdb.DuckDBPyConnection, contract: Contract) -> OutcomeCounts:
    rows, bads, known = fetch_one(
        db,
        f"SELECT (SELECT COUNT(*) FROM applications), SUM(bad), COUNT(*) FROM {OUTCOME}",
    )
    return OutcomeCounts(
        rows,
        known - bads,
        bads,
        _counted(db, f"SELECT reason, COUNT(*) FROM {EXCLUSIONS} GROUP BY ALL"),
        _counted(db, f"SELECT \"column\" || ': ' || code, COUNT(*) FROM {PROBLEMS} GROUP BY ALL"),
        _counted(db, _uses(contract)) if contract.outcome.days_past_due else {},
    )


def _counted(db: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    return dict(sorted(db.execute(sql).fetchall()))


def _uses(contract: Contract) -> str:
    rule = terms_of(contract)
    own, key = (identifier(name) for name in contract.histories[rule.history].key)
    due_on = identifier(rule.due_on)
    return (
        f"SELECT CASE WHEN h.{due_on} IS NULL THEN 'no due date' WHEN a.key IS NULL THEN 'of no application' "
        f"WHEN h.{due_on} >= a.applied_at THEN 'used' ELSE 'due before the application' END, COUNT(*) "
        f"FROM {_table(rule)} h LEFT JOIN (SELECT {key} AS key, MIN({applied_sql(contract)}) AS applied_at "
        f"FROM applications GROUP BY ALL) a ON h.{own} = a.key GROUP BY ALL"
    )


def _one_kind(counts: OutcomeCounts) -> TapeError:
    apart = [f"{count} {reason}" for reason, count in (*counts.excluded.items(), *counts.problems.items())]
    return TapeError(
        f"the outcome has {counts.bads} bads and {counts.goods} goods among {counts.rows} applications; wanted both",
        hint=f"of unknown outcome: {', '.join(apart)}" if apart else "see what outcome says of good and bad",
    )
