"""Features as SQL expressions: their meaning, and the Python that computes it for one application.

An expression is parsed once (`obligor.core.grammar`) and has one meaning everywhere: numbers are binary64 and stay
finite, ``x / 0`` is NULL, NULL passes through arithmetic, LEAST and GREATEST, conditions have three values, and no
minus zero leaves. `obligor.core.dialects` writes the same tree as SQL; tests hold the two equal bit for bit.

Many features compile into one Python function. Its source is made of names that are generated here, operators and the
digits of numbers (`obligor.core.closures`); text, dates and column names reach it as values, so nothing that an author
wrote is ever executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from graphlib import CycleError, TopologicalSorter
from numbers import Real
from typing import Any, Final, NoReturn

from obligor.core.closures import Writer
from obligor.core.errors import ExpressionError, TapeError
from obligor.core.grammar import names_read, parse
from obligor.core.syntax import LARGEST, SMALLEST, ColumnType, Node, Scalar, column, walk

Row = Mapping[str, object]
Compiled = Callable[[Row], dict[str, Scalar | None]]
NO_FEATURES: Final[Mapping[str, Expression]] = {}


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked feature: what was written, the type it gives, the names it reads, and its tree."""

    source: str
    type: ColumnType
    columns: tuple[str, ...]
    tree: Node = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClosureSource:
    """Lines of Python that leave each of some values in a local variable, and the constants that the lines name."""

    lines: tuple[str, ...]
    constants: Mapping[str, object]
    variables: Mapping[str, str]


def parse_expression(
    source: str, *, columns: Mapping[str, ColumnType], features: Mapping[str, Expression] = NO_FEATURES
) -> Expression:
    """Check an expression over typed columns, and over features that were checked before it."""
    leaves = {name: column(name, kind) for name, kind in columns.items()}
    leaves |= {name: column(name, it.type, size=it.tree.magnitude) for name, it in features.items()}
    tree = parse(source, leaves=leaves)
    read = {str(node.value) for node in walk(tree) if node.op == "column"}
    return Expression(source, tree.type, tuple(sorted(read)), tree)


def parse_features(sources: Mapping[str, str], *, columns: Mapping[str, ColumnType]) -> dict[str, Expression]:
    """Check features that may read each other, whatever the order they are written in."""
    features: dict[str, Expression] = {}
    for level in _levels({name: _names_read(name, source) for name, source in sources.items()}):
        for name in level:
            if name in columns:
                raise ExpressionError(f"feature {name!r}: there is a column of this name")
            try:
                features[name] = parse_expression(sources[name], columns=columns, features=features)
            except ExpressionError as error:
                raise ExpressionError(f"feature {name!r}: {error.message}", hint=error.hint) from error
    return {name: features[name] for name in sources}


def dependency_order(features: Mapping[str, Expression]) -> tuple[str, ...]:
    """Give the names of features, each after those that it reads."""
    return tuple(name for level in dependency_levels(features) for name in level)


def dependency_levels(features: Mapping[str, Expression]) -> tuple[tuple[str, ...], ...]:
    """Put features in levels: each reads only columns and features of earlier levels."""
    for name, feature in features.items():
        _check_links(name, feature, features=features)
    return _levels({name: feature.columns for name, feature in features.items()})


def inputs_of(expressions: Mapping[str, Expression]) -> dict[str, ColumnType]:
    """Give the columns that features read and that are not features themselves, with their types."""
    found: dict[str, ColumnType] = {}
    for name, expression in expressions.items():
        for node in walk(expression.tree):
            if node.op != "column" or str(node.value) in expressions:
                continue
            if found.setdefault(str(node.value), node.type) != node.type:
                raise ExpressionError(f"feature {name!r} reads column {node.value!r} as {node.type}, others do not")
    return dict(sorted(found.items()))


def compile_expressions(expressions: Mapping[str, Expression]) -> Compiled:
    """Give one Python function that computes every feature of an application from its columns.

    Every column crosses the border once: what is no finite number within 1e15 becomes None, what is smaller than
    1e-15 becomes 0. A column that is absent, or of another type, is a TapeError.
    """
    border = border_source(inputs_of(expressions))
    closure = closure_source(expressions, variables=border.variables)
    names = {f"n{index}": name for index, name in enumerate(expressions)}
    result = ", ".join(f"{slot}: {closure.variables[name]}" for slot, name in names.items())
    lines = (*border.lines, *closure.lines, f"return {{{result}}}")
    return define_function(lines, constants={**border.constants, **closure.constants, **names})


def define_function(lines: Iterable[str], *, constants: Mapping[str, object]) -> Callable[..., Any]:
    """Turn generated lines into a function of one argument, ``row``, that sees its constants and nothing else."""
    source = "\n    ".join(("def evaluate(row):", *lines))
    scope: dict[str, Any] = {"__builtins__": {}, **constants}
    exec(compile(source, "<features>", "exec"), scope)  # noqa: S102 - the source holds generated names and numbers only
    return scope["evaluate"]  # type: ignore[no-any-return]  # what exec defined


