"""The search for less discriminatory alternatives: cards made otherwise, and how alike each treats groups of applicants.

Each alternative does one thing otherwise than the card: it leaves out a characteristic, or several; it has coarser bins; or its
coefficients are held closer to zero. It is judged on validation at the approval rate of the card, since a ratio of approval
rates means little where other shares are approved. An alternative stands on the frontier of a protected column where no other
has both a Gini and an impact ratio as high; only those on a frontier are looked at on the test, at the cut-off that validation
gave them. Which card is used, and why, is for a person to decide.

A classical card is fitted again on the bins that it has, at the strength that it has, so that an alternative costs a
fraction of a run; what a characteristic kept off the card may come back without it. A smooth card is fitted anew on its
characteristics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from obligor.core.errors import InvalidInputError, TapeError
from obligor.measures.decisions import Book, at_cutoff, frontier
from obligor.measures.discrimination import auc, delong
from obligor.measures.fairness import worst_ratio
from obligor.models.columns import TEST, VALIDATION
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import fit_card, refit_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.measures.decisions import Economy
    from obligor.measures.fairness import Groups, Standard
    from obligor.models.columns import Columns, Predictor, Rows
    from obligor.models.fitted import FittedCard
    from obligor.models.projection import SmoothRules
    from obligor.models.training import Recipe

MOST_CLASSICAL, MOST_SMOOTH = 40, 12
"""How many cards are fitted at the most."""
_DEEPEST = 4
_WORTH = 0.01
"""The rise of an impact ratio from which an alternative counts as better."""
_COARSER = (5, 3, 2)
_STRENGTHS = (0.003, 0.01, 0.03, 0.1)
THE_CARD = "the card"

Kind = Literal["card", "drop", "bins", "penalty"]


@dataclass(frozen=True, slots=True)
class Change:
    """What an alternative does otherwise than the card."""

    without: tuple[str, ...] = ()
    max_bins: int | None = None
    strength: float | None = None

    @property
    def kind(self) -> Kind:
        """Along which of the three ways it goes."""
        return "drop" if self.without else "bins" if self.max_bins else "penalty" if self.strength else "card"

    @property
    def name(self) -> str:
        """Say it in words."""
        if self.without:
            *others, last = self.without
            return f"without {', '.join(others)} and {last}" if others else f"without {last}"
        if self.max_bins:
            return f"at most {self.max_bins} bins"
        return f"penalty {self.strength:g}" if self.strength else THE_CARD


@dataclass(frozen=True, slots=True)
class Figures:
    """What a card does to one sample at its cut-off."""

    gini: float
    gini_lower: float
    gini_upper: float
    approval_rate: float
    npl_rate: float
    profit: float
    impact_ratios: Mapping[str, float | None]
    """By protected column, that of the group that fares worst; None where no two groups are large enough."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One card that was tried."""

    name: str
    kind: Kind
    characteristics: int
    cutoff: int
    """In thousandths: where it approves as many on validation as the card."""
    validation: Figures
    test: Figures | None
    """None off the frontiers."""
    on_frontier: tuple[str, ...]
    """The protected columns on whose frontier it stands."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The alternative that treats the groups of one column most alike within the Gini that may be given for it."""

    column: str
    ratio: float
    """The impact ratio of the card on validation."""
    alternative: str | None
    """None where the card's ratio asks for no review, or no alternative has a better one at that price."""
    holds: bool
    """Whether the test bears it out: there too its ratio is higher than that of the card."""


@dataclass(frozen=True, slots=True)
class Search:
    """All that was tried, the card itself first."""

    alternatives: tuple[Alternative, ...]
    proposals: tuple[Proposal, ...]
    failed: tuple[str, ...]
    """What no card could be made of."""


