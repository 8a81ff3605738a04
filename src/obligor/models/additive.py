"""An additive challenger: tables of one input and of two, whose sum is the log-odds of bad.

Trees of depth two are boosted. The path to a leaf tests at most two inputs, so that each leaf is a box on one or two of
them, and all boxes on the same inputs add up to one table: the trees, written down exactly. Of the pairs of inputs the
strongest are kept, and the trees are grown once more with no other pair allowed in a path (Lou, Caruana, Gehrke and Hooker
2013 call such a model GA2M; InterpretML's explainable boosting machine is one).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from obligor.core.canonical import canonical_json
from obligor.core.errors import InvalidInputError
from obligor.core.faults import first_fault
from obligor.core.strict_json import StrictModel
from obligor.models.inputs import CategoryInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import lightgbm
    from numpy.typing import NDArray

    from obligor.models.inputs import Inputs


class Axis(StrictModel):
    """The cells of one input in a table; the last is for what is missing.

    A number lies in the first cell whose cut is not below it: cells are open on the left, closed on the right. Levels of a
    category that no tree tells apart share a cell.
    """

    input: Annotated[int, Field(ge=0)]
    """The place of the input."""
    cuts: tuple[float, ...] = ()
    """The cuts of a number, rising."""
    groups: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """The cell of each level of a category; none for a number."""

    @property
    def size(self) -> int:
        """The number of cells."""
        return (max(self.groups) if self.groups else len(self.cuts)) + 2

    def cells(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give the cell of each value; NaN is missing."""
        missing = np.isnan(values)
        if self.groups:
            levels = np.where(missing, len(self.groups), np.nan_to_num(values)).astype(np.int64)
            return np.array([*self.groups, self.size - 1])[levels]
        return np.where(missing, self.size - 1, np.searchsorted(np.array(self.cuts), values, side="left"))


class EffectTable(StrictModel):
    """What one input, or two together, add to the log-odds of bad."""

    axes: Annotated[tuple[Axis, ...], Field(min_length=1, max_length=2)]
    """Its inputs."""
    values: tuple[float, ...]
    """A value for each cell; of two inputs, row by row of the first."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted = math.prod(axis.size for axis in self.axes)
        if len(self.values) != wanted:
            raise ValueError(f"a table of {len(self.values)} values; its axes want {wanted}")
        return self

    def read(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give what the table adds for each row of a matrix of inputs."""
        grid = np.array(self.values).reshape([axis.size for axis in self.axes])
        return np.asarray(grid[tuple(axis.cells(matrix[:, axis.input]) for axis in self.axes)])


class AdditiveModel(StrictModel):
    """Log-odds of bad as a sum of tables."""

    schema_: Literal["obligor/additive/1"] = Field("obligor/additive/1", alias="schema")
    intercept: float
    """What everybody has."""
    tables: tuple[EffectTable, ...]
    """What the inputs add, in the order of the sum."""

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The inputs of each table of two."""
        return tuple((it.axes[0].input, it.axes[1].input) for it in self.tables if len(it.axes) > 1)

    def log_odds(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up the tables, in their order."""
        total = np.full(len(matrix), self.intercept)
        for table in self.tables:
            total += table.read(matrix)
        return total

    def to_bytes(self) -> bytes:
        """Write the model as JSON from which the same numbers are read back."""
        return canonical_json(self.model_dump(mode="json", by_alias=True)) + b"\n"


def parse_additive(data: bytes, inputs: Inputs) -> AdditiveModel:
    """Read a model over some inputs from its file.

    Raises
    ------
    InvalidInputError
        Where the file is not such a model.
    """
    try:
        model = AdditiveModel.model_validate_json(data)
    except ValidationError as error:
        raise InvalidInputError(f"additive model: {first_fault(error)}") from None
    for axis in (axis for table in model.tables for axis in table.axes):
        if axis.input >= len(inputs.inputs) or len(axis.groups) != _levels(inputs, axis.input):
            raise InvalidInputError(f"additive model: a table of input {axis.input} does not fit the inputs beside it")
    return model


def _levels(inputs: Inputs, place: int) -> int:
    it = inputs.inputs[place]
    return len(it.levels) if isinstance(it, CategoryInput) else 0


