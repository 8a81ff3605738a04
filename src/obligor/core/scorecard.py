"""The scorecard: a sum of whole points, with all that is needed to compute it and to judge it.

A card is pure data. Its points are whole numbers in thousandths of a score point, so that their sum is exact whoever
adds them up. A score rewards good. The card names the columns it reads, as its contract described them, and the
features it computes from them; the points of every bin; the PD that goes with every score; the bands and the cut-off.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from obligor.core.bins import MOST_BINS, Bins, CategoryBins, NumericBins
from obligor.core.calibration import PdTable
from obligor.core.clauses import CardScale
from obligor.core.columns import Feature, History, Table, barred_columns
from obligor.core.errors import CardError
from obligor.core.strict_json import Artefact, StrictModel, read_model

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 64 << 20
_MOST_POINTS = 10**9


class CardBin(StrictModel):
    """One bin of a characteristic."""

    label: str
    """What a person calls it."""
    points: Annotated[int, Field(ge=-_MOST_POINTS, le=_MOST_POINTS)]
    """Its points, in thousandths."""
    woe: float
    """Its weight of evidence: ln(share of the goods / share of the bads); of a thin one drawn to 0, and 0 at most."""
    goods: Annotated[float, Field(ge=0)]
    """Goods of the train rows in it, by weight."""
    bads: Annotated[float, Field(ge=0)]
    """Bads of the train rows in it, by weight."""
    standard_error: Annotated[int | None, Field(ge=0, le=_MOST_POINTS)] = None
    """Of its points, in thousandths, where it could be estimated."""
    thin: bool = False
    """Whether it is a special code, missing or unseen with too few bads of train to tell: it earns the average at most."""

    @model_serializer(mode="wrap")
    def _without_unknown(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what is not known or not so: a card from before it could be told keeps its hash."""
        found: dict[str, object] = write(self)
        without = {"standard_error": None, "thin": False}
        return {name: value for name, value in found.items() if name not in without or value is not without[name]}


class Characteristic(StrictModel):
    """A feature on the card: how its values fall into bins, and the points of each."""

    feature: str
    """The column or feature whose values it reads."""
    kind: Literal["numeric", "category"]
    """Whether its bins are intervals or groups of levels."""
    cuts: tuple[float, ...] = ()
    """Interior cut points; a bin is `[lower, upper)`."""
    groups: tuple[tuple[str, ...], ...] = ()
    """The levels of each group."""
    specials: tuple[float | str, ...] = ()
    """Special codes; each has a bin of its own after the ordinary ones."""
    bins: Annotated[tuple[CardBin, ...], Field(max_length=MOST_BINS)]
    """Ordinary bins, special codes, missing and, for categories, unseen: in the order of the codes."""
    trend: str
    """The trend that the bad rate keeps over the ordinary bins, and the points with it."""
    information_value: float
    """Its information value on train."""
    coefficient: float
    """Log-odds of good for one unit of weight of evidence."""
    standard_error: float | None = None
    """Of the coefficient, where it could be estimated."""
    p_value: float | None = None
    """Of the coefficient (Wald, two-sided)."""
    vif: float | None = None
    """Its variance inflation factor among the characteristics."""
    reason: str = ""
    """The text that an applicant reads when it speaks against them."""
    reason_missing: str = ""
    """The same where the value is missing."""
    family: str = ""
    """Characteristics of one reason family count together; empty where it stands alone."""
    changeable: bool = False
    """Whether an applicant could change it."""
    reference: int | None = None
    """The mean points, in thousandths, of applicants at or slightly above the cut-off: what reasons measure against."""

    @model_validator(mode="after")
    def _bins_cover(self) -> Self:
        if len(self.bins) != self.binning.size:
            raise CardError(
                f"characteristic '{self.feature}' has a gap: {len(self.bins)} bins have points, "
                f"wanted {self.binning.size}"
            )
        return self

    @property
    def binning(self) -> Bins:
        """The partition of the feature's values."""
        if self.kind == "numeric":
            return NumericBins(self.feature, self.cuts, _numbers(self.feature, self.specials))
        return CategoryBins(self.feature, self.groups, tuple(str(code) for code in self.specials))

    @property
    def points(self) -> tuple[int, ...]:
        """The points of each bin, in the order of the codes."""
        return tuple(row.points for row in self.bins)