@dataclass(frozen=True, slots=True)
class Refitter:
    """Makes the card of a change, by the recipe of the contract."""

    fit: Callable[[Change], FittedCard]
    strengths: tuple[float, ...]
    """Stronger penalties to try; none where the recipe has no penalty of its own."""
    most: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What every alternative is judged by."""

    rows: Rows
    protected: Mapping[str, Groups]
    standard: Standard
    economy: Economy
    gini_cost: float


def classical_refitter(
    base: FittedCard, predictors: Sequence[Predictor], columns: Columns, rows: Rows, *, recipe: Recipe
) -> Refitter:
    """Refit a classical card: only coarser bins need the columns again."""

    def fit(change: Change) -> FittedCard:
        penalty = replace(recipe.penalty, strengths=(change.strength or base.fit.strength,))
        own = replace(recipe, penalty=penalty)
        if change.max_bins is None:
            return refit_without(base, rows, without=change.without, recipe=own)
        binning = replace(recipe.binning, max_bins=change.max_bins)
        return fit_card(predictors, columns, rows, recipe=replace(own, binning=binning))

    return Refitter(fit, tuple(it for it in _STRENGTHS if it > base.fit.strength), MOST_CLASSICAL)


def smooth_refitter(
    base: FittedCard, predictors: Sequence[Predictor], columns: Columns, rows: Rows, *, rules: SmoothRules
) -> Refitter:
    """Refit a smooth card on the characteristics that it has: every table finds its own strength."""

    def fit(change: Change) -> FittedCard:
        kept = [it for it in predictors if it.name in base.fit.features and it.name not in change.without]
        keep = tuple(name for name in rules.keep if name not in change.without)
        fixed = {it.name: rules.fixed[it.name] for it in kept if it.name in rules.fixed}
        own = replace(rules, keep=keep, fixed=fixed, max_bins=change.max_bins or rules.max_bins)
        return fit_smooth_card(kept, columns, rows, rules=own)

    return Refitter(fit, (), MOST_SMOOTH)


def search(
    base: FittedCard,
    *,
    cutoff: int,
    refitter: Refitter,
    bench: Bench,
    advance: Callable[[float], None] = lambda _: None,
) -> Search:
    """Try cards and judge them; ``advance`` is called with 1 after each."""
    on_validation = _book(base.scores, bench, VALIDATION)
    rate = at_cutoff(on_validation, cutoff, economy=bench.economy).approval_rate
    tried = {Change(): _tried(Change(), base, cutoff, bench)}
    failed: list[str] = []

    def attempt(changes: Iterable[Change]) -> None:
        for change in changes:
            if change in tried or change.name in failed or len(tried) + len(failed) > refitter.most:
                continue
            try:
                made = refitter.fit(change)
            except (TapeError, InvalidInputError):  # nothing is left that tells goods from bads
                failed.append(change.name)
            else:
                own = cutoff_at(_book(made.scores, bench, VALIDATION), rate, economy=bench.economy)
                tried[change] = _tried(change, made, own, bench)
            advance(1)

    widest = max(len(table) for table in base.points.bins)
    attempt(Change(max_bins=most) for most in _COARSER if most < widest)
    attempt(Change(strength=strength) for strength in refitter.strengths)
    left = refitter.most - (len(tried) - 1) - len(failed)
    room = left - min((_DEEPEST - 1) * len(bench.protected), refitter.most // 4)
    attempt(Change(without=(name,)) for name in _suspects(base, bench)[:room])
    for column in bench.protected:
        attempt(_together(column, tried))
    return _judged(tried, failed, bench)


def cutoff_at(book: Book, rate: float, *, economy: Economy) -> int:
    """Give the cut-off whose approval rate comes nearest to one; the lowest of equals."""
    whole = frontier(book, economy=economy)
    return int(whole.score[np.argmin(np.abs(whole.approval_rate - rate))])


def pareto(points: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Name the points that no other reaches or exceeds in both figures, the highest in the first one first."""
    best, found = -np.inf, []
    for name in sorted(points, key=lambda it: (-points[it][0], -points[it][1])):
        if points[name][1] > best:
            best = points[name][1]
            found.append(name)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Tried:
    alternative: Alternative
    scores: NDArray[np.int64]
    """Of the test."""


def _tried(change: Change, fitted: FittedCard, cutoff: int, bench: Bench) -> _Tried:
    figures = _figures(fitted.scores[bench.rows.is_in(VALIDATION)], cutoff, bench, VALIDATION)
    told = Alternative(change.name, change.kind, len(fitted.fit.features), cutoff, figures, None, ())
    return _Tried(told, fitted.scores[bench.rows.is_in(TEST)])


