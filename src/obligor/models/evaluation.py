"""What a card is worth on train, validation and test, as plain data: the evaluation.

Every figure of the report, the model card and the tracker is read from here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.columnar import assign_bands
from obligor.measures.calibration import (
    brier,
    calibration_line,
    hosmer_lemeshow,
    jeffreys,
    log_loss,
    observed_expected,
    reliability,
    spiegelhalter,
)
from obligor.measures.decisions import FRONTIER, Book, Economy, at_cutoff, frontier, thin
from obligor.measures.discrimination import auc, delong, distributions, ks, ks_interval, pr_auc, roc_curve
from obligor.measures.paired import Interval
from obligor.measures.swaps import swap
from obligor.models.columns import SAMPLES
from obligor.models.fairness import compared
from obligor.models.judged import Judged, book_of, incumbent_risk, weights_by_bin
from obligor.models.stability import over_time, stability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.core.scorecard import Characteristic, Scorecard

SCHEMA = "obligor/evaluation/1"
_GROUPS = 10
_SCORE_BINS = 40
_DIGITS = 10


def evaluate(judged: Judged, *, economy: Economy, seed: int) -> dict[str, Any]:
    """Evaluate a card on each sample, and its stability between them."""
    plain: dict[str, Any] = {
        name: _sample(judged, code, economy=economy, seed=seed) for code, name in enumerate(SAMPLES)
    }
    plain["stability"] = stability(judged)
    plain["characteristics"] = [_characteristic(each, judged) for each in judged.card.characteristics]
    plain["fairness"] = compared(judged)
    return {str(key): tidy(value) for key, value in plain.items()}


def tidy(value: Any) -> Any:
    """Make plain data of numbers: floats to 10 significant digits, what is not finite to None."""
    if isinstance(value, dict):
        return {key: tidy(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(each) for each in value]
    if isinstance(value, np.ndarray):
        return tidy(value.tolist())
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float):
        return float(f"{float(value):.{_DIGITS}g}") if math.isfinite(value) else None
    return value


def _sample(judged: Judged, code: int, *, economy: Economy, seed: int) -> dict[str, Any]:
    rows = judged.rows
    mask = rows.is_in(code)
    book = book_of(judged, mask)
    bad, score, weight, pd = book.bad, book.score, book.weight, judged.pds[mask]
    cutoff = judged.card.cutoff.score
    return {
        "n": len(bad),
        "bads": int(bad.sum()),
        "bad_rate": _mean(bad.astype(np.float64), weight),
        "mean_pd": _mean(pd, weight),
        **_ranking(bad, -score.astype(np.float64), weight, seed=seed),
        **_calibration(bad, pd, weight),
        "at_cutoff": _fields(at_cutoff(book, cutoff, economy=economy)),
        "bands": _bands(judged.card, bad, score, pd, weight),
        "reliability": [_fields(point) | {"n": point.rows} for point in reliability(bad, pd, weight, groups=_GROUPS)],
        "roc": roc_curve(bad, -score.astype(np.float64), weight),
        "ks_curve": _ks_curve(bad, score, weight),
        "score_distribution": _distribution(judged, mask, weight),
        "frontier": _frontier(book, economy, cutoff=cutoff),
        "incumbent": _incumbent(judged, code, weight, seed=seed),
    }


def _ranking(
    bad: NDArray[np.uint8], risk: NDArray[np.float64], weight: NDArray[np.float64], *, seed: int
) -> dict[str, float]:
    gap, (value, low, high) = ks(bad, risk, weight), _area(bad, risk, weight)
    ks_low, ks_high = ks_interval(bad, risk, seed=seed)
    return {
        "auc": value,
        "auc_lower": low,
        "auc_upper": high,
        "gini": 2 * value - 1,
        "gini_lower": 2 * low - 1,
        "gini_upper": 2 * high - 1,
        "ks": gap.value,
        "ks_lower": ks_low,
        "ks_upper": ks_high,
        "ks_score": -gap.risk,
        "pr_auc": pr_auc(bad, risk, weight),
    }


def _area(bad: NDArray[np.uint8], risk: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float, float]:
    """Give the weighted AUC with an interval as wide as that of the rows."""
    value, rows = auc(bad, risk, weight), delong(bad, risk)
    reach = (rows.interval[1] - rows.interval[0]) / 2 if rows.variance >= 0 else math.nan
    return value, max(value - reach, 0.0), min(value + reach, 1.0)


def _calibration(bad: NDArray[np.uint8], pd: NDArray[np.float64], weight: NDArray[np.float64]) -> dict[str, Any]:
    parts, line = brier(bad, pd, weight, groups=_GROUPS), calibration_line(bad, pd, weight)
    grades = reliability(bad, pd, groups=_GROUPS)
    together = hosmer_lemeshow(
        [g.rows for g in grades], [g.rows * g.bad_rate for g in grades], [g.pd_mean for g in grades], fitted=False
    )
    single = spiegelhalter(bad, pd)
    return {
        "brier": parts.value,
        "brier_reliability": parts.reliability,
        "brier_resolution": parts.resolution,
        "brier_uncertainty": parts.uncertainty,
        "log_loss": log_loss(bad, pd, weight),
        "calibration_slope": line.slope,
        "calibration_intercept": line.intercept,
        "calibration_in_the_large": line.in_the_large,
        "observed_expected": observed_expected(bad, pd, weight),
        "hosmer_lemeshow": {"statistic": together.statistic, "df": together.df, "p": together.p},
        "spiegelhalter": {"z": single.statistic, "p": single.p},
    }


def _bands(
    card: Scorecard,
    bad: NDArray[np.uint8],
    score: NDArray[np.int64],
    pd: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> list[dict[str, Any]]:
    place = assign_bands(card, score)
    found = []
    for index, band in enumerate(card.bands):
        mask = place == index
        rows, bads = int(mask.sum()), int(bad[mask].sum())
        mean = _mean(pd[mask], weight[mask])
        found.append(
            {
                "name": band.name,
                "score_min": band.score_min,
                "n": rows,
                "share": float(weight[mask].sum() / weight.sum()) if weight.sum() else math.nan,
                "bads": bads,
                "bad_rate": _mean(bad[mask].astype(np.float64), weight[mask]),
                "pd_mean": mean,
                "jeffreys_p": jeffreys(rows, bads, mean) if rows else math.nan,
            }
        )
    return found


def _ks_curve(bad: NDArray[np.uint8], score: NDArray[np.int64], weight: NDArray[np.float64]) -> list[list[float]]:
    """Give rows (score in points, share of goods below or at it, share of bads)."""
    return [[score / 1000, goods, bads] for score, goods, bads in distributions(bad, score.astype(np.float64), weight)]


def _distribution(judged: Judged, mask: NDArray[np.bool_], weight: NDArray[np.float64]) -> dict[str, Any]:
    """Give the shares of goods and of bads over score bins that are the same for every sample."""
    low, high = np.quantile(judged.scores, (0.0005, 0.9995)) / 1000
    edges = np.linspace(np.floor(low), np.ceil(high), _SCORE_BINS + 1)
    points = np.clip(judged.scores[mask] / 1000, edges[0], edges[-1])
    shares = {}
    for name, outcome in (("goods", 0), ("bads", 1)):
        chosen = judged.rows.bad[mask] == outcome
        held, _ = np.histogram(points[chosen], bins=edges, weights=weight[chosen])
        shares[name] = held / held.sum() if held.sum() else held
    return {"edges": edges, **shares}


def _frontier(book: Book, economy: Economy, *, cutoff: int) -> list[list[float]]:
    """Give a row of the figures of FRONTIER for each cut-off; the score in points."""
    if not len(book.score):
        return []
    shown = thin(frontier(book, economy=economy), cutoffs=[cutoff])
    rows = zip(*(getattr(shown, name) for name in FRONTIER), strict=True)
    return [[float(score) / 1000, *map(float, rest)] for score, *rest in rows]


def _incumbent(judged: Judged, code: int, weight: NDArray[np.float64], *, seed: int) -> dict[str, Any] | None:
    """Rank by the incumbent's score, by its direction on train, and by the card on those rows; on the test, swap them."""
    if judged.incumbent is None:
        return None
    values, mask = incumbent_risk(judged), judged.rows.is_in(code)
    known = mask & ~np.isnan(values)
    bad, weight = judged.rows.bad[known], weight[known[mask]]
    value, low, high = _area(bad, values[known], weight)
    found = {
        "column": judged.incumbent[0],
        "auc": value,
        "auc_lower": low,
        "auc_upper": high,
        "card_auc": auc(bad, -judged.scores[known].astype(np.float64), weight),
    }
    if SAMPLES[code] != "test":
        return found
    return found | {"swap": _swap(judged, values, known, weight, seed=seed)}