class Pair(StrictModel):
    """Two characteristics whose bins together earn points: a small grid.

    A grid reads no value of its own: each of its rows and columns is one bin or several of a characteristic, so that its cuts
    are among theirs. On a smooth card its points are those that the two tables cannot tell: over the train rows every row
    and every column of the grid has a mean of zero. On a classical card a grid holds what a segment's points differ by from
    everybody's; the row of all others earns nothing.
    """

    features: tuple[str, str]
    """The two characteristics."""
    rows: tuple[int, ...]
    """The row of the grid for each bin of the first; -1 for one that train never showed, which earns nothing."""
    columns: tuple[int, ...]
    """The column of the grid for each bin of the second."""
    points: Annotated[tuple[tuple[int, ...], ...], Field(min_length=1, max_length=MOST_BINS)]
    """Row by row, in thousandths."""
    goods: tuple[tuple[float, ...], ...]
    """Goods of the train rows in each cell, by weight."""
    bads: tuple[tuple[float, ...], ...]
    """Bads of the train rows in each cell, by weight."""
    reference: int | None = None
    """The mean points, in thousandths, of applicants at or slightly above the cut-off."""
    gain: float = 0.0
    """The log likelihood that it gains on rows that did not fit it, in nats."""

    @property
    def name(self) -> str:
        """What it is called: its two characteristics."""
        return " x ".join(self.features)

    @property
    def by_bin(self) -> tuple[tuple[int, ...], ...]:
        """The points of each bin of the first characteristic with each bin of the second."""
        return tuple(
            tuple(self.points[row][column] if min(row, column) >= 0 else 0 for column in self.columns)
            for row in self.rows
        )


class CardBand(StrictModel):
    """A band of risk on the card."""

    name: str
    """Its name."""
    pd_max: float
    """The highest PD in it."""
    score_min: int | None
    """The lowest score in it, in thousandths; the last band has none."""


class CardCutoff(StrictModel):
    """The score from which an application is approved."""

    score: int
    """In thousandths."""
    chosen_by: str
    """What chose it."""


class Origin(StrictModel):
    """Where a card comes from."""

    contract: str
    """The name of the contract."""
    contract_sha256: str
    """The hash of the contract."""
    snapshot_sha256: str
    """The hash of the data."""
    obligor: str
    """The version of Obligor that made it."""
    seed: int
    """The seed of every draw."""
    rows: dict[str, int]
    """Rows of train, validation and test."""
    edits_sha256: str = ""
    """The hash of the edits of its bins by hand; empty, and not written, where there are none."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what is not there, so that a card without edits keeps its bytes and its hash."""
        return {name: value for name, value in write(self).items() if name != "edits_sha256" or value}


