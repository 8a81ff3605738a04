"""Puts a fitted card together: calibration, bands and cut-off on validation, and all that scoring needs, as one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.bins import NumericBins
from obligor.core.columnar import pair_points
from obligor.core.columns import History, Role, Table
from obligor.core.scorecard import CardBin, CardCutoff, Characteristic, Origin, Pair, Scorecard
from obligor.core.trend import Trend
from obligor.measures.decisions import Book, Economy
from obligor.models.calibration import Observed, band_cutoffs, calibrate
from obligor.models.columns import TEST, VALIDATION
from obligor.models.histograms import information_value
from obligor.models.scaling import THOUSANDTHS, log_odds_of
from obligor.models.thresholds import choose_cutoff
from obligor.models.trends import broken_at, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.core.bins import Bins
    from obligor.core.clauses import CardScale
    from obligor.core.columns import Column
    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet
    from obligor.models.binning import FittedBins
    from obligor.models.calibration import Calibration
    from obligor.models.columns import Rows
    from obligor.models.fitted import FittedCard
    from obligor.models.scaling import Grid

_DIGITS = 10
_FEWEST_REFERENCES = 100


@dataclass(frozen=True, slots=True)
class Assembled:
    """A finished card, and how its PDs were fitted."""

    card: Scorecard
    calibration: Calibration


def assemble(
    contract: Contract,
    fitted: FittedCard,
    rows: Rows,
    *,
    features: FeatureSet,
    caps: Mapping[str, tuple[float, float]],
    origin: Origin,
) -> Assembled:
    """Make the card of a fit."""
    needed = features.needed_for(fitted.fit.features)
    bounds = _score_range(fitted)
    calibration = calibrate(
        _observed(fitted, rows, contract),
        method=contract.model.calibration,
        scale=contract.scale,
        score_range=bounds,
        central_tendency=contract.model.central_tendency,
    )
    card = Scorecard(
        name=contract.name,
        recipe=contract.model.recipe,
        horizon_months=contract.outcome.window_months,
        origin=origin,
        applications=_table(contract, features, needed),
        histories=histories_read(contract, features, needed),
        features={name: it for name, it in contract.features.items() if name in needed},
        caps={name: cap for name, cap in caps.items() if name in needed},
        scale=contract.scale,
        base_points=fitted.points.base,
        characteristics=tuple(_characteristic(contract, fitted, name) for name in fitted.fit.features),
        pairs=tuple(_pair(grid) for grid in fitted.points.grids),
        pd=calibration.table,
        bands=band_cutoffs(calibration.table, contract.bands),
        cutoff=CardCutoff(
            score=choose_cutoff(
                _book(fitted, rows), calibration.table, cutoff=contract.cutoff, economy=economy_of(contract)
            ),
            chosen_by=contract.cutoff.by,
        ),
    )
    return Assembled(_with_references(card, fitted, rows), calibration)


def _with_references(card: Scorecard, fitted: FittedCard, rows: Rows) -> Scorecard:
    """Add the mean points of the applicants of train and validation at the cut-off or slightly above.

    Slightly above is within half of the points that double the odds; where that holds fewer than a hundred applicants,
    the hundred nearest above the cut-off count, and where there are none above, the hundred with the highest scores.
    """
    known = np.flatnonzero(~rows.is_in(TEST))
    scores, reach = fitted.scores[known], round(card.scale.pdo * THOUSANDTHS / 2)
    above = known[scores >= card.cutoff.score]
    if not len(above):
        above = known[np.argsort(scores, kind="stable")[-_FEWEST_REFERENCES:]]
    near = above[fitted.scores[above] <= card.cutoff.score + reach]
    if len(near) < _FEWEST_REFERENCES:
        near = above[np.argsort(fitted.scores[above], kind="stable")[:_FEWEST_REFERENCES]]
    bins = {name: fitted.design.codes(name)[near] for name in fitted.fit.features}
    weight = None if rows.weight is None or not rows.weight[near].any() else rows.weight[near]

    def mean(points: NDArray[np.int64]) -> int:
        return round(float(np.average(points, weights=weight)))

    characteristics = tuple(
        it.model_copy(update={"reference": mean(np.array(it.points)[bins[it.feature]])}) for it in card.characteristics
    )
    pairs = tuple(it.model_copy(update={"reference": mean(pair_points(it, bins))}) for it in card.pairs)
    return card.model_copy(update={"characteristics": characteristics, "pairs": pairs})


def economy_of(contract: Contract) -> Economy:
    """Give what loans of a contract earn and cost."""
    it = contract.economics
    return Economy(
        margin=it.margin,
        lgd=it.lgd,
        cost_missed_default=it.cost_missed_default,
        cost_declined_good=it.cost_declined_good,
        cost_per_loan=it.cost_per_loan,
    )


def _observed(fitted: FittedCard, rows: Rows, contract: Contract) -> Observed:
    mask = rows.is_in(VALIDATION)
    weight = np.ones(int(mask.sum())) if rows.weight is None else rows.weight[mask]
    return Observed(-log_odds_of(fitted.scores[mask], scale=contract.scale), rows.bad[mask], weight)


def _book(fitted: FittedCard, rows: Rows) -> Book:
    mask = rows.is_in(VALIDATION)
    ones = np.ones(int(mask.sum()))
    weight = ones if rows.weight is None else rows.weight[mask]
    exposure = ones if rows.exposure is None else rows.exposure[mask]
    return Book(fitted.scores[mask], rows.bad[mask], weight, exposure)


def _score_range(fitted: FittedCard) -> tuple[int, int]:
    tables = [*fitted.points.bins, *(grid.by_bin.ravel().tolist() for grid in fitted.points.grids)]
    low = fitted.points.base + sum(map(min, tables))
    high = fitted.points.base + sum(map(max, tables))
    return low, max(high, low + 1)


def _pair(grid: Grid) -> Pair:
    return Pair(
        features=grid.features,
        rows=grid.rows,
        columns=grid.columns,
        points=grid.points,
        goods=tuple(tuple(_rounded(value) for value in row) for row in grid.goods),
        bads=tuple(tuple(_rounded(value) for value in row) for row in grid.bads),
        gain=grid.gain,
    )


def _characteristic(contract: Contract, fitted: FittedCard, name: str) -> Characteristic:
    bins, at = fitted.bins[name], fitted.fit.features.index(name)
    said = contract.columns.get(name) or contract.features[name]
    numeric = isinstance(bins.bins, NumericBins)
    table = zip(
        _labels(bins.bins, contract.columns.get(name)),
        fitted.points.bins[at],
        fitted.design.woe[at],
        bins.train.goods,
        bins.train.bads,
        _errors(fitted, at, contract.scale),
        bins.thin.tolist(),
        strict=True,
    )
    return Characteristic(
        feature=name,
        kind="numeric" if numeric else "category",
        cuts=bins.bins.cuts if isinstance(bins.bins, NumericBins) else (),
        groups=() if isinstance(bins.bins, NumericBins) else bins.bins.groups,
        specials=bins.bins.specials,
        bins=tuple(
            CardBin(
                label=label,
                points=points,
                woe=_rounded(woe),
                goods=_rounded(goods),
                bads=_rounded(bads),
                standard_error=error,
                thin=thin,
            )
            for label, points, woe, goods, bads, error, thin in table
        ),
        trend=str(trend_kept(bins, fitted.points.bins[at], coefficient=fitted.fit.coefficients[at])),
        information_value=_rounded(information_value(bins.train)),
        coefficient=fitted.fit.coefficients[at],
        standard_error=fitted.fit.standard_errors[at],
        p_value=fitted.fit.p_values[at],
        vif=fitted.fit.vif[at],
        reason=said.reason,
        reason_missing=said.reason_missing,
        family=said.reason_family,
        changeable=said.changeable,
    )


def trend_kept(bins: FittedBins, points: Sequence[int], *, coefficient: float) -> Trend:
    """Name the trend that the points keep over the ordinary bins, from low to high, by the sign of their coefficient.

    It is that of the bad rates, but where two bins are nearly alike, or hold next to nothing: every weight of evidence is
    drawn a little towards the population's, a small bin's more, so that their order can turn. A segment's own bins hold its
    level too.
    """
    risk = np.array(points[: bins.bins.ordinary], dtype=np.float64) * (-1.0 if coefficient >= 0 else 1.0)
    if bins.trend not in (Trend.ASCENDING, Trend.DESCENDING) or not broken_at(risk, bins.trend):
        return bins.trend
    return shape_of(risk)


def _errors(fitted: FittedCard, at: int, scale: CardScale) -> tuple[int | None, ...]:
    """Give the standard error of the points of each bin: the recipe's own, or the coefficient's, the weights taken as known."""
    if fitted.points.errors:
        return fitted.points.errors[at]
    error, factor = fitted.fit.standard_errors[at], THOUSANDTHS * scale.pdo / math.log(2)
    return tuple(None if error is None else round(factor * error * abs(woe)) for woe in fitted.design.woe[at].tolist())


def _labels(bins: Bins, column: Column | None) -> tuple[str, ...]:
    """Name each bin, a special code with what the contract says that it means."""
    meanings = column.special if column else {}
    codes: tuple[float | str, ...] = bins.specials
    names = list(bins.labels())
    for at, code in enumerate(codes, start=bins.ordinary):
        names[at] += f": {meanings[code]}" if meanings.get(code) else ""
    return tuple(names)


def _table(contract: Contract, features: FeatureSet, needed: tuple[str, ...]) -> Table:
    """Keep the columns that scoring reads, and identifiers."""
    wanted = {*columns_read(contract, features, needed), *contract.with_role(Role.IDENTIFIER)}
    columns = {name: column for name, column in contract.columns.items() if name in wanted}
    return contract.applications.model_copy(update={"columns": columns})


def columns_read(contract: Contract, features: FeatureSet, needed: tuple[str, ...]) -> dict[str, Column]:
    """Keep the columns that are read, or that features read: those of keys and dates of their histories too."""
    wanted = set(needed)
    for name in {features.aggregates[name].table for name in needed if name in features.aggregates}:
        wanted |= {contract.histories[name].key[1], contract.only(Role.APPLIED_AT) or ""}
    return {name: column for name, column in contract.columns.items() if name in wanted}


def histories_read(contract: Contract, features: FeatureSet, needed: tuple[str, ...]) -> dict[str, History]:
    """Keep the histories and the columns of them that features read."""
    found: dict[str, History] = {}
    for name, history in contract.histories.items():
        own = [
            features.aggregates[it]
            for it in needed
            if it in features.aggregates and features.aggregates[it].table == name
        ]
        read = {column for it in own for part in (it.expression, it.where) if part for column in part.columns}
        read |= {history.key[0], history.event_at, history.known_at, history.tie or ""}
        if own:
            columns = {key: column for key, column in history.columns.items() if key in read}
            found[name] = history.model_copy(update={"columns": columns})
    return found


def _rounded(value: float) -> float:
    return float(f"{float(value):.{_DIGITS}g}")