def _judged(tried: Mapping[Change, _Tried], failed: Sequence[str], bench: Bench) -> Search:
    fronts = {}
    known = {it.alternative.name: it.alternative for it in tried.values()}
    for column in bench.protected:
        points = {
            name: (it.validation.gini, ratio)
            for name, it in known.items()
            if (ratio := it.validation.impact_ratios[column]) is not None
        }
        fronts[column] = pareto(points)
    told = []
    for it in tried.values():
        own = it.alternative
        on = tuple(column for column, names in fronts.items() if own.name in names)
        shown = on or own.kind == "card"
        figures = _figures(it.scores, own.cutoff, bench, TEST) if shown else None
        told.append(replace(own, on_frontier=on, test=figures))
    judged = {it.name: it for it in told}
    proposals = [_proposal(column, judged, names, bench) for column, names in fronts.items() if names]
    return Search(tuple(told), tuple(proposals), tuple(failed))


def _proposal(column: str, known: Mapping[str, Alternative], front: Sequence[str], bench: Bench) -> Proposal:
    ratio = known[THE_CARD].validation.impact_ratios[column] or 0.0
    floor = known[THE_CARD].validation.gini - bench.gini_cost
    ratios = {
        name: known[name].validation.impact_ratios[column] or 0.0
        for name in front
        if known[name].validation.gini >= floor
    }
    best = max(ratios, key=lambda name: ratios[name], default=THE_CARD)
    wanted = ratio < bench.standard.review and ratios.get(best, 0.0) >= ratio + _WORTH
    before, after = (
        (it.test.impact_ratios[column] if it.test else None) or 0.0 for it in (known[THE_CARD], known[best])
    )
    return Proposal(column, ratio, best if wanted else None, wanted and after >= before + _WORTH)


def _figures(scores: NDArray[np.int64], cutoff: int, bench: Bench, sample: int) -> Figures:
    mask = bench.rows.is_in(sample)
    book = _sampled(scores, bench, mask)
    at, area = at_cutoff(book, cutoff, economy=bench.economy), delong(book.bad, -scores)
    value = auc(book.bad, -scores, book.weight)
    low, high = (value - area.value + end for end in area.interval)
    return Figures(
        2 * value - 1,
        2 * low - 1,
        2 * high - 1,
        at.approval_rate,
        at.npl_rate,
        at.profit,
        {
            name: worst_ratio(scores >= cutoff, groups.of(mask), book.weight, standard=bench.standard)
            for name, groups in bench.protected.items()
        },
    )


def _book(scores: NDArray[np.int64], bench: Bench, sample: int) -> Book:
    mask = bench.rows.is_in(sample)
    return _sampled(scores[mask], bench, mask)


def _sampled(scores: NDArray[np.int64], bench: Bench, mask: NDArray[np.bool_]) -> Book:
    rows, ones = bench.rows, np.ones(len(scores))
    weight = ones if rows.weight is None else rows.weight[mask]
    return Book(scores, rows.bad[mask], weight, ones if rows.exposure is None else rows.exposure[mask])


def _suspects(base: FittedCard, bench: Bench) -> list[str]:
    """Order the characteristics of the card by how far the mean points of groups lie apart, the widest first."""
    mask = bench.rows.is_in(VALIDATION)
    apart = dict.fromkeys(base.fit.features, 0.0)
    for groups in bench.protected.values():
        codes = groups.codes[mask]
        sizes = np.bincount(codes[codes >= 0], minlength=len(groups.names))
        enough = sizes >= bench.standard.fewest
        if not enough.any():
            continue
        for name, table in zip(base.fit.features, base.points.bins, strict=True):
            earned = np.array(table, dtype=np.float64)[base.design.codes(name)[mask]]
            sums = np.bincount(codes[codes >= 0], weights=earned[codes >= 0], minlength=len(groups.names))
            apart[name] = max(apart[name], float(np.ptp(sums[enough] / sizes[enough])))
    return sorted(apart, key=lambda name: (-apart[name], name))


def _together(column: str, tried: Mapping[Change, _Tried]) -> list[Change]:
    """Leave out the characteristics that bring the ratio of a column up, the two best together, then the three best."""

    def ratio(change: Change) -> float:
        return tried[change].alternative.validation.impact_ratios[column] or 0.0

    helping = [it for it in tried if len(it.without) == 1 and ratio(it) > ratio(Change())]
    best = sorted(helping, key=lambda it: (-ratio(it), it.name))
    names = [it.without[0] for it in best]
    return [Change(without=tuple(sorted(names[:size]))) for size in range(2, min(len(names), _DEEPEST) + 1)]
