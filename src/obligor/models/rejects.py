"""Reject inference: what is assumed of applications that were declined, and the rows that a card is fitted on with them.

Nothing on a tape says how the declined would have turned out; every method here is an assumption, held in one number, the
*uplift*: how many times an accepted applicant's odds of bad a declined one of the same score has.

- ``Fuzzy`` gives each of the declined the PD of a card of the accepted, with its odds times the uplift. At an uplift of 1 it
  can teach nothing: a logistic regression that is shown its own PDs answers with itself.
- ``Parcelling`` gives each the bad rate of the accepted in its band of scores, with its odds times the uplift.

Either way one of the declined enters twice, as bad with that probability for a weight and as good with the rest: what a seeded
draw would give on average, without its chance. (Siddiqi 2017, Intelligent Credit Scoring, chapter 9; Hand and Henley 1993, Can
reject inference ever work?)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from scipy.special import expit

from obligor.core.bins import Levels, NumericBins
from obligor.core.errors import InvalidInputError, TapeError
from obligor.models.columns import SAMPLES, TRAIN, Rows
from obligor.models.scaling import add_points, log_odds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from obligor.core.clauses import CardScale
    from obligor.models.columns import Columns
    from obligor.models.fitted import FittedCard

Method = Literal["none", "fuzzy", "parcelling"]
_BANDS = 10
_FEWEST = 5.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """Accepted loans of train: the score that a card of the accepted gives them, what became of them, their weight."""

    scores: NDArray[np.int64]
    bad: NDArray[np.uint8]
    weight: NDArray[np.float64]
    scale: CardScale


@dataclass(frozen=True, slots=True)
class Declined:
    """Declined applications: the sample that each would stand in, and its weight beside the accepted."""

    sample: NDArray[np.uint8]
    weight: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.sample) != len(self.weight):
            raise InvalidInputError(f"declined: {len(self.weight)} weights for {len(self.sample)} applications")
        if len(self.weight) and not (self.weight.min() >= 0 and self.weight.max() < np.inf):
            raise InvalidInputError("declined: a weight is negative or not finite; wanted weights of 0 or more")
        if not (self.sample == TRAIN).any():
            raise InvalidInputError("declined: none in train; wanted one or more")


class RejectInference(Protocol):
    """What is assumed of the declined."""

    @property
    def uplift(self) -> float:
        """How many times an accepted applicant's odds of bad a declined one of the same score has."""
        ...

    def pds(self, scores: NDArray[np.int64], accepted: Accepted) -> NDArray[np.float64]:
        """Give the probability of bad that is assumed of declined applications of these scores."""
        ...


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Each of the declined is as bad as the card of the accepted says, with its odds times the uplift."""

    uplift: float = 1.0

    def __post_init__(self) -> None:
        _refuse(self.uplift)

    def pds(self, scores: NDArray[np.int64], accepted: Accepted) -> NDArray[np.float64]:
        """Read the PDs off the scores, before calibration: they are those of train."""
        return uplifted(expit(-log_odds_of(scores, scale=accepted.scale)), self.uplift)


@dataclass(frozen=True, slots=True)
class Parcelling:
    """Each of the declined is as bad as the accepted in its band of scores, with their odds times the uplift."""

    uplift: float = 1.0
    bands: int = _BANDS

    def __post_init__(self) -> None:
        _refuse(self.uplift)
        if self.bands < 1:
            raise InvalidInputError(f"parcelling: {self.bands} bands; wanted one or more")

    def pds(self, scores: NDArray[np.int64], accepted: Accepted) -> NDArray[np.float64]:
        """Give the bad rates of bands that hold a tenth of all applications each, or more where too few of it are accepted.

        Raises
        ------
        TapeError
            Where all score below, or all above, every accepted loan: no accepted loan is like them.
        """
        if scores.max() < accepted.scores.min() or scores.min() > accepted.scores.max():
            side = "below" if scores.max() < accepted.scores.min() else "above"
            raise TapeError(
                f"parcelling: all {len(scores)} declined applications score {side} every one of {len(accepted.scores)} "
                "accepted loans; wanted some accepted loans in their bands",
                hint="nothing on this tape speaks of the declined: set rejects.method to none or to fuzzy",
            )
        edges, rates = bands_of(accepted, scores, most=self.bands)
        return uplifted(rates[np.searchsorted(edges, scores, side="right")], self.uplift)


def inference_of(method: Method, uplift: float) -> RejectInference | None:
    """Give the inference of a name; None stands for none."""
    kinds: dict[Method, type[Fuzzy | Parcelling]] = {"fuzzy": Fuzzy, "parcelling": Parcelling}
    return kinds[method](uplift) if method in kinds else None


def uplifted(pd: NDArray[np.float64], uplift: float) -> NDArray[np.float64]:
    """Multiply the odds of bad: 1 leaves every PD as it is, and no PD passes 1."""
    return np.asarray(uplift * pd / (1 - pd + uplift * pd))


def bands_of(
    accepted: Accepted, declined: NDArray[np.int64], *, most: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Part all applications by score into bands of about as many, each with five accepted goods and bads or more.

    Returns
    -------
    edges, rates
        Band ``i`` holds the scores from ``edges[i - 1]`` up to but not ``edges[i]``, and turns bad at ``rates[i]``. The outer
        bands have no end, so that a score beyond them has the rate of the nearest.
    """
    whole = np.concatenate([accepted.scores, declined])
    edges = np.unique(np.quantile(whole, np.arange(1, most) / most, method="inverted_cdf"))
    place = np.searchsorted(edges, accepted.scores, side="right")
    goods, bads = (
        np.bincount(place, weights=accepted.weight * side, minlength=len(edges) + 1).astype(np.float64)
        for side in (1.0 - accepted.bad, 1.0 * accepted.bad)
    )
    starts = _joined(goods, bads)
    goods, bads = np.add.reduceat(goods, starts), np.add.reduceat(bads, starts)
    return edges[np.array(starts[1:], dtype=np.int64) - 1], bads / (goods + bads)