def additive_of(booster: lightgbm.Booster, inputs: Inputs) -> AdditiveModel:
    """Write trees whose paths test at most two inputs as tables."""
    boxes: dict[tuple[int, ...], list[_Box]] = defaultdict(list)
    for box in _boxes_of(booster, inputs):
        boxes[tuple(sorted({test.input for test in box.tests}))].append(box)
    intercept = float(sum(box.value for box in boxes.pop((), [])))
    order = sorted(boxes, key=lambda touched: (len(touched), touched))
    tables = tuple(_table(touched, boxes[touched], inputs) for touched in order)
    return AdditiveModel(intercept=intercept, tables=tables)


def strongest_pairs(booster: lightgbm.Booster, *, most: int) -> list[tuple[int, int]]:
    """Give the pairs of inputs that gained most: the gain of each split below a split of another input."""
    gains: dict[tuple[int, int], float] = defaultdict(float)
    for tree in _trees(booster):
        for child in (tree.get("left_child", {}), tree.get("right_child", {})):
            if "split_feature" in child and child["split_feature"] != tree["split_feature"]:
                low, high = sorted((int(tree["split_feature"]), int(child["split_feature"])))
                gains[low, high] += float(child["split_gain"])
    return sorted(gains, key=lambda pair: (-gains[pair], pair))[:most]


@dataclass(frozen=True, slots=True)
class _Test:
    """One side of a split: numbers up to a cut, or levels; and whether missing values go with them."""

    input: int
    cut: float
    levels: tuple[int, ...]
    missing: bool
    turned: bool
    """Whether this is the other side: all that the test does not hold."""

    def holds(self, axis: Axis) -> NDArray[np.bool_]:
        """Mark the cells of an axis that lie on this side."""
        inside = np.zeros(axis.size, dtype=np.bool_)
        if axis.groups:
            inside[[axis.groups[level] for level in self.levels]] = True
        else:
            inside[: axis.cuts.index(self.cut) + 1] = True
            inside[-1] = self.missing
        return ~inside if self.turned else inside


@dataclass(frozen=True, slots=True)
class _Box:
    tests: tuple[_Test, ...]
    value: float


def _trees(booster: lightgbm.Booster) -> Iterator[Mapping[str, Any]]:
    for tree in booster.dump_model()["tree_info"]:
        yield tree["tree_structure"]


def _boxes_of(booster: lightgbm.Booster, inputs: Inputs) -> Iterator[_Box]:
    for tree in _trees(booster):
        yield from _boxes(tree, (), inputs)


def _boxes(node: Mapping[str, Any], tests: tuple[_Test, ...], inputs: Inputs) -> Iterator[_Box]:
    """Walk down to the leaves, keeping the tests on the way."""
    if "split_feature" not in node:
        yield _Box(tests, float(node["leaf_value"]))
        return
    place = int(node["split_feature"])
    category = isinstance(inputs.inputs[place], CategoryInput)
    levels = tuple(int(code) for code in str(node["threshold"]).split("||")) if category else ()
    cut = 0.0 if category else float(node["threshold"])
    missing = not category and bool(node["default_left"])
    for side, turned in (("left_child", False), ("right_child", True)):
        yield from _boxes(node[side], (*tests, _Test(place, cut, levels, missing, turned)), inputs)


def _table(touched: tuple[int, ...], boxes: Sequence[_Box], inputs: Inputs) -> EffectTable:
    """Add up the boxes on the same inputs."""
    axes = tuple(_axis(place, boxes, inputs) for place in touched)
    values = np.zeros([axis.size for axis in axes])
    for box in boxes:
        sides = [np.ones(axis.size, dtype=np.bool_) for axis in axes]
        for test in box.tests:
            at = touched.index(test.input)
            sides[at] &= test.holds(axes[at])
        values[np.ix_(*sides)] += box.value
    return EffectTable(axes=axes, values=tuple(values.ravel().tolist()))


def _axis(place: int, boxes: Sequence[_Box], inputs: Inputs) -> Axis:
    it = inputs.inputs[place]
    tests = {replace(test, turned=False) for box in boxes for test in box.tests if test.input == place}
    if not isinstance(it, CategoryInput):
        return Axis(input=place, cuts=tuple(sorted({test.cut for test in tests})))
    named = sorted(test.levels for test in tests)
    told_apart = np.array([np.isin(np.arange(len(it.levels)), levels) for levels in named])
    _, groups = np.unique(told_apart, axis=1, return_inverse=True)
    return Axis(input=place, groups=tuple(groups.ravel().tolist()))