def closure_source(
    expressions: Mapping[str, Expression], *, variables: Mapping[str, str], prefix: str = ""
) -> ClosureSource:
    """Give the lines that compute features from local variables holding border-clean columns.

    Parameters
    ----------
    variables
        The local variable of every column that the features read.
    prefix
        Put before generated names, where the lines stand beside others.
    """
    writer = Writer(variables=dict(variables), prefix=prefix)
    for index, name in enumerate(dependency_order(expressions)):
        local = f"{prefix}f{index}"
        writer.assign(local, expressions[name].tree)
        writer.variables[name] = local
    return ClosureSource(tuple(writer.lines), writer.constants, {name: writer.variables[name] for name in expressions})


def border_source(inputs: Mapping[str, ColumnType], *, prefix: str = "") -> ClosureSource:
    """Give the lines that read columns from ``row`` and let them cross the border, each into a local variable."""
    lines: list[str] = ["try:"]
    constants: dict[str, object] = {f"{prefix}{kind.__name__}_": kind for kind in (float, str, date, bool)}
    constants |= {f"{prefix}KeyError_": KeyError, f"{prefix}absent": refuse_absent}
    variables = {name: f"{prefix}r{index}" for index, name in enumerate(inputs)}
    for index, name in enumerate(inputs):
        lines.append(f"    {variables[name]} = row[{prefix}c{index}]")
        constants |= {f"{prefix}c{index}": name, f"{prefix}b{index}": partial(cross_border, name, inputs[name])}
    if not inputs:
        return ClosureSource((), {}, {})
    lines += [f"except {prefix}KeyError_ as error:", f"    {prefix}absent(error)"]
    for index, (name, kind) in enumerate(inputs.items()):
        lines += [line.format(p=prefix, r=variables[name], i=index) for line in _CROSSING[kind]]
    return ClosureSource(tuple(lines), constants, variables)


def border_number(value: object) -> float | None:
    """Give a number as it enters every engine: None if not finite or beyond 1e15, 0 if below 1e-15."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise TapeError(f"expected a number, got {type(value).__name__}")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # too large, or a signalling NaN
        return None
    if not -LARGEST <= number <= LARGEST:
        return None
    return 0.0 if abs(number) < SMALLEST else number


def border_value(value: object, *, column_type: ColumnType) -> Scalar | None:
    """Give a value as it enters every engine; text, dates and truth values only have to be of their type."""
    if column_type == "number":
        return border_number(value)
    wanted = _CLASSES[column_type]
    if value is None or type(value) is wanted:
        return value  # type: ignore[return-value]  # the table ties the class to the type
    if wanted is str and isinstance(value, str):
        return str(value)
    raise TapeError(f"expected a {column_type}, got {type(value).__name__}")


def cross_border(name: str, column_type: ColumnType, value: object) -> Scalar | None:
    """Give a column's value as it enters every engine; an error tells the column."""
    try:
        return border_value(value, column_type=column_type)
    except TapeError as error:
        raise TapeError(f"column {name!r}: {error.message}") from None


def refuse_absent(error: KeyError) -> NoReturn:
    """Tell a column that an application lacks."""
    raise TapeError(f"the application has no column {error.args[0]!r}") from None


_CLASSES: Final[Mapping[ColumnType, type]] = {"text": str, "date": date, "bool": bool}
_CROSSING: Final[Mapping[ColumnType, tuple[str, ...]]] = {
    "number": (
        "if {r}.__class__ is {p}float_:",
        "    if not (1e-15 <= {r} <= 1e15 or -1e15 <= {r} <= -1e-15):",
        "        {r} = 0.0 if -1e-15 < {r} < 1e-15 else None",
        "elif {r} is not None:",
        "    {r} = {p}b{i}({r})",
    ),
    "text": ("if {r}.__class__ is not {p}str_ and {r} is not None: {r} = {p}b{i}({r})",),
    "date": ("if {r}.__class__ is not {p}date_ and {r} is not None: {r} = {p}b{i}({r})",),
    "bool": ("if {r}.__class__ is not {p}bool_ and {r} is not None: {r} = {p}b{i}({r})",),
}


def _names_read(name: str, source: str) -> frozenset[str]:
    try:
        return names_read(source)
    except ExpressionError as error:
        raise ExpressionError(f"feature {name!r}: {error.message}", hint=error.hint) from error


def _levels(reads: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    sorter = TopologicalSorter({name: [read for read in sorted(reads[name]) if read in reads] for name in reads})
    try:
        sorter.prepare()
    except CycleError as error:
        raise ExpressionError(f"features read each other in a circle: {' -> '.join(error.args[1])}") from None
    levels = []
    while ready := set(sorter.get_ready()):
        levels.append(tuple(name for name in reads if name in ready))
        sorter.done(*ready)
    return tuple(levels)


def _check_links(name: str, feature: Expression, *, features: Mapping[str, Expression]) -> None:
    """Hold a feature to what it took the features that it reads to be when it was checked."""
    for node in walk(feature.tree):
        read = features.get(str(node.value)) if node.op == "column" else None
        if read is None:
            continue
        if read.type != node.type:
            raise ExpressionError(f"feature {name!r} reads {node.value!r} as {node.type}, but it is {read.type}")
        size, assumed = read.tree.magnitude, node.magnitude
        if read.type == "number" and (
            size.lowest < assumed.lowest or size.highest > assumed.highest or size.grain < assumed.grain
        ):
            raise ExpressionError(
                f"feature {name!r} takes {node.value!r} for a column, but its values range further",
                hint="check features that read each other with parse_features",
            )
