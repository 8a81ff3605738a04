"""Goods and bads counted per code: all that binning needs to know of a tape.

A tape is read once. Every value becomes a byte, its *code*, and every code gets a count of goods and bads for each of a
few parts of the tape. What follows (partitions, weights of evidence, the choice of a trend) works on these counts and
never looks at a row again.

The loops release the interpreter's lock, so that several characteristics may be counted at once in threads; each is
serial inside, so that sums of weights come out the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODES = 256
_GOLDEN, _LOW, _HALF = np.uint64(2654435769), np.uint64(2**32 - 1), np.uint64(32)
FOLDS = 5
"""Train is counted in this many parts, each with its share of goods and of bads; validation is one part more."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """The weight of goods and of bads in each bin, by code."""

    goods: NDArray[np.float64]
    bads: NDArray[np.float64]

    @property
    def rows(self) -> NDArray[np.float64]:
        """The weight of each bin."""
        return self.goods + self.bads

    def pooled(self, bins: NDArray[np.uint8], size: int) -> Histogram:
        """Give the histogram of coarser bins: code ``c`` goes to ``bins[c]``."""
        goods = np.bincount(bins, weights=self.goods, minlength=size).astype(np.float64)
        return Histogram(goods, np.bincount(bins, weights=self.bads, minlength=size).astype(np.float64))


def woe(histogram: Histogram, *, prior_rows: float | NDArray[np.float64] = 1.0) -> NDArray[np.float64]:
    """Give the weight of evidence of each bin, ln(share of goods / share of bads).

    Every bin is first joined by `prior_rows` rows (or by rows of its own number) at the population's bad rate: an empty
    bin then weighs 0, and a bin without goods or bads is finite.
    """
    goods, bads = _totals(histogram)
    prior_bads = prior_rows * bads / (goods + bads)
    good_share = (histogram.goods + prior_rows - prior_bads) / goods
    bad_share = (histogram.bads + prior_bads) / bads
    weights: NDArray[np.float64] = np.log(good_share / bad_share)
    return weights


def information_value(histogram: Histogram) -> float:
    """Give the sum over bins of (share of goods - share of bads) * weight of evidence.

    A bin without goods or without bads, whose own weight would be infinite, counts with its shrunk weight.
    """
    goods, bads = _totals(histogram)
    whole = (histogram.goods > 0) & (histogram.bads > 0)
    good_share, bad_share = histogram.goods / goods, histogram.bads / bads
    weights = woe(histogram)
    weights[whole] = np.log(good_share[whole] / bad_share[whole])
    return float(np.sum((good_share - bad_share) * weights))


def _totals(histogram: Histogram) -> tuple[float, float]:
    goods, bads = float(histogram.goods.sum()), float(histogram.bads.sum())
    if not (goods > 0 and bads > 0):
        raise InvalidInputError(f"weight of evidence: got {goods:g} goods and {bads:g} bads; wanted some of each")
    return goods, bads


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is known of each row beside the value: the outcome, the sample and the weight."""

    bad: NDArray[np.uint8]
    train: NDArray[np.bool_]
    validation: NDArray[np.bool_] | None = None
    weight: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in ("train", "validation", "weight"):
            found = getattr(self, name)
            if found is not None and len(found) != len(self.bad):
                raise InvalidInputError(f"outcomes: {name} has {len(found)} values, wanted {len(self.bad)}")
        if len(self.bad) and int(self.bad.max()) > 1:
            raise InvalidInputError(f"outcomes: an outcome of {int(self.bad.max())}; wanted 1 for bad, 0 for good")
        if self.weight is not None and len(self.weight) and not (self.weight.min() >= 0 and self.weight.max() < np.inf):
            raise InvalidInputError("outcomes: a weight is negative or not finite; wanted weights of 0 or more")

    @property
    def unit(self) -> float:
        """The weight of an average row of train."""
        return 1.0 if self.weight is None else float(self.weight[self.train].mean())


@dataclass(frozen=True, slots=True)
class Counts:
    """Every row's code, and goods and bads by code: in each fold of train, and in validation."""

    codes: NDArray[np.uint8]
    folds: tuple[Histogram, ...]
    validation: Histogram | None

    @property
    def train(self) -> Histogram:
        """The folds together."""
        return Histogram(
            np.sum([fold.goods for fold in self.folds], axis=0), np.sum([fold.bads for fold in self.folds], axis=0)
        )


