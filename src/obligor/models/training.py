"""From columns and outcomes to a fitted card: binning, selection, logit, points, in that order.

Every fitted number comes from the train rows. Validation rows choose the trends, the penalty and what holds, and later
the calibration and the cut-off. Test rows are only coded.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.bins import NumericBins
from obligor.core.clauses import CardScale
from obligor.core.errors import EditError, TapeError
from obligor.models.binning import BinningRules, FittedBins, count_by_hand, fit_categories, fit_numeric
from obligor.models.columns import TRAIN, VALIDATION, Columns, Predictor, Rows
from obligor.models.fitted import FittedCard
from obligor.models.logistic import Cases, CodedDesign, Penalty
from obligor.models.scaling import add_points, scale_points
from obligor.models.segments import fit_segments
from obligor.models.selection import SelectionRules, screen, select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.core.bins import Bins, Levels

_AT_ONCE = 2
_BADS_FOR_A_BIN = 40
_FEWEST_BINS = 3
_MOST_SEGMENTS = 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choices of the developer."""

    binning: BinningRules = field(default_factory=BinningRules)
    selection: SelectionRules = field(default_factory=SelectionRules)
    penalty: Penalty = field(default_factory=Penalty)
    scale: CardScale = field(default_factory=CardScale)
    segment: str | None = None
    """A predictor whose bins may earn points of their own; each frequent level of a category has a bin of its own."""
    fixed: Mapping[str, Bins] = field(default_factory=dict)
    """Bins made by hand, by predictor."""


