"""Chooses cut-offs on the loans of validation: one for all, and one for each segment and interval of the amount.

The common cut-off is the one that does best on the book. To choose that of every segment in the same way would be to chase
chance: the best of hundreds of cut-offs on a few dozen bads. So a segment keeps the risk at which the common cut-off stands,
and moves the score at which it is met. Where its loans turn bad more often than their PDs say, by a shift of the log-odds,
its cut-off rises by as much; where its loans are small and each costs something to make, by the difference of the PDs at which
they break even. Shifts are shrunk toward that of the portfolio by how much segments truly differ (DerSimonian and Laird 1986,
Controlled Clinical Trials 7), so that where nothing but chance tells segments apart they keep the common cut-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from obligor.measures.decisions import break_even_pd, frontier
from obligor.measures.swaps import bad_rate_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.core.calibration import PdTable
    from obligor.core.clauses import Cutoff
    from obligor.measures.decisions import Book, Economy
    from obligor.measures.fairness import Groups

_FURTHEST = 10.0  # log-odds: no segment is further from its PDs


@dataclass(frozen=True, slots=True)
class Cells:
    """Which applications may have a cut-off of their own: each level of a segment with each interval of the amount."""

    levels: tuple[str | None, ...]
    """Those of the segment; at the end None, for every other level and where it is not known."""
    cuts: tuple[float, ...]
    """The amounts at which intervals part; each holds its lower end."""
    level: NDArray[np.int64]
    """The place of the level of each row."""
    interval: NDArray[np.int64]
    """The place of the interval of each row; -1 where the amount is not known."""

    @property
    def limits(self) -> tuple[tuple[float | None, float | None], ...]:
        """The lower and the upper limit of each interval."""
        edges = (None, *self.cuts, None)
        return tuple(pairwise(edges))

    def holds(self, row: int, at: int) -> NDArray[np.bool_]:
        """Mark the rows of the cell of a level and an interval."""
        return np.equal(self.level, row) & np.equal(self.interval, at)

    def cutoffs(self, grid: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the cut-off of each row; the highest of its level where its amount is not known.

        Parameters
        ----------
        grid : array of shape (levels, intervals)
            The cut-off of each cell.
        """
        known = grid[self.level, np.maximum(self.interval, 0)]
        return np.where(self.interval < 0, grid.max(axis=1)[self.level], known)

    def only(self, mask: NDArray[np.bool_]) -> Cells:
        """Keep some rows."""
        return Cells(self.levels, self.cuts, self.level[mask], self.interval[mask])


@dataclass(frozen=True, slots=True)
class Moved:
    """The cut-off of a cell, and what moved it away from the common one."""

    cutoff: int
    risk_shift: float
    """By how much the cell is riskier than its PDs beside the portfolio, in log-odds of bad, after shrinking."""
    chosen_by: Literal["risk", "break_even", "portfolio"]


@dataclass(frozen=True, slots=True)
class Match:
    """The cut-offs at which a card equals an incumbent: in approvals, and in the rate of bads."""

    same_approvals: int
    same_npl: int


def choose_cutoff(book: Book, table: PdTable, *, cutoff: Cutoff, economy: Economy) -> int:
    """Choose the cut-off on a book by a rule of the contract; the lowest of equals."""
    whole = frontier(book, economy=economy)
    if cutoff.by in ("pd", "break_even"):
        limit = break_even_pd(economy, mean_amount(book)) if cutoff.by == "break_even" else cutoff.value or 0.0
        score = table.score_at(limit)
        return int(whole.score[-1]) if score is None else score
    if cutoff.by == "approval_rate":
        return _approving(whole.score, whole.approval_rate, cutoff.value or 0.0)
    best = np.argmax(whole.profit) if cutoff.by == "profit" else np.argmin(whole.cost)
    return int(whole.score[best])


def mean_amount(book: Book) -> float:
    """Give the mean amount of a book, where it is known; 1 where it is known nowhere."""
    known = book.exposure > 0  # a missing amount is not
    weight = book.weight[known]
    return float(book.exposure[known] @ weight / weight.sum()) if weight.sum() else 1.0


def cells_of(segments: Groups | None, amounts: tuple[float, ...], exposure: NDArray[np.float64]) -> Cells:
    """Part applications into cells."""
    names = () if segments is None else segments.names
    none = np.full(len(exposure), len(names), dtype=np.int64)
    level = none if segments is None else np.where(segments.codes < 0, none, segments.codes)
    interval = np.searchsorted(np.array(amounts), exposure, side="right").astype(np.int64)
    if amounts:
        interval[np.isnan(exposure)] = -1
    return Cells((*names, None), amounts, level, interval)


