"""Scores one application in a few microseconds.

A card is compiled into one Python function: every column crosses the border once, features are computed, each
characteristic finds its bin, and whole points are added up. The source is made of generated names and numbers only;
everything that an author wrote reaches it as a value.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from obligor.core.bins import NumericBins
from obligor.core.expressions import define_function
from obligor.core.features import FeatureSet, build_features
from obligor.core.values import Aggregations, aggregations_of, value_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from obligor.core.scorecard import Characteristic, Scorecard
    from obligor.core.syntax import ColumnType

    Row = Mapping[str, object]
    Evaluate = Callable[[Row], tuple[int, tuple[int, ...], tuple[int, ...]]]


class Score(NamedTuple):
    """What a card says of one application.

    A named tuple, as one is made for every score and a frozen dataclass takes three times as long to make.
    """

    score: int
    """In thousandths of a point."""
    pd: float
    """The probability of turning bad within the card's horizon."""
    band: str
    """The band of risk."""
    bins: tuple[int, ...]
    """The bin of each characteristic, in the order of the card."""
    points: tuple[int, ...]
    """The points of each characteristic and then of each pair, in thousandths."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A compiled card."""

    card: Scorecard
    features: FeatureSet
    inputs: Mapping[str, ColumnType]
    """The columns of an application that it reads, with their types."""
    _evaluate: Evaluate
    _aggregations: Aggregations

    def score(self, application: Row, *, histories: Mapping[str, Sequence[Row]] | None = None) -> Score:
        """Score an application, given in the contract's units, with ``None`` for what is not known.

        Raises
        ------
        TapeError
            Where a column is absent or of another type.
        """
        application = self._aggregations.added_to(application, histories)
        total, bins, points = self._evaluate(application)
        return Score(total, self.card.pd.pd(total), self.card.band_of(total), bins, points)


def card_features(card: Scorecard) -> FeatureSet:
    """Check the features of a card."""
    columns: dict[str, ColumnType] = {name: it.type for name, it in card.applications.columns.items()}
    return build_features(columns, histories=card.histories, features=card.features)


@dataclass(frozen=True, slots=True)
class CardSource:
    """The lines of Python that score one row, ``row``, and the constants that they name."""

    features: FeatureSet
    inputs: Mapping[str, ColumnType]
    """The columns and the aggregates that the lines read, with their types."""
    lines: tuple[str, ...]
    constants: Mapping[str, object]


def card_source(card: Scorecard) -> CardSource:
    """Write the lines that score one application: they return its score, its bins and the points of each."""
    features = card_features(card)
    names = [it.feature for it in card.characteristics]
    values = value_source(names, features=features, columns=card.applications.columns, caps=card.caps)
    lines, constants = list(values.lines), dict(values.constants)
    for index, characteristic in enumerate(card.characteristics):
        kind = features.types[characteristic.feature]
        added, slots = _binning(
            characteristic, variable=values.variables[characteristic.feature], index=index, kind=kind
        )
        lines += added
        constants |= slots
    added, slots = _sum(card)
    return CardSource(features, values.inputs, (*lines, *added), constants | slots)


def compile_card(card: Scorecard) -> Scorer:
    """Compile a card for scoring one application at a time."""
    source = card_source(card)
    aggregations = aggregations_of(
        source.inputs, features=source.features, columns=card.applications.columns, histories=card.histories
    )
    evaluate = define_function(source.lines, constants=source.constants)
    return Scorer(card, source.features, source.inputs, evaluate, aggregations)


def _binning(
    characteristic: Characteristic, *, variable: str, index: int, kind: ColumnType
) -> tuple[list[str], dict[str, object]]:
    """Write the lines that leave the code of the bin in ``bin<index>``."""
    bins, code = characteristic.binning, f"bin{index}"
    constants: dict[str, object] = {f"table{index}": characteristic.points}
    if isinstance(bins, NumericBins):
        constants |= {"bisect": bisect_right, f"cuts{index}": bins.cuts}
        found = f"bisect(cuts{index}, {variable})"
        if bins.specials:
            constants[f"get{index}"] = {value: bins.assign(value) for value in bins.specials}.get
            found = f"{code} if ({code} := get{index}({variable})) is not None else {found}"
        return [f"{code} = {bins.missing} if {variable} is None else {found}"], constants
    constants[f"get{index}"] = bins.codes().get
    level = f"('true' if {variable} else 'false')" if kind == "bool" else variable
    return [f"{code} = {bins.missing} if {variable} is None else get{index}({level}, {bins.unseen})"], constants


def _sum(card: Scorecard) -> tuple[list[str], dict[str, object]]:
    """Write the lines that add up the points of the bins, and of the pairs of bins."""
    count = len(card.characteristics)
    places = {it.feature: index for index, it in enumerate(card.characteristics)}
    lines = [f"won{index} = table{index}[bin{index}]" for index in range(count)]
    constants: dict[str, object] = {}
    for index, pair in enumerate(card.pairs, start=count):
        first, second = (places[name] for name in pair.features)
        lines.append(f"won{index} = table{index}[bin{first}][bin{second}]")
        constants[f"table{index}"] = pair.by_bin
    won = [f"won{index}" for index in range(count + len(card.pairs))]
    bins = "".join(f"bin{index}, " for index in range(count))
    total = " + ".join((repr(card.base_points), *won))
    return [*lines, f"return {total}, ({bins}), ({''.join(f'{name}, ' for name in won)})"], constants