def fit_card(
    predictors: Sequence[Predictor],
    columns: Columns,
    rows: Rows,
    *,
    recipe: Recipe | None = None,
    known: int | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> FittedCard:
    """Fit a card; ``advance`` is called with 1 after each predictor is binned.

    Parameters
    ----------
    known
        How many rows, the first ones, are of known outcome, where the others are inferred. They alone say how many bins train
        affords, and which segments earn points; where there are segments, the card is of these rows.

    Raises
    ------
    TapeError
        Where no predictor tells anything.
    """
    recipe = _with_segment(recipe or Recipe())
    refuse_strays(recipe.fixed, predictors)
    sure = rows if known is None else rows.first(known)
    recipe = replace(recipe, binning=_afforded(recipe.binning, sure))
    bins, matrix = _bin_all(predictors, columns, rows, recipe=recipe, advance=advance)
    return _fit_binned(bins, matrix, rows, recipe=recipe, sure=sure)


def refit_without(base: FittedCard, rows: Rows, *, without: Collection[str], recipe: Recipe) -> FittedCard:
    """Fit a card again on the bins of another, some predictors left out: what these kept off the card may come back.

    Raises
    ------
    TapeError, InvalidInputError
        Where no predictor is left that tells anything.
    """
    own = replace(recipe, segment=None) if recipe.segment in without else recipe
    return _fit_binned(base.bins, base.design.matrix, rows, recipe=_with_segment(own), without=without)


def _fit_binned(
    bins: Mapping[str, FittedBins],
    matrix: NDArray[np.uint8],
    rows: Rows,
    *,
    recipe: Recipe,
    without: Collection[str] = (),
    sure: Rows | None = None,
) -> FittedCard:
    order = {name: line for line, name in enumerate(bins)}
    offered = {name: it for name, it in bins.items() if name not in without}
    names, dropped = screen(offered, rules=recipe.selection)
    if not names:
        raise TapeError(
            f"none of {len(offered)} predictors has an information value of "
            f"{recipe.selection.min_information_value:g} and holds on validation; there is nothing to build a card on"
        )
    design = CodedDesign(
        tuple(names), matrix, tuple(order[name] for name in names), tuple(bins[name].woe for name in names)
    )
    train, validation = (_cases(rows, sample) for sample in (TRAIN, VALIDATION))
    selection = select(design, train, validation, penalty=recipe.penalty, rules=recipe.selection)
    fit, used = selection.fit, design.only(selection.fit.features)
    points = scale_points(fit.intercept, fit.coefficients, used.woe, scale=recipe.scale)
    scores = add_points(points, [used.codes(name) for name in fit.features], rows=len(rows.bad))
    fitted = FittedCard(bins, used, (*dropped, *selection.dropped), fit, points, scores)
    if recipe.segment is None:
        return fitted
    sure = sure or rows
    design = replace(design, matrix=design.matrix[:, : len(sure.bad)])
    return fit_segments(fitted.first(len(sure.bad)), design, sure, recipe.segment, scale=recipe.scale)


def _with_segment(recipe: Recipe) -> Recipe:
    """Keep the column of the segment from being dropped."""
    if recipe.segment is None or recipe.segment in recipe.selection.keep:
        return recipe
    return replace(recipe, selection=replace(recipe.selection, keep=(*recipe.selection.keep, recipe.segment)))


def refuse_strays(fixed: Mapping[str, Bins], predictors: Sequence[Predictor]) -> None:
    """Refuse bins made by hand of what is no predictor, or whose special codes are no longer those of the contract."""
    offered = {it.name: it for it in predictors}
    for name, bins in fixed.items():
        if name not in offered:
            raise EditError(f"edits: '{name}' is no predictor of the contract")
        known = tuple(str(code) for code in bins.specials)
        asked = tuple(str(float(it)) if isinstance(bins, NumericBins) else str(it) for it in offered[name].specials)
        if known != asked:
            raise EditError(
                f"edits: the bins of '{name}' have the special codes {', '.join(known) or 'none'}; "
                f"the contract has {', '.join(asked) or 'none'}"
            )


def _afforded(rules: BinningRules, rows: Rows) -> BinningRules:
    """Ask for no more bins than train has bads to tell apart: about 40 for each, and three bins at the least."""
    bads = int(rows.bad[rows.is_in(TRAIN)].sum())
    return replace(rules, max_bins=min(rules.max_bins, max(_FEWEST_BINS, bads // _BADS_FOR_A_BIN)))


def _cases(rows: Rows, sample: int) -> Cases:
    return Cases(np.flatnonzero(rows.is_in(sample)), rows.bad, rows.weight)


def _bin_all(
    predictors: Sequence[Predictor],
    columns: Columns,
    rows: Rows,
    *,
    recipe: Recipe,
    advance: Callable[[float], None],
) -> tuple[dict[str, FittedBins], NDArray[np.uint8]]:
    """Bin the predictors, a few at a time; a byte for each value stays, the columns go."""
    rules = recipe.binning
    matrix = np.empty((len(predictors), len(rows.bad)), dtype=np.uint8)
    bins: dict[str, FittedBins] = {}
    nothing = np.zeros(0, dtype=np.uint8)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for first in range(0, len(predictors), _AT_ONCE):
            group = predictors[first : first + _AT_ONCE]
            waiting = [
                pool.submit(
                    _bin_one,
                    it,
                    fetch(it, columns),
                    rows,
                    rules=_rules(it, rules, segment=recipe.segment),
                    fixed=recipe.fixed.get(it.name),
                )
                for it in group
            ]
            for offset, (predictor, result) in enumerate(zip(group, waiting, strict=True)):
                fitted = result.result()
                matrix[first + offset] = fitted.codes
                bins[predictor.name] = replace(fitted, codes=nothing)
                advance(1)
    return bins, matrix


def _rules(predictor: Predictor, rules: BinningRules, *, segment: str | None) -> BinningRules:
    """Let each frequent level of the segment's column have a bin of its own."""
    if predictor.kind != "category" or predictor.name != segment:
        return rules
    return replace(rules, max_bins=max(rules.max_bins, _MOST_SEGMENTS), min_share=rules.rare_share)


def fetch(predictor: Predictor, columns: Columns) -> NDArray[np.float64] | Levels:
    """Fetch the column of a predictor."""
    return columns.numbers(predictor.name) if predictor.kind == "numeric" else columns.levels(predictor.name)


def _bin_one(
    predictor: Predictor, column: NDArray[np.float64] | Levels, rows: Rows, *, rules: BinningRules, fixed: Bins | None
) -> FittedBins:
    train, validation = rows.is_in(TRAIN), rows.is_in(VALIDATION)
    if fixed is not None:
        return count_by_hand(
            fixed,
            column,
            bad=rows.bad,
            train=train,
            validation=validation,
            weight=rows.weight,
            trend=predictor.trend,
            rules=rules,
        )
    if isinstance(column, np.ndarray):
        return fit_numeric(
            predictor.name,
            column,
            bad=rows.bad,
            train=train,
            validation=validation,
            weight=rows.weight,
            specials=tuple(float(code) for code in predictor.specials),
            trend=predictor.trend,
            rules=rules,
        )
    return fit_categories(
        predictor.name,
        column,
        bad=rows.bad,
        train=train,
        validation=validation,
        weight=rows.weight,
        specials=tuple(str(code) for code in predictor.specials),
        rules=rules,
    )