def _joined(goods: NDArray[np.float64], bads: NDArray[np.float64]) -> list[int]:
    """Join bands from the riskiest up until each holds enough; the safest, where it holds too few, joins the one below."""
    starts, held = [0], [0.0, 0.0]
    for at in range(len(goods)):
        if min(held) >= _FEWEST:
            starts.append(at)
            held = [0.0, 0.0]
        held = [held[0] + goods[at], held[1] + bads[at]]
    if min(held) < _FEWEST and len(starts) > 1:
        starts.pop()
    return starts


def weigh(rows: Rows, sample: NDArray[np.uint8], weight: NDArray[np.float64], *, rates: Sequence[float]) -> Declined:
    """Weigh the declined of each sample against its accepted loans as the approval rate of the sample has it.

    Parameters
    ----------
    sample, weight
        Of each declined application, as the tape has it.
    rates
        The approval rate of each sample.
    """
    known = np.ones(len(rows.bad)) if rows.weight is None else rows.weight
    scaled = weight.astype(np.float64).copy()
    for code, rate in enumerate(rates):
        if not 0 < rate <= 1:
            raise InvalidInputError(f"{SAMPLES[code]}: an approval rate of {rate:g}; wanted more than 0, and 1 at most")
        mask = sample == code
        own = float(weight[mask].sum())
        if own > 0:
            scaled[mask] *= float(known[rows.is_in(code)].sum()) * (1 - rate) / rate / own
    found = Declined(sample, scaled)
    if not scaled[sample == TRAIN].sum() > 0:
        raise InvalidInputError("declined: those of train weigh nothing; wanted weights above 0")
    return found


def augment(rows: Rows, declined: Declined, pds: NDArray[np.float64]) -> Rows:
    """Put the declined of train behind the known rows: all of them as bads, then all of them again as goods.

    Parameters
    ----------
    pds
        The probability of bad that is assumed of each declined application.
    """
    train = declined.sample == TRAIN
    weight, pd = declined.weight[train], pds[train]
    known = np.ones(len(rows.bad)) if rows.weight is None else rows.weight
    size = len(pd)
    return Rows(
        np.concatenate([rows.bad, np.ones(size, dtype=np.uint8), np.zeros(size, dtype=np.uint8)]),
        np.concatenate([rows.sample, np.full(2 * size, TRAIN, dtype=np.uint8)]),
        np.concatenate([known, weight * pd, weight * (1 - pd)]),
    )


@dataclass(frozen=True, slots=True)
class AugmentedColumns:
    """The columns of the known rows with those of the declined of train behind them, twice, as `augment` has them."""

    accepted: Columns
    declined: Columns
    train: NDArray[np.bool_]
    """Which of the declined are of train."""

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Give a column of numbers; NaN is missing."""
        own = self.declined.numbers(name)[self.train]
        return np.concatenate([self.accepted.numbers(name), own, own])

    def levels(self, name: str) -> Levels:
        """Give a column of categories, with the levels of both."""
        accepted, declined = self.accepted.levels(name), self.declined.levels(name)
        names = tuple(sorted({*accepted.names, *declined.names}))
        place = {level: at for at, level in enumerate(names)}

        def recoded(it: Levels) -> NDArray[np.int32]:
            table = np.array([*(place[level] for level in it.names), -1], dtype=np.int32)
            return np.asarray(table[it.codes])

        own = recoded(declined)[self.train]
        return Levels(np.concatenate([recoded(accepted), own, own]), names)


def score_columns(fitted: FittedCard, columns: Columns, *, rows: int) -> NDArray[np.int64]:
    """Score other rows by the bins and points of a fit, in thousandths."""
    codes = []
    for name in fitted.fit.features:
        bins = fitted.bins[name].bins
        codes.append(
            bins.assign_column(columns.numbers(name))
            if isinstance(bins, NumericBins)
            else bins.assign_column(columns.levels(name))
        )
    return add_points(fitted.points, codes, rows=rows, features=fitted.fit.features)


def _refuse(uplift: float) -> None:
    if not 0 < uplift < np.inf:
        raise InvalidInputError(f"reject inference: an uplift of {uplift:g}; wanted a finite one above 0")