def _swap(
    judged: Judged, old: NDArray[np.float64], known: NDArray[np.bool_], weight: NDArray[np.float64], *, seed: int
) -> dict[str, Any] | None:
    """Compare both scores where they approve the same share, and where they reach the same rate of bads."""
    if not weight.sum() > 0:
        return None
    score = judged.scores[known]
    rate = judged.incumbent_approval_rate or float(weight[score >= judged.card.cutoff.score].sum() / weight.sum())
    if rate <= 0:
        return None
    found = swap(old[known], -score.astype(np.float64), judged.rows.bad[known], weight, approval_rate=rate, seed=seed)
    return {name: _fields(value) if isinstance(value, Interval) else value for name, value in _fields(found).items()}


def _characteristic(each: Characteristic, judged: Judged) -> dict[str, Any]:
    codes, bins = judged.codes[each.feature], len(each.bins)
    rows = [weights_by_bin(codes, judged, sample, bins=bins) for sample in range(len(SAMPLES))]
    bads = [weights_by_bin(codes, judged, sample, bins=bins, only_bads=True) for sample in range(len(SAMPLES))]
    return {
        "feature": each.feature,
        "information_value": each.information_value,
        "trend": each.trend,
        "coefficient": each.coefficient,
        "standard_error": each.standard_error,
        "p_value": each.p_value,
        "vif": each.vif,
        "withholding_gain": _withholding_gain(each),
        "bins": [
            {
                "label": row.label,
                "points": row.points,
                "woe": row.woe,
                "standard_error": row.standard_error,
                "thin": row.thin,
                **{
                    name: {
                        "n": rows[code][place],
                        "bads": bads[code][place],
                        "bad_rate": bads[code][place] / rows[code][place] if rows[code][place] else math.nan,
                        "share": rows[code][place] / rows[code].sum() if rows[code].sum() else math.nan,
                    }
                    for code, name in enumerate(SAMPLES)
                },
            }
            for place, row in enumerate(each.bins)
        ],
        "over_time": over_time(codes, judged, bins=bins),
    }


def _withholding_gain(it: Characteristic) -> int | None:
    """Give the points of a missing value less the mean of the answers of train, in thousandths; codes are no answers."""
    answers = it.bins[: it.binning.ordinary]
    held = [row.goods + row.bads for row in answers]
    if not any(held):
        return None
    return it.points[it.binning.missing] - round(float(np.average([row.points for row in answers], weights=held)))


def _mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    return float(values @ weight / weight.sum()) if weight.sum() else math.nan


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
