"""Which gates of a compliance profile hold for one application: those of the first scope that it fits, or those at the top.

A condition compares fields of the application with values, so it has three values: of a field that is not known, or holds a
code for something else, it says neither yes nor no. Then every scope that the application may fit counts, and of each gate the
strictest state: nobody is approved for want of a word with which they would not be. Nothing but comparisons can be written, so
a condition that is false stays so whatever the missing word may be.

For the same reason the cases that conditions tell apart are few, and can be listed: for each field the values that conditions
name, what lies between and beyond them, and nothing. So it is found out, case by case, whether a scope can ever hold, and what
a profile turns down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise, product
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from obligor.core.columns import Role
from obligor.core.errors import ExpressionError, ProfileError, TapeError
from obligor.core.expressions import closure_source, define_function, parse_expression
from obligor.core.features import FeatureSet
from obligor.core.profile import GATES, OTHERWISE, STATES
from obligor.core.syntax import LARGEST, walk
from obligor.core.values import value_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from obligor.core.columns import Column
    from obligor.core.expressions import Expression
    from obligor.core.profile import Gate, GateName, Profile
    from obligor.core.syntax import Node, Scalar

    Row = Mapping[str, object]
    Values = tuple[Scalar | None, ...]

NO_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType({})
_MOST_HELD = 256
_MOST_CASES = 5_000
_SCOPE: Final = "\u241f"  # before the name of a scope: no column begins like this
_ON_FAIL: Final = ("refer", "hold", "decline")
"""From the least grave to the gravest, as of rulings (``decision``)."""
_PART: Final = 0.4567
"""Of the way from one number to the next: what lies there is hardly ever a code."""
_SIGNS: Final = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))


class Held(NamedTuple):
    """What holds for one application."""

    profile: Profile
    """The profile as it holds, without scopes."""
    scopes: tuple[str, ...]
    """The scope that it fits, or `otherwise`; several where a field is not known, whose strictest gates hold."""


@dataclass(frozen=True, slots=True)
class Scoping:
    """The scopes of a profile, compiled."""

    columns: Mapping[str, Column]
    """The fields that conditions read."""
    conditions: Mapping[str, Expression]
    """By the name of the scope, in the order of the profile."""
    known: Callable[[Row], tuple[bool | None, ...]]
    """Tells of each condition whether it is true, or not known."""
    _holding: Callable[[tuple[str, ...]], Held]

    def of(self, fields: Row) -> Held:
        """Tell what holds for an application by its fields, as it is read or as a record keeps it.

        A field that is absent or of another type, as of an older form, leaves every scope possible.
        """
        try:
            known = self.known(fields)
        except TapeError:
            return self._holding((*self.conditions, OTHERWISE))
        may: list[str] = []
        for name, value in zip(self.conditions, known, strict=True):
            if value is not False:
                may.append(name)
                if value:
                    return self._holding(tuple(may))
        return self._holding((*may, OTHERWISE))


def compile_scopes(profile: Profile, columns: Mapping[str, Column]) -> Scoping:
    """Compile the scopes of a profile over the fields of an application, those that a card and its policy describe.

    Raises
    ------
    ProfileError
        Where a condition is outside the language, reads a field that there is not, or one by which nobody may be told apart.
    """
    conditions = {it.name: _condition(it.name, it.when, columns) for it in profile.scopes}
    read = {name: columns[name] for name in dict.fromkeys(name for it in conditions.values() for name in it.columns)}
    types = FeatureSet({}, {}, {name: it.type for name, it in read.items()})
    values = value_source(read, features=types, columns=read, caps={}, prefix="a")
    closure = closure_source(
        {f"{_SCOPE}{name}": it for name, it in conditions.items()}, variables=values.plain, prefix="b"
    )
    listed = "".join(f"{it}, " for it in closure.variables.values())
    lines = (*values.lines, *closure.lines, f"return ({listed})")
    known = define_function(lines, constants={**values.constants, **closure.constants})
    return Scoping(read, conditions, known, lru_cache(_MOST_HELD)(partial(_holding, profile)))


def check_scopes(scoping: Scoping) -> None:
    """Refuse a scope that never holds, whatever an application says.

    Raises
    ------
    ProfileError
        Where there is one, or conditions tell more cases apart than can be gone through.
    """
    never, fitting = dict.fromkeys(scoping.conditions), set[str]()
    for case in _cases([scoping]):
        may = {name: it for name, it in zip(scoping.conditions, scoping.known(case), strict=True) if it is not False}
        fitting |= {name for name, it in may.items() if it}
        first = next(iter(may), OTHERWISE)
        if may.get(first):
            never.pop(first, None)
    for name in never:
        why = "another before it holds wherever it would" if name in fitting else "nothing fits its condition"
        raise ProfileError(f"profile: scopes: '{name}': never holds, since {why}")


def turned_down(profile: Profile, base: Profile, columns: Mapping[str, Column] = NO_COLUMNS) -> tuple[str, ...]:
    """Name the gates that a profile has less strict than another for any application, each with the scope in which it does.

    Raises
    ------
    ProfileError
        As ``compile_scopes`` and ``check_scopes`` do.
    """
    new, old = compile_scopes(profile, columns), compile_scopes(base, columns)
    met: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Held, Held]] = {}
    for case in _cases([new, old]):
        now, before = new.of(case), old.of(case)
        met[now.scopes, before.scopes] = now, before
    found: dict[GateName, dict[tuple[str, ...], None]] = {
        name: {now.scopes: None for now, before in met.values() if _rank(now, name) < _rank(before, name)}
        for name in GATES
    }
    if not profile.scopes:
        return tuple(name for name, where in found.items() if where)
    # where a word is missing, two scopes are only named if neither is by itself
    named = ((name, [it for it in where if len(it) == 1] or where) for name, where in found.items())
    return tuple(f"{name} in {' or '.join(scopes)}" for name, where in named for scopes in where)


def _rank(held: Held, name: GateName) -> int:
    return STATES.index(held.profile.gate(name).state)


def _holding(profile: Profile, names: tuple[str, ...]) -> Held:
    """Put together what may hold: of each gate the strictest, and of equals the first."""
    parts = [profile.parts[name] for name in names]
    if len(parts) == 1:
        return Held(parts[0], names)
    every: dict[str, list[Gate]] = {name: [it.gate(name) for it in parts] for name in GATES}
    named = {name: it for name, it in every.items() if any(getattr(part.gates, name) is not None for part in parts)}
    gates = {name: max(it, key=_strictness) for name, it in named.items()}
    return Held(parts[0].model_copy(update={"gates": profile.gates.model_copy(update=gates)}), names)


def _strictness(gate: Gate) -> tuple[int, int]:
    return STATES.index(gate.state), _ON_FAIL.index(gate.on_fail)


def _condition(scope: str, when: str, columns: Mapping[str, Column]) -> Expression:
    try:
        found = parse_expression(when, columns={name: it.type for name, it in columns.items()})
    except ExpressionError as error:
        raise ProfileError(f"profile: scopes: '{scope}': {error.message}", hint=error.hint) from None
    if found.type != "bool" or not _compares(found.tree):
        said = "wanted fields compared with values, put together by AND, OR and NOT"
        raise ProfileError(f"profile: scopes: '{scope}': when: {said}")
    for name in found.columns:
        if (barred := _barred(columns[name])) is not None:
            said = f"reads '{name}', which is {barred}; wanted fields that say of a product or a place"
            raise ProfileError(f"profile: scopes: '{scope}': {said}")
    return found


def _compares(node: Node) -> bool:
    """Tell whether a tree is of comparisons of one field with values, and so is unknown wherever its field is."""
    if node.op in ("and", "or", "not"):
        return all(map(_compares, node.args))
    if node.op in _SIGNS:
        return sorted(it.op for it in node.args) == ["column", "literal"]
    if node.op in ("between", "in"):
        return node.args[0].op == "column"
    return node.op == "column"


def _barred(column: Column) -> str | None:
    """Tell why nobody may be told apart by a column."""
    if Role.PROTECTED in column.role:
        return "protected"
    if column.privacy != "none":
        return "personal"
    if Role.IDENTIFIER in column.role or not column.may_feed_features:
        return f"of the role {column.role[0]}"
    return "a date, which records keep as a text" if column.type == "date" else None


# The cases that conditions tell apart


def _cases(scopings: Iterable[Scoping]) -> Iterator[Row]:
    """Give an application for each case that conditions can tell apart.

    Raises
    ------
    ProfileError
        Where there are too many.
    """
    columns: dict[str, Column] = {}
    named: dict[str, set[Any]] = {}
    for scoping in scopings:
        columns |= scoping.columns
        for expression in scoping.conditions.values():
            for node in walk(expression.tree):
                of = {str(it.value) for it in node.args if it.op == "column"}
                for name in of:
                    named.setdefault(name, set()).update(it.value for it in node.args if it.op == "literal")
    values = [_values(it, named.get(name, set())) for name, it in columns.items()]
    if (count := prod(map(len, values))) > _MOST_CASES:
        said = f"conditions tell {count} cases apart, wanted at most {_MOST_CASES}"
        raise ProfileError(f"profile: scopes: {said}", hint="name fewer values, or fewer fields")
    return (dict(zip(columns, it, strict=True)) for it in product(*values))


def _values(column: Column, named: set[Any]) -> Values:
    """Give values of a column of which every condition that names such values says what it says of any: and none."""
    if column.type == "bool":
        return None, True, False
    if column.type == "text":
        raw = {said for said, level in column.map.items() if level in named}
        return None, *sorted(named | raw), "\N{REPLACEMENT CHARACTER}".join(("", *sorted(named), ""))
    numbers = sorted(named)
    between = [low + (high - low) * _PART for low, high in pairwise(numbers)]
    below, above = numbers[0] - _PART - abs(numbers[0]), numbers[-1] + _PART + abs(numbers[-1])
    beyond = (max(below, -LARGEST), min(above, LARGEST))
    return None, *numbers, *between, *beyond
