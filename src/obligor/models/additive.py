"""An additive challenger: tables of one input and of two, whose sum is the log-odds of bad.

Trees of depth two are boosted. The path to a leaf tests at most two inputs, so that each leaf is a box on one or two of
them, and all boxes on the same inputs add up to one table: the trees, written down exactly. Of the pairs of inputs the
strongest are kept, and the trees are grown once more with no other pair allowed in a path (Lou, Caruana, Gehrke and Hooker
2013 call such a model GA2M; InterpretML's explainable boosting machine is one).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.canonical import canonical_json
from obligor.core.errors import InvalidInputError
from obligor.models.inputs import CategoryInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import lightgbm
    from numpy.typing import NDArray

    from obligor.models.inputs import Inputs

SCHEMA = "obligor/additive/1"
Node = "Mapping[str, Any]"


@dataclass(frozen=True, slots=True)
class Axis:
    """The cells of one input in a table; the last is for what is missing.

    A number lies in the first cell whose cut is not below it: cells are open on the left, closed on the right. A category
    has a cell for each level, and no cuts.
    """

    input: int
    cuts: tuple[float, ...]
    levels: int

    @property
    def size(self) -> int:
        """The number of cells."""
        return (self.levels or len(self.cuts) + 1) + 1

    def cells(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give the cell of each value; NaN is missing."""
        missing = np.isnan(values)
        if self.levels:
            return np.where(missing, self.levels, np.nan_to_num(values)).astype(np.int64)
        return np.where(missing, self.size - 1, np.searchsorted(np.array(self.cuts), values, side="left"))


@dataclass(frozen=True, slots=True)
class EffectTable:
    """What one input, or two together, add to the log-odds of bad."""

    axes: tuple[Axis, ...]
    values: NDArray[np.float64]
    """One dimension for each axis."""

    def read(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give what the table adds for each row of a matrix of inputs."""
        return np.asarray(self.values[tuple(axis.cells(matrix[:, axis.input]) for axis in self.axes)])


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """Log-odds of bad as a sum of tables."""

    intercept: float
    tables: tuple[EffectTable, ...]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The inputs of each table of two."""
        return tuple((it.axes[0].input, it.axes[1].input) for it in self.tables if len(it.axes) == 2)  # noqa: PLR2004

    def log_odds(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up the tables, in their order."""
        total = np.full(len(matrix), self.intercept)
        for table in self.tables:
            total += table.read(matrix)
        return total

    def to_json(self) -> bytes:
        """Write the model so that the same numbers are read back."""
        tables = [
            {
                "axes": [{"input": it.input, "cuts": it.cuts, "levels": it.levels} for it in table.axes],
                "values": table.values.tolist(),
            }
            for table in self.tables
        ]
        return canonical_json({"schema": SCHEMA, "intercept": self.intercept, "tables": tables}) + b"\n"


def parse_additive(data: bytes) -> AdditiveModel:
    """Read a model from its file.

    Raises
    ------
    InvalidInputError
        Where the file is not such a model.
    """
    try:
        said = json.loads(data)
        if said["schema"] != SCHEMA:
            raise InvalidInputError(f"additive model: schema {said['schema']!r}; wanted '{SCHEMA}'")
        tables = tuple(_table_of(each) for each in said["tables"])
        return AdditiveModel(float(said["intercept"]), tables)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"additive model: malformed ({type(error).__name__}); wanted '{SCHEMA}'") from error


def additive_of(booster: lightgbm.Booster, inputs: Inputs) -> AdditiveModel:
    """Write trees whose paths test at most two inputs as tables."""
    boxes: dict[tuple[int, ...], list[_Box]] = defaultdict(list)
    for box in _boxes_of(booster, inputs):
        boxes[tuple(sorted({test.input for test in box.tests}))].append(box)
    intercept = float(sum(box.value for box in boxes.pop((), [])))
    order = sorted(boxes, key=lambda touched: (len(touched), touched))
    return AdditiveModel(intercept, tuple(_table(touched, boxes[touched], inputs) for touched in order))


def strongest_pairs(booster: lightgbm.Booster, inputs: Inputs, *, most: int) -> list[tuple[int, int]]:
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
        if axis.levels:
            inside[list(self.levels)] = True
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
    category = isinstance(inputs.columns[place], CategoryInput)
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
    return EffectTable(axes, values)


def _axis(place: int, boxes: Sequence[_Box], inputs: Inputs) -> Axis:
    it = inputs.columns[place]
    if isinstance(it, CategoryInput):
        return Axis(place, (), len(it.levels))
    return Axis(place, tuple(sorted({test.cut for box in boxes for test in box.tests if test.input == place})), 0)


def _table_of(said: Mapping[str, Any]) -> EffectTable:
    axes = tuple(Axis(int(it["input"]), tuple(it["cuts"]), int(it["levels"])) for it in said["axes"])
    values = np.array(said["values"], dtype=np.float64)
    if not axes or values.shape != tuple(axis.size for axis in axes):
        raise ValueError("a table whose values do not fit its axes")
    return EffectTable(axes, values)
