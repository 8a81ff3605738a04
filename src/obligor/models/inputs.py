"""What the challengers read: the predictors of the card as columns of numbers, the same way at every use.

A number keeps its missing values (NaN). Where train has none, a missing value counts as the median of train, since trees
would take it for 0. A special code counts as missing, and an indicator of its own tells that it was there. A category is
the place of its level among those of train; any other level is missing. What train cannot tell of is left out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.errors import InvalidInputError
from obligor.core.trend import Trend
from obligor.models.columns import TRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.models.columns import Columns, Predictor, Rows

_DIRECTIONS = {Trend.ASCENDING: 1, Trend.DESCENDING: -1}


@dataclass(frozen=True, slots=True)
class NumberInput:
    """A number as it is, its special codes missing."""

    name: str
    codes: tuple[float, ...]
    """The special codes."""
    fill: float | None
    """What a missing value counts as, where train has none."""
    direction: int
    """1 where the contract asks that risk never falls as the number rises, -1 that it never rises, otherwise 0."""

    def read(self, columns: Columns) -> NDArray[np.float64]:
        """Give the input of every row."""
        values = _without(columns.numbers(self.name), self.codes)
        return values if self.fill is None else np.where(np.isnan(values), self.fill, values)


@dataclass(frozen=True, slots=True)
class SpecialInput:
    """1 where a number has a special code, otherwise 0."""

    name: str
    code: float

    def read(self, columns: Columns) -> NDArray[np.float64]:
        """Give the input of every row."""
        return np.equal(columns.numbers(self.name), self.code).astype(np.float64)


@dataclass(frozen=True, slots=True)
class CategoryInput:
    """The place of a level among those of train."""

    name: str
    levels: tuple[str, ...]

    def read(self, columns: Columns) -> NDArray[np.float64]:
        """Give the input of every row."""
        found = columns.levels(self.name)
        known = {level: float(place) for place, level in enumerate(self.levels)}
        table = np.array([*(known.get(level, np.nan) for level in found.names), np.nan])
        return table[found.codes]


Input = NumberInput | SpecialInput | CategoryInput
_KINDS: Mapping[str, type[Input]] = {"number": NumberInput, "special": SpecialInput, "category": CategoryInput}


@dataclass(frozen=True, slots=True)
class Inputs:
    """The columns of a challenger, in order."""

    columns: tuple[Input, ...]

    @property
    def categories(self) -> list[int]:
        """The places of categories."""
        return [place for place, it in enumerate(self.columns) if isinstance(it, CategoryInput)]

    @property
    def directions(self) -> list[int]:
        """The direction that the contract asks of each input; 0 where it asks none."""
        return [it.direction if isinstance(it, NumberInput) else 0 for it in self.columns]

    def matrix(self, columns: Columns, rows: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Give the inputs of every row, or of the marked ones, as a matrix of rows x inputs that lies by column."""
        first = self.columns[0].read(columns)
        kept = np.ones(len(first), dtype=np.bool_) if rows is None else rows
        found = np.empty((int(kept.sum()), len(self.columns)), order="F")
        for place, it in enumerate(self.columns):
            found[:, place] = it.read(columns)[kept]
        return found

    def to_plain(self) -> list[dict[str, Any]]:
        """Give plain data that ``inputs_of`` reads back."""
        names = {kind: name for name, kind in _KINDS.items()}
        return [{"kind": names[type(it)], **asdict(it)} for it in self.columns]


def inputs_of(plain: Sequence[Mapping[str, Any]]) -> Inputs:
    """Read inputs from plain data."""
    found = []
    for said in plain:
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
        found.append(_KINDS[fields.pop("kind")](**fields))
    return Inputs(tuple(found))


def learn_inputs(predictors: Sequence[Predictor], columns: Columns, rows: Rows) -> Inputs:
    """Decide on train what becomes of every predictor.

    Raises
    ------
    InvalidInputError
        Where train tells nothing of any predictor.
    """
    train = rows.is_in(TRAIN)
    found = tuple(
        it
        for predictor in predictors
        for it in (_numbers if predictor.kind == "numeric" else _category)(predictor, columns, train)
    )
    if not found:
        raise InvalidInputError("challengers: every predictor is missing in train; wanted one that has values")
    return Inputs(found)


def _numbers(predictor: Predictor, columns: Columns, train: NDArray[np.bool_]) -> Iterator[Input]:
    codes = tuple(code for code in predictor.specials if isinstance(code, float))
    raw = columns.numbers(predictor.name)[train]
    values = _without(raw, codes)
    known = values[~np.isnan(values)]
    if len(known):
        fill = None if len(known) < len(values) else float(np.quantile(known, 0.5, method="inverted_cdf"))
        yield NumberInput(predictor.name, codes, fill, _DIRECTIONS.get(predictor.trend, 0))
    yield from (SpecialInput(predictor.name, code) for code in codes if np.equal(raw, code).any())


def _category(predictor: Predictor, columns: Columns, train: NDArray[np.bool_]) -> Iterator[Input]:
    found = columns.levels(predictor.name)
    seen = np.unique(found.codes[train])
    levels = tuple(sorted(found.names[code] for code in seen if code >= 0))
    if levels:
        yield CategoryInput(predictor.name, levels)


def _without(values: NDArray[np.float64], codes: tuple[float, ...]) -> NDArray[np.float64]:
    return np.where(np.isin(values, codes), np.nan, values) if codes else values
