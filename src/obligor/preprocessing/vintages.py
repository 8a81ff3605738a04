"""Follows loans over time: bad rates by vintage, vintage curves, and roll rates between states of arrears.

The conventions are those of `obligor.preprocessing.outcome`. A month's end is seen at its close, after the payments of
that day.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from obligor.core.columns import Role
from obligor.preprocessing.engine import engine_trouble, fetch_one, identifier
from obligor.preprocessing.outcome import OUTCOME, applied_sql, instalments_sql, months_after, observed_sql, terms_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

    from obligor.core.contract import Contract

ROLL_STATES: Final = ("current", "1-29", "30-59", "60-89", "90+")

_MOST_MONTHS = 36  # where a tape spans more months, its vintages are quarters


@dataclass(frozen=True, slots=True)
class VintageRate:
    """The final bad rate of the loans that were applied for in one month (YYYY-MM) or quarter (YYYY-Qn)."""

    vintage: str
    loans: int
    bads: int

    @property
    def rate(self) -> float:
        """The share of bads."""
        return self.bads / self.loans


@dataclass(frozen=True, slots=True)
class VintagePoint:
    """The share of a vintage's loans that had gone bad by so many months after each was applied for."""

    vintage: str
    months_on_book: int
    loans: int
    bad_share: float


@dataclass(frozen=True, slots=True)
class RollRates:
    """How loans move between states of arrears from one month's end to the next.

    Parameters
    ----------
    counts : tuple of tuple of int
        By the state at one month's end, then at the next.
    """

    states: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def shares(self) -> tuple[tuple[float, ...], ...]:
        """The counts as shares of the earlier state; zeros for a state that no loan was in."""
        return tuple(tuple(count / (sum(row) or 1) for count in row) for row in self.counts)


def vintage_rates(
    db: duckdb.DuckDBPyConnection, contract: Contract, *, usable: str = "applications"
) -> tuple[VintageRate, ...]:
    """Give the final bad rate of each vintage, in order of time; none where applications have no date.

    Parameters
    ----------
    usable
        A relation with the ``_row`` of every application to count.
    """
    found = db.execute(
        f"SELECT {_vintage(db, contract, usable, 'period')} AS vintage, COUNT(*), CAST(SUM(bad) AS BIGINT) "
        f"FROM {OUTCOME} WHERE period IS NOT NULL AND _row IN (SELECT _row FROM {identifier(usable)}) "
        "GROUP BY vintage ORDER BY vintage"
    ).fetchall()
    return tuple(VintageRate(*row) for row in found)


def vintage_curves(
    db: duckdb.DuckDBPyConnection, contract: Contract, *, usable: str = "applications"
) -> tuple[VintagePoint, ...]:
    """Give the cumulative share of each vintage that had gone bad, by months on book.

    Every loan of a vintage was observed for all of a point's months, and as long as one can still turn bad. With days
    past due, immature and indeterminate loans count too. With a status, only loans of known outcome do, a bad goes bad
    on its outcome date (one without a date is left out), and the latest outcome date of the tape ends the observation.
    Without an outcome date there are no curves.

    Parameters
    ----------
    usable
        A relation with the ``_row`` of every application to count.
    """
    if contract.only(Role.APPLIED_AT) is None:
        return ()
    if contract.outcome.days_past_due is None and contract.only(Role.OUTCOME_DATE) is None:
        return ()
    source = _bad_days(contract, usable) if contract.outcome.days_past_due else _bad_dates(contract, usable)
    followed = f"SELECT *, {_vintage(db, contract, usable, 'applied_at')} AS vintage FROM ({source})"
    with engine_trouble("following the vintages"):
        sizes = db.execute(
            f"SELECT vintage, COUNT(*), LEAST({_months_until('MAX(applied_at)', 'MAX(observed)', whole=True)}, "
            f"MAX({_months_until('applied_at', 'last_chance')})) FROM ({followed}) GROUP BY vintage ORDER BY vintage"
        ).fetchall()
        turned = db.execute(
            f"SELECT vintage, GREATEST(1, {_months_until('applied_at', 'bad_on')}) AS month, COUNT(*) "
            f"FROM ({followed}) WHERE bad_on IS NOT NULL GROUP BY vintage, month"
        ).fetchall()
    counts = {(vintage, month): count for vintage, month, count in turned}
    return tuple(point for name, loans, months in sizes for point in _curve(name, loans, months, counts))


def _curve(vintage: str, loans: int, months: int, turned: Mapping[tuple[str, int], int]) -> Iterator[VintagePoint]:
    bads = accumulate(turned.get((vintage, month), 0) for month in range(1, months + 1))
    for month, count in enumerate(bads, start=1):
        yield VintagePoint(vintage, month, loans, count / loans)


def _bad_days(contract: Contract, usable: str) -> str:
    rule = terms_of(contract)
    turned = f"due_on + {rule.bad_days}"
    return (
        f"SELECT ANY_VALUE(applied_at) AS applied_at, MIN({turned}) "
        f"FILTER (WHERE {turned} <= COALESCE(paid_on, {observed_sql(contract)})) AS bad_on, "
        f"MAX({turned}) AS last_chance, {observed_sql(contract)} AS observed "
        f"FROM ({instalments_sql(contract, usable)}) GROUP BY _row"
    )


