"""The checked tree of a feature's expression: types, operations, and how large its numbers can be.

Every node carries its type and, for numbers, the magnitudes it can take other than zero. Because a column is in
{0} or [1e-15, 1e15] at the border, bounds follow for every operation, and an expression that could overflow or
underflow anywhere is refused when it is parsed (`obligor.core.grammar`). After that no engine can raise, and none can
give an infinity or a NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ColumnType = Literal["number", "text", "date", "bool"]
Scalar = float | str | date | bool

LARGEST: Final = 1e15
SMALLEST: Final = 1e-15
_HIGHEST: Final = 1e300
_LOWEST: Final = 1e-290


class Magnitude(NamedTuple):
    """The sizes that a number can have where it is not zero, and a grain that it is a multiple of.

    A binary64 of size s or more is a multiple of s * 2**-53, its unit in the last place; a sum of two multiples of a
    grain is one again, rounded or not, and so is at least the grain where it is not zero.
    """

    lowest: float
    highest: float
    grain: float

    @property
    def fits(self) -> bool:
        """Whether every engine can hold all of it, with room for rounding."""
        return self.highest <= _HIGHEST and self.lowest >= _LOWEST


def magnitude(lowest: float, highest: float) -> Magnitude:
    """Give the sizes from lowest to highest."""
    return Magnitude(lowest, highest, lowest * 2.0**-53)


BORDERED: Final = magnitude(SMALLEST, LARGEST)
UNIT: Final = magnitude(1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, column or literal of a checked expression.

    ``value`` is the name of a column or the value of a literal. ``weight`` counts what is written out for it in SQL,
    where some operands have to be repeated.
    """

    op: str
    type: ColumnType
    args: tuple[Node, ...] = ()
    value: Scalar | None = None
    magnitude: Magnitude = UNIT
    height: int = 1
    weight: int = 1


def walk(node: Node) -> Iterator[Node]:
    """Yield every node of a tree, parents first."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(current.args))


def column(name: str, column_type: ColumnType, *, size: Magnitude = BORDERED) -> Node:
    """Give a leaf that reads a column or another feature."""
    return Node("column", column_type, value=name, magnitude=size if column_type == "number" else UNIT)


def literal(value: Scalar) -> Node:
    """Give a leaf that is a value; minus zero is zero."""
    if isinstance(value, bool):
        return Node("literal", "bool", value=value)
    if isinstance(value, float):
        size = abs(value) or 1.0
        return Node("literal", "number", value=value + 0.0, magnitude=magnitude(size, size))
    return Node("literal", "text" if isinstance(value, str) else "date", value=value)


def magnitude_of(op: str, args: Sequence[Node]) -> Magnitude:
    """Bound the non-zero values of an operation by those of its operands."""
    sizes = [node.magnitude for node in args if node.type == "number" and node.op != "null"]
    if op in _BOUNDS:
        return _BOUNDS[op](*sizes)
    return Magnitude(*(pick(part) for pick, part in zip((min, max, min), zip(*sizes, strict=True), strict=True)))


def _of_sum(left: Magnitude, right: Magnitude) -> Magnitude:
    grain = min(left.grain, right.grain)
    return Magnitude(grain, left.highest + right.highest, grain)


def _of_whole(size: Magnitude) -> Magnitude:
    return Magnitude(1.0, size.highest + 1.0, 1.0)


# Operations that are not here give one of their operands.
_BOUNDS: Final[Mapping[str, Callable[..., Magnitude]]] = {
    "add": _of_sum,
    "sub": _of_sum,
    "mul": lambda left, right: magnitude(left.lowest * right.lowest, left.highest * right.highest),
    "div": lambda left, right: magnitude(left.lowest / right.highest, left.highest / right.lowest),
    "floor": _of_whole,
    "ceil": _of_whole,
    "year": lambda: magnitude(1.0, 9_999.0),
    "month": lambda: magnitude(1.0, 12.0),
    "full_months": lambda: magnitude(1.0, 120_000.0),
    "days_between": lambda: magnitude(1.0, 4e6),
}