def move_cutoffs(
    book: Book, cells: Cells, table: PdTable, *, common: int, economy: Economy, min_bads: int
) -> list[list[Moved]]:
    """Move the common cut-off to where each cell has the same risk: level by level, interval by interval.

    Parameters
    ----------
    min_bads
        A cell with fewer bads or goods takes the risk of the portfolio.
    """
    masks = [[cells.holds(row, at) for at in range(len(cells.limits))] for row in range(len(cells.levels))]
    shifts = iter(risk_shifts(book, table, [mask for row in masks for mask in row], min_bads=min_bads))
    whole = break_even_pd(economy, mean_amount(book))

    def moved(place: int, mask: NDArray[np.bool_], shift: float) -> Moved:
        alike = cells.interval == place if cells.cuts else mask  # whose mean amount stands for the cell
        own = break_even_pd(
            economy, mean_amount(book.only(alike)) if (book.exposure[alike] > 0).any() else mean_amount(book)
        )
        if common > table.scores[-1] or (shift == 0 and own == whole):  # where nobody is approved, nobody is anywhere
            return Moved(common, 0.0, "portfolio")
        chosen_by: Literal["risk", "break_even"] = "risk" if shift else "break_even"
        if own == 0 < whole:
            return Moved(table.scores[-1] + 1, shift, "break_even")
        apart = _logit(own) - _logit(whole) if 0 < whole < 1 else 0.0
        score = table.score_at(float(expit(_logit(table.pd(common)) + apart - shift)))
        return Moved(table.scores[-1] + 1 if score is None else score, shift, chosen_by)

    return [[moved(at, mask, next(shifts)) for at, mask in enumerate(row)] for row in masks]


def risk_shifts(book: Book, table: PdTable, masks: list[NDArray[np.bool_]], *, min_bads: int) -> list[float]:
    """Give by how much each cell is riskier than its PDs, in log-odds of bad, beside all cells and shrunk toward them."""
    odds = logit(table.pd_column(book.score))
    fitted = [
        _shift(odds[it], book.bad[it], book.weight[it]) if _fewest(book, it) >= min_bads else None for it in masks
    ]
    known = [each for each in fitted if each is not None]
    if len(known) < 2:  # noqa: PLR2004  one cell alone differs from nothing
        return [0.0] * len(masks)
    shift, variance = np.array(known).T
    precision = 1 / variance
    mean = float(shift @ precision / precision.sum())
    excess = float(precision @ (shift - mean) ** 2) - (len(known) - 1)
    between = max(excess / float(precision.sum() - (precision**2).sum() / precision.sum()), 0.0)
    return [0.0 if it is None else (it[0] - mean) * between / (between + it[1]) for it in fitted]


def match_incumbent(old_risk: NDArray[np.float64], book: Book, *, approval_rate: float, economy: Economy) -> Match:
    """Find the cut-off that approves as many as an incumbent does, and the lowest at which no more turn bad than with it."""
    whole = frontier(book, economy=economy)
    npl = bad_rate_at(old_risk, book.bad, book.weight, approval_rate=approval_rate)
    within = np.flatnonzero(np.nan_to_num(whole.npl_rate, nan=0.0) <= npl + 1e-12)
    return Match(_approving(whole.score, whole.approval_rate, approval_rate), int(whole.score[within[0]]))


def _approving(score: NDArray[np.int64], approval_rate: NDArray[np.float64], wanted: float) -> int:
    """Give the highest cut-off that approves a share."""
    return int(score[np.flatnonzero(approval_rate >= wanted - 1e-12)[-1]])


def _fewest(book: Book, mask: NDArray[np.bool_]) -> int:
    """Count the bads or the goods, whichever are fewer."""
    bad = book.bad[mask & (book.weight > 0)]
    return int(min(bad.sum(), len(bad) - bad.sum()))


def _shift(odds: NDArray[np.float64], bad: NDArray[np.uint8], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Give the shift of the log-odds that makes the PDs meet the bads, and its variance."""
    bads = float(weight @ bad)

    def missed(shift: float) -> float:
        return float(weight @ expit(odds + shift)) - bads

    if missed(-_FURTHEST) > 0 or missed(_FURTHEST) < 0:
        found = -_FURTHEST if missed(-_FURTHEST) > 0 else _FURTHEST
    else:
        found = float(brentq(missed, -_FURTHEST, _FURTHEST, xtol=1e-12))
    pd = expit(odds + found)
    slope = float(weight @ (pd * (1 - pd)))
    return found, float(weight**2 @ (pd * (1 - pd))) / slope**2


def _logit(pd: float) -> float:
    return float(logit(min(max(pd, 1e-9), 1 - 1e-9)))