def _bad_dates(contract: Contract, usable: str) -> str:
    ended, applied_at = identifier(contract.only(Role.OUTCOME_DATE) or ""), applied_sql(contract)
    latest = f"(SELECT MAX({ended}) FROM applications)"
    return (
        f"SELECT a.{applied_at} AS applied_at, CASE WHEN o.bad = 1 THEN a.{ended} END AS bad_on, "
        f"{latest} AS last_chance, {latest} AS observed FROM {OUTCOME} o JOIN applications a ON a._row = o._row "
        f"WHERE a.{applied_at} <= {latest} AND (o.bad = 0 OR a.{ended} IS NOT NULL) "
        f"AND o._row IN (SELECT _row FROM {identifier(usable)})"
    )


def _vintage(db: duckdb.DuckDBPyConnection, contract: Contract, usable: str, day: str) -> str:
    applied_at = applied_sql(contract)
    (months,) = fetch_one(
        db,
        f"SELECT COUNT(DISTINCT DATE_TRUNC('month', {applied_at})) FROM applications "
        f"WHERE _row IN (SELECT _row FROM {identifier(usable)})",
    )
    if months <= _MOST_MONTHS:
        return f"STRFTIME({day}, '%Y-%m')"
    return f"STRFTIME({day}, '%Y') || '-Q' || QUARTER({day})"


def _months_until(start: str, day: str, *, whole: bool = False) -> str:
    """Write the months from one day to another: begun ones count or, if only whole ones are wanted, do not."""
    apart = f"DATEDIFF('month', {start}, {day})"
    reached = months_after(start, apart)
    return f"{apart} - CAST({reached} > {day} AS INTEGER)" if whole else f"{apart} + CAST({reached} < {day} AS INTEGER)"


# --- roll rates --------------------------------------------------------------------------------------------------


def roll_rates(db: duckdb.DuckDBPyConnection, contract: Contract, *, usable: str = "applications") -> RollRates | None:
    """Count how loans move between states of arrears from month's end to month's end; None without repayments.

    A loan's state is that of its oldest unpaid instalment. A loan is followed from the month it was applied for to the
    last month's end observed or, once all its instalments are paid, to the month of the last payment.

    Parameters
    ----------
    usable
        A relation with the ``_row`` of every application to follow.
    """
    if contract.outcome.days_past_due is None:
        return None
    with engine_trouble("following loans from month to month"):
        moves = db.execute(_moves(contract, usable)).fetchall()
        (steps,) = fetch_one(db, f"{_lives(contract, usable)} SELECT SUM(last - first) FROM lives")
    counts = [[0] * len(ROLL_STATES) for _ in ROLL_STATES]
    for before, after, count in moves:
        counts[before][after] = count
    counts[0][0] = steps - sum(count for *_, count in moves)
    return RollRates(ROLL_STATES, tuple(tuple(row) for row in counts))


def _lives(contract: Contract, usable: str) -> str:
    """Give each loan's first and last month, counted from year 0."""
    end = _last_month(contract)
    return (
        f"WITH instalments AS ({instalments_sql(contract, usable)}), "
        f"followed AS (SELECT _row, {_month('ANY_VALUE(applied_at)')} AS first, "
        f"CASE WHEN COUNT(*) = COUNT(paid_on) THEN LEAST({_month('MAX(paid_on)')}, {end}) ELSE {end} END AS last "
        "FROM instalments GROUP BY _row), lives AS (SELECT * FROM followed WHERE first < last)"
    )


def _moves(contract: Contract, usable: str) -> str:
    """Count all moves but those from current to current, which are the rest: so only months in arrears are listed."""
    end = _last_month(contract)
    close = "LAST_DAY(MAKE_DATE(month // 12, month % 12 + 1, 1))"
    return (
        f"{_lives(contract, usable)}, unpaid AS (SELECT _row, due_on, "
        f"UNNEST(RANGE({_month('due_on')}, LEAST(COALESCE({_month('paid_on')}, {end} + 1), {end} + 1))) AS month "
        "FROM instalments), "
        f"days AS (SELECT _row, month, MAX({close} - due_on) AS days FROM unpaid GROUP BY ALL HAVING days > 0), "
        "late AS (SELECT _row, month, CAST(LEAST(4, 1 + days // 30) AS INTEGER) AS state FROM days) "
        "SELECT COALESCE(a.state, 0) AS before, COALESCE(b.state, 0) AS after, COUNT(*) "
        "FROM late a FULL JOIN late b ON b._row = a._row AND b.month = a.month + 1 "
        "JOIN lives l ON l._row = COALESCE(a._row, b._row) "
        "WHERE COALESCE(a.month, b.month - 1) >= l.first AND COALESCE(b.month, a.month + 1) <= l.last "
        "GROUP BY ALL ORDER BY ALL"
    )


def _month(day: str) -> str:
    return f"(YEAR({day}) * 12 + MONTH({day}) - 1)"


def _last_month(contract: Contract) -> str:
    """Write the last month whose end was observed: that of `observed_at` only if it is the month's last day."""
    return f"({_month(f'({observed_sql(contract)} + 1)')} - 1)"
