"""How the applicants and the bins have moved: between samples, month by month, and from period to period.

Movement is told by the population stability index against train, beside what chance alone would give for samples of that size.
A month of the train period is part of its own reference, which makes its index a little smaller. An order that flips
is a pair of bins whose bad rates stand in a period in the reverse of their points, told apart from chance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.measures.stability import order_flips, psi, psi_null_quantile
from obligor.models.columns import SAMPLES, TRAIN
from obligor.models.judged import effective_rows, weights_by_bin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.core.scorecard import Characteristic
    from obligor.models.judged import Judged

_PSI_BINS = 10
_MOST_PERIODS = 16
_MOST_MONTHS = 120
_MOST_FLIPS = 20


def stability(judged: Judged) -> dict[str, Any]:
    """Give the index of the score and of each characteristic, by sample and by month, and the orders that flipped."""
    deciles, size = _deciles(judged)
    placed = {"": (deciles, size)} | {
        it.feature: (judged.codes[it.feature], len(it.bins)) for it in judged.card.characteristics
    }
    return {
        "score_psi": _moved(deciles, judged, bins=size),
        "characteristics": [
            {"feature": name, **_moved(codes, judged, bins=bins)} for name, (codes, bins) in placed.items() if name
        ],
        "by_month": _by_month(placed, judged),
        "flips": [flip for it in judged.card.characteristics for flip in _flips(it, judged)],
    }


def over_time(codes: NDArray[np.uint8], judged: Judged, *, bins: int) -> dict[str, Any] | None:
    """Give the bad rate and the share of each bin in each quarter, or year where there are many quarters."""
    found = _counts_over_time(codes, judged, bins=bins)
    if found is None:
        return None
    names, rows, bads = found
    rates = np.divide(bads, rows, out=np.full(rows.shape, math.nan), where=rows > 0)
    return {"periods": names, "bad_rates": rates.T, "shares": (rows / rows.sum(axis=1, keepdims=True)).T}


def _deciles(judged: Judged) -> tuple[NDArray[np.uint8], int]:
    """Give the part of the train scores that each row falls in, tenths as far as ties allow, and how many there are."""
    train = judged.scores[judged.rows.is_in(TRAIN)]
    edges = np.unique(np.quantile(train, np.linspace(0, 1, _PSI_BINS + 1)[1:-1], method="inverted_cdf"))
    return np.searchsorted(edges, judged.scores, side="left").astype(np.uint8), len(edges) + 1


def _moved(codes: NDArray[np.uint8], judged: Judged, *, bins: int) -> dict[str, Any]:
    counts = [weights_by_bin(codes, judged, sample, bins=bins) for sample in range(len(SAMPLES))]
    used = int(np.count_nonzero(np.sum(counts, axis=0)))
    rows = [effective_rows(judged, judged.rows.is_in(sample)) for sample in range(len(SAMPLES))]
    return {
        name: {
            "psi": psi(counts[TRAIN], counts[code]),
            "quantile_95": psi_null_quantile(used, expected_rows=rows[TRAIN], current_rows=rows[code]),
        }
        for code, name in enumerate(SAMPLES)
        if code
    }


def _by_month(placed: dict[str, tuple[NDArray[np.uint8], int]], judged: Judged) -> dict[str, Any] | None:
    """Give the index of every month against train; the latest ten years, where there are more."""
    months = judged.rows.period
    if months is None:
        return None
    shown, place = np.unique(months.astype(np.int64), return_inverse=True)
    shown, first = shown[-_MOST_MONTHS:], max(len(shown) - _MOST_MONTHS, 0)
    weight = np.ones(len(months)) if judged.rows.weight is None else judged.rows.weight
    reference = effective_rows(judged, judged.rows.is_in(TRAIN))
    rows = [effective_rows(judged, place == at) for at in range(first, first + len(shown))]

    def indices(codes: NDArray[np.uint8], bins: int) -> dict[str, Any]:
        size = (first + len(shown)) * bins
        held = np.bincount(place * bins + codes, weights=weight, minlength=size).reshape(-1, bins)[first:]
        train = weights_by_bin(codes, judged, TRAIN, bins=bins)
        used = int(np.count_nonzero(train + held.sum(axis=0)))
        return {
            "psi": [psi(train, month) for month in held],
            "quantile_95": [psi_null_quantile(used, expected_rows=reference, current_rows=n) for n in rows],
        }

    found = {name: indices(codes, bins) for name, (codes, bins) in placed.items()}
    return {
        "months": [f"{month // 12}-{month % 12 + 1:02d}" for month in shown.tolist()],
        "rows": np.bincount(place)[first:],
        "score": found.pop(""),
        "characteristics": [{"feature": name, **each} for name, each in found.items()],
    }


def _flips(it: Characteristic, judged: Judged) -> list[dict[str, Any]]:
    """Name the flips of one characteristic, the surest first."""
    found = _counts_over_time(judged.codes[it.feature], judged, bins=len(it.bins))
    if found is None:
        return []
    names, rows, bads = found
    return [
        {
            "feature": it.feature,
            "period": names[flip.period],
            "better": it.bins[flip.better].label,
            "worse": it.bins[flip.worse].label,
            "better_rate": flip.better_rate,
            "worse_rate": flip.worse_rate,
            "p": flip.p,
        }
        for flip in order_flips(it.points, rows, bads)[:_MOST_FLIPS]
    ]


def _counts_over_time(
    codes: NDArray[np.uint8], judged: Judged, *, bins: int
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]] | None:
    """Give the names of the periods, and the rows and the bads of each period and bin."""
    months = judged.rows.period
    if months is None:
        return None
    months = months.astype(np.int64)
    length = 3 if (months.max() - months.min()) // 3 < _MOST_PERIODS else 12
    period = months // length
    shown = np.unique(period)
    place = np.searchsorted(shown, period) * bins + codes
    size = len(shown) * bins
    rows = np.bincount(place, minlength=size).reshape(len(shown), bins)
    bads = np.bincount(place[judged.rows.bad == 1], minlength=size).reshape(len(shown), bins)
    return [_period_name(int(each), length) for each in shown], rows, bads


def _period_name(period: int, length: int) -> str:
    year, part = divmod(period * length, 12)
    return f"{year}" if length == 12 else f"{year}-Q{part // 3 + 1}"  # noqa: PLR2004  a year
