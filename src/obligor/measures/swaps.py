"""What changes where one score takes over from another: whom each approves, and what becomes of them.

Both scores approve the same share of the applications, or reach the same rate of bads among those approved. The applications
that only the new one approves are swapped in, those that only the old one approved are swapped out. An application at the
margin counts for the part that fills the share, so that ties of a coarse score (a grade) are shared out evenly. Intervals
are percentiles over bootstrap draws of the applications, both scores judged on the same draw (Efron and Tibshirani 1993).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.errors import InvalidInputError
from obligor.measures.paired import draw_counts, interval_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.measures.paired import Interval


@dataclass(frozen=True, slots=True)
class Swap:
    """One score against another at the same approval rate, and at the same rate of bads; shares are of all applications."""

    approval_rate: float
    old_npl_rate: float
    new_npl_rate: float
    npl_change: Interval
    """New less old, at the same approval rate."""
    swapped: float
    """The share swapped in, and as much out."""
    in_bad_rate: Interval
    out_bad_rate: Interval
    approval_change: Interval
    """By how much the new score's approval rate is higher where it approves the same rate of bads."""


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Applications from the least risky on: ties stand together, in groups."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]


def swap(
    old_risk: NDArray[np.float64],
    new_risk: NDArray[np.float64],
    bad: NDArray[np.uint8],
    weight: NDArray[np.float64],
    *,
    approval_rate: float,
    seed: int,
    draws: int | None = None,
) -> Swap:
    """Let a new score take over from an old one, both rising with risk.

    Parameters
    ----------
    draws
        Bootstrap draws: 400, or fewer, down to 100, where there are more than 100,000 applications.

    Raises
    ------
    InvalidInputError
        Where the columns differ in length, there are no applications, or the rate lies outside 0..1.
    """
    if not len(bad) or len({len(old_risk), len(new_risk), len(bad), len(weight)}) != 1:
        raise InvalidInputError(f"swap: columns of {len(bad)} applications; wanted as many of each, one or more")
    if not 0 < approval_rate <= 1:
        raise InvalidInputError(f"swap: an approval rate of {approval_rate:g}; wanted above 0, at most 1")
    old, new = _ranking(old_risk), _ranking(new_risk)
    shares = [_approved(it, weight, approval_rate) for it in (old, new)]
    drawn = np.array(
        [
            _changes(old, new, bad, weight * count, approval_rate)
            for count in draw_counts(len(bad), seed=seed, draws=draws)
        ]
    )
    found = _changes(old, new, bad, weight, approval_rate)
    npl_change, approval_change, in_bad_rate, out_bad_rate = map(interval_of, found, drawn.T)
    return Swap(
        approval_rate,
        _rate(weight * shares[0], bad),
        _rate(weight * shares[1], bad),
        npl_change,
        float((weight * np.maximum(shares[1] - shares[0], 0)).sum() / weight.sum()),
        in_bad_rate,
        out_bad_rate,
        approval_change,
    )


def bad_rate_at(
    risk: NDArray[np.float64], bad: NDArray[np.uint8], weight: NDArray[np.float64], *, approval_rate: float
) -> float:
    """Give the rate of bads among the share of the applications that a score, rising with risk, approves."""
    return _rate(weight * _approved(_ranking(risk), weight, approval_rate), bad)


def _ranking(risk: NDArray[np.float64]) -> _Ranking:
    order = np.argsort(risk, kind="stable")
    ordered = risk[order]
    return _Ranking(order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])))


def _approved(ranking: _Ranking, weight: NDArray[np.float64], approval_rate: float) -> NDArray[np.float64]:
    """Give the part of each application that a share of the whole approves."""
    held = np.add.reduceat(weight[ranking.order], ranking.starts)
    room = approval_rate * weight.sum() - (np.cumsum(held) - held)
    part = np.clip(np.divide(room, held, out=np.zeros(len(held)), where=held > 0), 0, 1)
    sizes = np.diff(np.append(ranking.starts, len(weight)))
    found = np.empty(len(weight))
    found[ranking.order] = np.repeat(part, sizes)
    return found


def _changes(
    old: _Ranking, new: _Ranking, bad: NDArray[np.uint8], weight: NDArray[np.float64], approval_rate: float
) -> tuple[float, float, float, float]:
    """Give four figures, each of which has an interval.

    They are the change of the rate of bads at the same approval rate, that of the approval rate at the same rate of bads, and
    the rates of bads of those swapped in and of those swapped out.
    """
    reached = [_curve(it, bad, weight) for it in (old, new)]
    approved = approval_rate * weight.sum()
    old_bads, new_bads = (float(np.interp(approved, rows, bads)) for rows, bads in reached)
    rows, bads = reached[1]
    rate = old_bads / approved
    within = np.flatnonzero(bads <= rate * rows + 1e-9 * approved)
    more = _approved(new, weight, approval_rate) - _approved(old, weight, approval_rate)
    return (
        (new_bads - old_bads) / approved,
        float(rows[within[-1]] / weight.sum()) - approval_rate,
        _rate(weight * np.maximum(more, 0), bad),
        _rate(weight * np.maximum(-more, 0), bad),
    )


def _curve(
    ranking: _Ranking, bad: NDArray[np.uint8], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the running weight of applications and of bads, group by group, from nobody on."""
    w = weight[ranking.order]
    rows = np.cumsum(np.add.reduceat(w, ranking.starts))
    bads = np.cumsum(np.add.reduceat(w * bad[ranking.order], ranking.starts))
    return np.append(0.0, rows), np.append(0.0, bads)


def _rate(weight: NDArray[np.float64], bad: NDArray[np.uint8]) -> float:
    return float(weight @ bad / weight.sum()) if weight.sum() > 0 else math.nan