class Scorecard(Artefact):
    """A finished scorecard."""

    schema_: Literal["obligor/scorecard/1"] = Field(alias="schema", default="obligor/scorecard/1")
    """The version of this format."""
    name: str
    """What the card is called."""
    recipe: Literal["classical", "smooth"] = "classical"
    """How it was made: weights of evidence and one logistic regression, or one penalised logistic regression on tables."""
    horizon_months: int
    """The months over which the PD is stated."""
    origin: Origin
    """Where it comes from."""
    applications: Table
    """The columns it reads, as the contract described them."""
    histories: dict[str, History]
    """The histories it reads."""
    features: dict[str, Feature]
    """The features it computes."""
    caps: dict[str, tuple[float, float]]
    """The numbers to which a column's values are capped, learnt on train."""
    scale: CardScale
    """How log-odds became points."""
    base_points: Annotated[int, Field(ge=-_MOST_POINTS, le=_MOST_POINTS)]
    """Points that every application starts with, in thousandths."""
    characteristics: Annotated[tuple[Characteristic, ...], Field(max_length=1000)]
    """The features that earn points."""
    pairs: Annotated[tuple[Pair, ...], Field(max_length=100)] = ()
    """The pairs of characteristics that earn points together."""
    pd: PdTable
    """The PD of every score."""
    bands: tuple[CardBand, ...]
    """Bands of risk, from the lowest PD up."""
    cutoff: CardCutoff
    """The score from which an application is approved."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for message in _faults(self):
            raise CardError(message)
        return self

    def band_of(self, score: int) -> str:
        """Name the band of a score in thousandths."""
        for band in self.bands:
            if band.score_min is not None and score >= band.score_min:
                return band.name
        return self.bands[-1].name

    @property
    def score_range(self) -> tuple[int, int]:
        """A lower and an upper bound of the scores that the card can give, in thousandths; without pairs both are met."""
        tables = [it.points for it in self.characteristics]
        tables += [tuple(points for row in pair.points for points in row) for pair in self.pairs]
        return self.base_points + sum(map(min, tables)), self.base_points + sum(map(max, tables))


def parse_card(data: bytes) -> Scorecard:
    """Read a card from the bytes of its file.

    Raises
    ------
    CardError
        Where it is not JSON, says something twice, lacks something, or contradicts itself.
    """
    return read_model(data, Scorecard, what="scorecard", error=CardError, most=_MOST_BYTES)


def _faults(card: Scorecard) -> Iterator[str]:
    names = [characteristic.feature for characteristic in card.characteristics]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"scorecard: the characteristic '{name}' stands twice"
    for name in names:
        if name not in card.applications.columns and name not in card.features:
            yield f"scorecard: the characteristic '{name}' reads neither a column nor a feature of the card"
    yield from (f"scorecard: {fault}" for fault in barred_columns(card.applications.columns))
    yield from _faults_of_trends(card)
    yield from _faults_of_pairs(card)
    yield from (f"scorecard: {fault}" for fault in faults_of_bands(card.bands))


def _faults_of_trends(card: Scorecard) -> Iterator[str]:
    """Tell of points that do not run as the trend of their characteristic says, by the sign of its coefficient."""
    for it in card.characteristics:
        if it.kind != "numeric" or it.trend not in _FALLS:
            continue
        falls = _FALLS[it.trend] == (it.coefficient >= 0)
        ordinary = it.points[: len(it.cuts) + 1]
        for at, (left, right) in enumerate(pairwise(ordinary)):
            if (right > left) if falls else (right < left):
                yield (
                    f"scorecard: the characteristic '{it.feature}' runs against its trend, {it.trend}, and the sign of its "
                    f"coefficient: the points {'rise' if falls else 'fall'} after bin {at}"
                )


_FALLS = {"ascending": True, "descending": False}
"""Whether points fall where the bad rate keeps a trend and the coefficient is positive: a score rewards good."""


def faults_of_bands(bands: tuple[CardBand, ...]) -> Iterator[str]:
    """Tell of bands that leave a score without a band, or give it two."""
    cutoffs = [band.score_min for band in bands]
    known = [score for score in cutoffs if score is not None]
    if not cutoffs or cutoffs[-1] is not None or len(known) != len(cutoffs) - 1:
        yield "bands: wanted a score_min for every band but the last"
    if known != sorted(known, reverse=True):
        yield "bands overlap: wanted score_min that falls from band to band"


def _faults_of_pairs(card: Scorecard) -> Iterator[str]:
    sizes = {it.feature: len(it.bins) for it in card.characteristics}
    seen: set[frozenset[str]] = set()
    for pair in card.pairs:
        absent = [name for name in pair.features if name not in sizes]
        if absent:
            yield f"scorecard: the pair '{pair.name}' reads '{absent[0]}', which is no characteristic of the card"
            continue
        if len(set(pair.features)) == 1 or frozenset(pair.features) in seen:
            yield f"scorecard: the pair '{pair.name}' stands twice, or pairs a characteristic with itself"
        seen.add(frozenset(pair.features))
        shape = (len(pair.points), len(pair.points[0]))
        for name, axis, size in zip(pair.features, (pair.rows, pair.columns), shape, strict=True):
            if len(axis) != sizes[name] or set(axis) - {-1} != set(range(size)):
                yield (
                    f"scorecard: the pair '{pair.name}' has a gap: wanted a place in 0..{size - 1}, or -1, "
                    f"for each bin of '{name}'"
                )
        for grid in (pair.points, pair.goods, pair.bads):
            if [len(row) for row in grid] != [shape[1]] * shape[0]:
                yield f"scorecard: the pair '{pair.name}' has a gap: wanted {shape[0]} rows of {shape[1]} cells"
        if any(abs(points) > _MOST_POINTS for row in pair.points for points in row):
            yield f"scorecard: the pair '{pair.name}': wanted points of at most {_MOST_POINTS} thousandths"


def _numbers(feature: str, codes: tuple[float | str, ...]) -> tuple[float, ...]:
    if any(isinstance(code, str) for code in codes):
        raise CardError(f"characteristic '{feature}': special codes of numeric bins must be numbers")
    return tuple(float(code) for code in codes)