def count_numbers(
    values: NDArray[np.float64], outcomes: Outcomes, *, cuts: NDArray[np.float64], specials: tuple[float, ...]
) -> Counts:
    """Code and count a column of numbers: the intervals ``[lower, upper)`` of `cuts`, special codes, then missing.

    Raises
    ------
    InvalidInputError
        A value is infinite.
    """
    if len(cuts) + len(specials) + 2 > CODES:
        raise InvalidInputError(f"{len(cuts) + 1} intervals and {len(specials)} special codes: wanted at most 255 bins")
    ladder = np.full(CODES - 1, np.inf)
    ladder[: len(cuts)] = cuts
    codes = np.empty(len(values), dtype=np.uint8)
    if not _code_numbers(
        np.ascontiguousarray(values), ladder, len(cuts) + 1, np.asarray(specials, dtype=np.float64), codes
    ):
        raise InvalidInputError("an infinite value: wanted finite numbers, or none where the value is missing")
    return _count(codes, outcomes)


def count_levels(levels: NDArray[np.int32], outcomes: Outcomes, *, table: NDArray[np.uint8]) -> Counts:
    """Code and count a column of categories: level ``l`` has code ``table[l]``, and missing (-1) the last entry."""
    return _count(table[levels], outcomes)


def count_names(levels: NDArray[np.int32], outcomes: Outcomes, *, names: int) -> Histogram:
    """Count goods and bads of train for each of `names` levels, however many there are; missing is left out."""
    known = outcomes.train & (levels >= 0)
    weight = None if outcomes.weight is None else outcomes.weight[known]
    by_outcome = np.bincount(levels[known] * 2 + outcomes.bad[known], weights=weight, minlength=2 * names)
    pairs = by_outcome.astype(np.float64).reshape(-1, 2)
    return Histogram(pairs[:, 0], pairs[:, 1])


def _count(codes: NDArray[np.uint8], outcomes: Outcomes) -> Counts:
    if len(codes) != len(outcomes.bad):
        raise InvalidInputError(f"{len(codes)} values for {len(outcomes.bad)} outcomes; wanted as many")
    bad, train = _bytes(outcomes.bad), _bytes(outcomes.train)
    validation = np.zeros(0, dtype=np.uint8) if outcomes.validation is None else _bytes(outcomes.validation)
    weight = np.zeros(0) if outcomes.weight is None else np.ascontiguousarray(outcomes.weight, dtype=np.float64)
    parts = _count_codes(codes, bad, train, validation, weight, FOLDS)
    histograms = tuple(Histogram(part[0::2].copy(), part[1::2].copy()) for part in parts)
    return Counts(codes, histograms[:FOLDS], None if outcomes.validation is None else histograms[FOLDS])


def _bytes(flags: NDArray[np.uint8] | NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(flags).astype(np.uint8, copy=False)


@njit(cache=True, nogil=True)
def _code_numbers(
    values: NDArray[np.float64],
    ladder: NDArray[np.float64],
    ordinary: int,
    specials: NDArray[np.float64],
    codes: NDArray[np.uint8],
) -> bool:
    """Code each value by eight halvings of a ladder of 255 cuts, padded with infinity; tell whether all are finite.

    The halvings have no branch to mispredict: the comparison is added, not jumped on.
    """
    finite = True
    missing = ordinary + len(specials)
    for row in range(len(values)):
        value = values[row]
        code = 0
        for step in (128, 64, 32, 16, 8, 4, 2, 1):
            code += step * (ladder[code + step - 1] <= value)
        if code >= ordinary:
            finite = False
        for offset in range(len(specials)):
            if value == specials[offset]:
                code = ordinary + offset
        if np.isnan(value):
            code = missing
        elif value == -np.inf:
            finite = False
        codes[row] = code
    return finite


@njit(cache=True, nogil=True)
def _count_codes(
    codes: NDArray[np.uint8],
    bad: NDArray[np.uint8],
    train: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    weight: NDArray[np.float64],
    folds: int,
) -> NDArray[np.float64]:
    """Count by part, code and outcome, in the order of rows.

    The n-th good and the n-th bad of train go to the fold where n times the golden ratio falls: every fold has its
    share of both, no period in the tape can hide in it, and no chance is needed.
    """
    counts = np.zeros((folds + 1, 512))
    seen = np.zeros(2, dtype=np.uint64)
    weighted, validated = len(weight) > 0, len(validation) > 0
    for row in range(len(codes)):
        outcome = np.int64(bad[row])
        if train[row]:
            fraction = (seen[outcome] * _GOLDEN) & _LOW  # of 2^32
            part = np.int64((fraction * np.uint64(folds)) >> _HALF)
            seen[outcome] += np.uint64(1)
        elif validated and validation[row]:
            part = np.int64(folds)
        else:
            continue
        counts[part, 2 * np.int64(codes[row]) + outcome] += weight[row] if weighted else 1.0
    return counts
