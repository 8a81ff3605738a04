"""A policy compiled: what it reads from one application, in a few microseconds.

Segment, amount and the conditions of knock-outs are one Python function, made of the same lines as a card's. A knock-out reads
a column as it is; a feature reads it capped, as on the card, so that a feature is the same number to both.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from obligor.core.decision import Fired, Reading
from obligor.core.errors import ContractError, ExpressionError, PolicyError
from obligor.core.expressions import closure_source, define_function
from obligor.core.features import FeatureSet, build_features, condition_of
from obligor.core.reasons import Reason
from obligor.core.values import Aggregations, aggregations_of, value_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from obligor.core.clauses import Knockout
    from obligor.core.expressions import Expression
    from obligor.core.policy import Policy, Threshold
    from obligor.core.syntax import ColumnType

    Row = Mapping[str, object]
    Evaluate = Callable[[Row], tuple[object, float | None, tuple[bool | None, ...]]]

_RULE: Final = "\u241f"  # before the name of a rule: no column begins like this


@dataclass(frozen=True, slots=True)
class Parts:
    """What a policy reads, checked: its features, and the condition of every active rule by its name."""

    features: FeatureSet
    conditions: Mapping[str, Expression]


@dataclass(frozen=True, slots=True)
class PolicyReader:
    """A compiled policy."""

    policy: Policy
    features: FeatureSet
    inputs: Mapping[str, ColumnType]
    """The columns and aggregates of an application that it reads, with their types."""
    _evaluate: Evaluate
    _aggregations: Aggregations
    _cutoffs: _Cutoffs
    _rules: tuple[_Rule, ...]

    def read(self, application: Row, *, histories: Mapping[str, Sequence[Row]] | None = None) -> Reading:
        """Read an application, given in the contract's units, with ``None`` for what is not known.

        Raises
        ------
        TapeError
            Where a column is absent or of another type.
        """
        level, amount, known = self._evaluate(self._aggregations.added_to(application, histories))
        segment = _LEVELS[level] if isinstance(level, bool) else level
        fired = tuple(
            [
                it
                for rule, value in zip(self._rules, known, strict=True)
                if (it := rule.fired if value else rule.unknown if value is None else None)
            ]
        )
        return Reading(
            segment,  # type: ignore[arg-type]  # the types of the policy's columns say so
            amount,
            self._cutoffs.of(segment, amount),
            self.policy.grey,
            fired,
        )


_LEVELS: Final = {True: "true", False: "false"}


class _Rule(NamedTuple):
    """What comes of a rule whose condition is true, and of one whose condition is not known."""

    fired: Fired
    unknown: Fired | None


@dataclass(frozen=True, slots=True)
class _Cutoffs:
    """The thresholds of a policy, laid out for finding one (``policy.threshold_for`` says what they mean)."""

    levels: Mapping[object, tuple[tuple[float, ...], tuple[int, ...]]]
    """By level, the amounts at which its intervals part, and the cut-off of each interval."""

    def of(self, segment: object, amount: float | None) -> int:
        """Give the cut-off of an application."""
        cuts, cutoffs = self.levels.get(segment) or self.levels[None]
        return max(cutoffs) if amount is None else cutoffs[bisect_right(cuts, amount)]


def compile_policy(policy: Policy) -> PolicyReader:
    """Compile a policy for reading one application at a time.

    Raises
    ------
    PolicyError
        Where a feature or a rule cannot be computed from what the policy says of its columns.
    """
    parts = parts_of(policy)
    direct = [it for it in (policy.segment, policy.amount) if it is not None]
    read = [name for it in parts.conditions.values() for name in it.columns]
    expressions, caps = parts.features.expressions, policy.caps
    beside = [] if policy.authority is None or policy.authority.amount is None else [policy.authority.amount]
    made = [name for name in dict.fromkeys((*direct, *read)) if name in expressions]
    plain = [name for name in dict.fromkeys((*direct, *read, *beside)) if name not in expressions]
    capped = value_source(made, features=parts.features, columns=policy.columns, caps=caps, prefix="a")
    as_is = value_source(plain, features=parts.features, columns=policy.columns, caps={}, prefix="b")
    rules = closure_source(
        {f"{_RULE}{name}": it for name, it in parts.conditions.items()},
        variables={**as_is.plain, **{name: capped.variables[name] for name in made}},
        prefix="c",
    )
    found = {**as_is.variables, **{name: capped.variables[name] for name in made}}
    segment = "None" if policy.segment is None else found[policy.segment]
    amount = "None" if policy.amount is None else as_is.plain[policy.amount]
    listed = "".join(f"{rules.variables[f'{_RULE}{name}']}, " for name in parts.conditions)
    lines = (*capped.lines, *as_is.lines, *rules.lines, f"return {segment}, {amount}, ({listed})")
    inputs = {**capped.inputs, **as_is.inputs}
    return PolicyReader(
        policy,
        parts.features,
        inputs,
        define_function(lines, constants={**capped.constants, **as_is.constants, **rules.constants}),
        aggregations_of(inputs, features=parts.features, columns=policy.columns, histories=policy.histories),
        _cutoffs(policy),
        tuple(_rule(it) for it in policy.knockouts if it.active),
    )


def parts_of(policy: Policy) -> Parts:
    """Check the features and rules of a policy.

    Raises
    ------
    PolicyError
        Where one cannot be computed.
    """
    columns: dict[str, ColumnType] = {name: it.type for name, it in policy.columns.items()}
    try:
        features = build_features(columns, histories=policy.histories, features=policy.features)
    except ContractError as error:
        raise PolicyError(f"policy: {error.message}") from None
    if policy.segment is not None and features.types[policy.segment] not in ("text", "bool"):
        raise PolicyError(
            f"policy: segment: '{policy.segment}' is a {features.types[policy.segment]}; wanted text or bool"
        )
    conditions = {}
    for rule in policy.knockouts:
        if rule.active:
            try:
                conditions[rule.name] = condition_of(rule, features)
            except ExpressionError as error:
                raise PolicyError(f"policy: knockouts: '{rule.name}': {error.message}", hint=error.hint) from None
    return Parts(features, conditions)


def _rule(rule: Knockout) -> _Rule:
    reason = Reason(rule.code or rule.name, "", 0.0, rule.reason)
    unknown = Fired(rule.name, "refer", reason) if rule.when_unknown == "refer" else None
    return _Rule(Fired(rule.name, rule.outcome, reason), unknown)


def _cutoffs(policy: Policy) -> _Cutoffs:
    if not policy.thresholds:
        return _Cutoffs({None: ((), (policy.cutoff.cutoff,))})
    levels: dict[object, list[Threshold]] = {}
    for it in policy.thresholds:
        levels.setdefault(it.segment, []).append(it)
    return _Cutoffs({level: _intervals(own) for level, own in levels.items()})


def _intervals(own: list[Threshold]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    ordered = sorted((it.amount_from is not None, it.amount_from or 0.0, it.cutoff) for it in own)
    return tuple(start for _, start, _ in ordered[1:]), tuple(cutoff for *_, cutoff in ordered)
