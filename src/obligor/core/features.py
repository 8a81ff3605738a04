"""The features of a contract or a card, checked: expressions over an application, aggregates over its histories.

An expression may read the columns of applications that its contract lets feed features, the aggregates, and other
expressions; an aggregate reads the columns of its history that may feed features. In an expression a special code counts
as missing, since it is not a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.columns import barred_columns
from obligor.core.contract import contract_error
from obligor.core.errors import ExpressionError, Problem
from obligor.core.expressions import Expression, parse_expression, parse_features
from obligor.core.grammar import names_read
from obligor.core.history import Aggregate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from obligor.core.clauses import Knockout
    from obligor.core.columns import Feature, History
    from obligor.core.contract import Contract
    from obligor.core.syntax import ColumnType


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Checked features, and the type of everything that a card could read."""

    expressions: Mapping[str, Expression]
    """By name, each over columns, aggregates and other expressions."""
    aggregates: Mapping[str, Aggregate]
    """By name, each over one history."""
    types: Mapping[str, ColumnType]
    """The type of every readable column and of every feature."""

    def needed_for(self, names: Iterable[str]) -> tuple[str, ...]:
        """Name everything that the given columns and features read, directly or not, themselves included."""
        found: dict[str, None] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop(0)
            if name not in found:
                found[name] = None
                waiting += self.expressions[name].columns if name in self.expressions else ()
        return tuple(found)


def build_features(
    columns: Mapping[str, ColumnType], *, histories: Mapping[str, History], features: Mapping[str, Feature]
) -> FeatureSet:
    """Check features over typed columns.

    Raises
    ------
    ContractError
        With one problem for each feature that cannot be computed.
    """
    aggregates, problems = _aggregates(histories, features)
    types = dict(columns) | {name: _aggregate_type(it) for name, it in aggregates.items()}
    sources = {name: str(it.expression) for name, it in features.items() if it.history is None}
    expressions: dict[str, Expression] = {}
    try:
        expressions = parse_features(sources, columns=types)
    except ExpressionError as error:
        problems += _problems(error, sources, types=types)
    if problems:
        raise contract_error(problems)
    return FeatureSet(expressions, aggregates, types | {name: it.type for name, it in expressions.items()})


def check_features(contract: Contract) -> FeatureSet:
    """Check the features, conditions and kinds of predictors of a contract."""
    readable: dict[str, ColumnType] = {
        name: it.type for name, it in contract.columns.items() if contract.may_feed_features(name)
    }
    made = build_features(readable, histories=contract.histories, features=contract.features)
    problems = [
        Problem(("features", name), "is a date and cannot be a predictor; give it the role input")
        for name, feature in contract.features.items()
        if feature.role == "predictor" and made.types[name] == "date"
    ]
    every: dict[str, ColumnType] = {name: column.type for name, column in contract.columns.items()}
    for index, exclusion in enumerate(contract.exclude):
        problems += _condition_problems(exclusion.when, columns=every, path=("exclude", index, "when"))
    problems += _segment_problems(contract.cutoff.segment, made)
    problems += _rule_problems(contract, made)
    if contract.rejects:
        problems += _condition_problems(contract.rejects.when, columns=every, path=("rejects", "when"))
    if problems:
        raise contract_error(problems)
    return made


def _segment_problems(segment: str | None, made: FeatureSet) -> list[Problem]:
    """Refuse a segment that is no category of the application itself."""
    path = ("cutoff", "segment")
    if segment is None or segment not in made.types:
        return []
    if made.types[segment] not in ("text", "bool"):
        return [Problem(path, f"'{segment}' is a {made.types[segment]}; wanted text or bool, such as a feature of it")]
    read = [name for name in made.needed_for([segment]) if name in made.aggregates]
    return [
        Problem(path, f"'{segment}' reads the history feature '{name}'; wanted applications only") for name in read[:1]
    ]


def _rule_problems(contract: Contract, made: FeatureSet) -> list[Problem]:
    """Refuse rules that read what may not decide, or that cannot be computed."""
    problems = []
    for index, rule in enumerate(contract.knockouts):
        path = ("knockouts", index, "when")
        try:
            read = names_read(rule.when)
            barred = list(barred_columns({name: it for name, it in contract.columns.items() if name in read}))
            problems += [Problem(path, message) for message in barred[:1]]
            if not barred:
                condition_of(rule, made)
        except ExpressionError as error:
            problems.append(Problem(path, str(error)))
    return problems


def condition_of(rule: Knockout, made: FeatureSet) -> Expression:
    """Check the condition of a rule over columns and features.

    Raises
    ------
    ExpressionError
        Where it is outside the language, reads what there is not, or is no condition.
    """
    columns = {name: kind for name, kind in made.types.items() if name not in made.expressions}
    found = parse_expression(rule.when, columns=columns, features=made.expressions)
    if found.type != "bool":
        raise ExpressionError(f"wanted a condition, got a {found.type}")
    return found


def _aggregates(
    histories: Mapping[str, History], features: Mapping[str, Feature]
) -> tuple[dict[str, Aggregate], list[Problem]]:
    found: dict[str, Aggregate] = {}
    problems: list[Problem] = []
    for name, feature in features.items():
        if feature.history is None or feature.aggregate is None:
            continue
        columns = histories[feature.history].columns
        types: dict[str, ColumnType] = {key: it.type for key, it in columns.items() if it.may_feed_features}
        try:
            found[name] = Aggregate(
                name=name,
                table=feature.history,
                function=feature.aggregate,
                expression=parse_expression(feature.expression, columns=types) if feature.expression else None,
                where=parse_expression(feature.where, columns=types) if feature.where else None,
                window_days=feature.window_days,
            )
        except ExpressionError as error:
            problems.append(Problem(("features", name), str(error)))
    return found, problems


def _aggregate_type(aggregate: Aggregate) -> ColumnType:
    if aggregate.function == "latest" and aggregate.expression is not None:
        return aggregate.expression.type
    return "number"


def _problems(error: ExpressionError, sources: Mapping[str, str], *, types: Mapping[str, ColumnType]) -> list[Problem]:
    """Give one problem for each feature that is wrong by itself, or the error where only their sum is."""
    alone: list[Problem] = []
    for name, source in sources.items():
        try:
            parse_features(
                {name: source}, columns=dict(types) | {other: "number" for other in sources if other != name}
            )
        except ExpressionError as single:
            alone.append(Problem(("features", name), str(single).removeprefix(f"feature {name!r}: ")))
    return alone or [Problem(("features",), str(error))]


def _condition_problems(
    source: str, *, columns: Mapping[str, ColumnType], path: tuple[str | int, ...]
) -> list[Problem]:
    try:
        condition = parse_expression(source, columns=columns)
    except ExpressionError as error:
        return [Problem(path, str(error))]
    if condition.type != "bool":
        return [Problem(path, f"wanted a condition, got a {condition.type}")]
    return []
