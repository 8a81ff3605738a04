"""The values that a card or a policy reads from one application, as lines of Python.

Every column crosses the border once and is cleaned as the contract says; features are computed from columns, from special codes
as missing, and from what the histories say. The lines leave each value in a local variable. Their source is made of generated
names and numbers only; everything that an author wrote reaches it as a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.columns import Role
from obligor.core.expressions import border_source, closure_source
from obligor.core.history import compile_aggregate
from obligor.core.text import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from obligor.core.columns import Column, History
    from obligor.core.features import FeatureSet
    from obligor.core.history import Aggregate, Aggregation
    from obligor.core.syntax import ColumnType

    Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ValueSource:
    """Lines of Python that read values from a row, ``row``, the constants that they name, and where each value stands."""

    inputs: Mapping[str, ColumnType]
    """The columns and the aggregates that the lines read, with their types."""
    lines: tuple[str, ...]
    constants: Mapping[str, object]
    variables: Mapping[str, str]
    """The local variable of every value; a special code of a column is one."""
    plain: Mapping[str, str]
    """The same, but for the special codes of columns, which are None."""


def value_source(
    names: Iterable[str],
    *,
    features: FeatureSet,
    columns: Mapping[str, Column],
    caps: Mapping[str, tuple[float, float]],
    prefix: str = "",
) -> ValueSource:
    """Write the lines that read columns and compute features.

    Parameters
    ----------
    caps
        The numbers to which the values of a column are capped; features read them capped too.
    prefix
        Put before generated names, where the lines stand beside others.
    """
    needed = features.needed_for(names)
    inputs = {name: features.types[name] for name in needed if name not in features.expressions}
    border = border_source(inputs, prefix=prefix)
    lines, constants = list(border.lines), dict(border.constants)
    variables, plain = dict(border.variables), dict(border.variables)
    for index, name in enumerate(name for name in inputs if name in columns):
        slot = f"{prefix}q{index}"
        cleaning = _cleaning(columns[name], variable=variables[name], slot=slot, cap=caps.get(name))
        lines += cleaning.lines
        constants |= cleaning.constants
        plain[name] = cleaning.plain
    expressions = {name: features.expressions[name] for name in needed if name in features.expressions}
    closure = closure_source(expressions, variables=plain, prefix=prefix)
    return ValueSource(
        inputs,
        (*lines, *closure.lines),
        {**constants, **closure.constants},
        {**variables, **closure.variables},
        {**plain, **closure.variables},
    )


@dataclass(frozen=True, slots=True)
class Aggregations:
    """What the histories of an applicant say, compiled: one function for each aggregate."""

    functions: Mapping[str, tuple[str, Aggregation]]
    """By feature, the history that it reads and the function of its rows and the day of the application."""
    applied_at: str

    def added_to(self, application: Row, histories: Mapping[str, Sequence[Row]] | None) -> Row:
        """Give the application with what its histories say."""
        if not self.functions:
            return application
        known, day = histories or {}, application.get(self.applied_at)
        return {
            **application,
            **{name: run(known.get(table, ()), day) for name, (table, run) in self.functions.items()},
        }


def aggregations_of(
    names: Iterable[str], *, features: FeatureSet, columns: Mapping[str, Column], histories: Mapping[str, History]
) -> Aggregations:
    """Compile those of some values that are aggregates."""
    aggregates = {name: features.aggregates[name] for name in names if name in features.aggregates}
    applied_at = next((name for name, it in columns.items() if Role.APPLIED_AT in it.role), "")
    return Aggregations(
        {name: (it.table, _aggregation(it, histories[it.table])) for name, it in aggregates.items()}, applied_at
    )


def _aggregation(aggregate: Aggregate, history: History) -> Aggregation:
    tie_type = history.columns[history.tie].type if history.tie else "number"
    return compile_aggregate(
        aggregate, event_at=history.event_at, arrived_at=history.known_at, tie=history.tie, tie_type=tie_type
    )


@dataclass(frozen=True, slots=True)
class _Cleaning:
    """Lines that clean a column in place, and the variable in which special codes count as missing."""

    lines: tuple[str, ...]
    constants: dict[str, object]
    plain: str


def _cleaning(column: Column, *, variable: str, slot: str, cap: tuple[float, float] | None) -> _Cleaning:
    lines: list[str] = []
    constants: dict[str, object] = {}
    if column.type == "text":
        lines, constants = text_lines(column, variable=variable, slot=slot)
    missing = frozenset(column.missing_numbers) if column.type == "number" else frozenset()
    if missing:
        lines.append(f"if {variable} in {slot}m: {variable} = None")
        constants[f"{slot}m"] = missing
    if cap is not None:
        low, high = cap
        guard = f"{variable} is not None" + (f" and {variable} not in {slot}s" if column.special else "")
        lines += [f"if {guard}:", f"    if {variable} < {low!r}: {variable} = {low!r}"]
        lines.append(f"    elif {variable} > {high!r}: {variable} = {high!r}")
    if not column.special:
        return _Cleaning(tuple(lines), constants, variable)
    constants[f"{slot}s"] = frozenset(column.special)
    lines.append(f"{slot} = None if {variable} in {slot}s else {variable}")
    return _Cleaning(tuple(lines), constants, slot)
