"""Checked expressions written as Python.

An operand comes with *guards*, conditions under which it is NULL; its text is valid once none of them holds. So a whole
arithmetic expression is one test and one formula. ``a / (b + c)`` is ::

    None if r0 is None or r1 is None or r2 is None or not (t0 := (r1 + r2)) else (r0 / t0) + 0.0

The text is made of generated names, operators and the digits of numbers; every other value is a named constant.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from obligor.core.syntax import Node, Scalar

# Operations that are NULL where an operand is. Those in the second table write an operand more than once.
_STRICT: Final[Mapping[str, str]] = {
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "div": "({0} / {1})",
    "neg": "(-{0})",
    "floor": "({0} // 1.0)",
    "ceil": "(-(-{0} // 1.0))",
    "eq": "({0} == {1})",
    "ne": "({0} != {1})",
    "lt": "({0} < {1})",
    "le": "({0} <= {1})",
    "gt": "({0} > {1})",
    "ge": "({0} >= {1})",
    "between": "({1} <= {0} <= {2})",
    "not": "(not {0})",
    "trim": "{0}.strip(' ')",
    "year": "({0}.year + 0.0)",
    "month": "({0}.month + 0.0)",
    "days_between": "(({0} - {1}).days + 0.0)",
}
_STRICT_NAMED: Final[Mapping[str, str]] = {
    "abs": "({0} if {0} >= 0.0 else -{0})",
    "lower": "({0}.lower() if {0}.isascii() else {0}.translate({table}))",
    "full_months": "(({0}.year - {1}.year) * 12 + {0}.month - {1}.month - ({0}.day < {1}.day) + 0.0)",
}
_LOOSE: Final = frozenset(("and", "or", "is_null", "coalesce", "case", "null"))
_TO_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_LEVELS_PER_LINE: Final = 12  # CPython's parser takes 200 nested parentheses


@dataclass(frozen=True, slots=True)
class _Code:
    text: str
    guards: tuple[str, ...] = ()

    def value(self) -> str:
        return f"(None if {' or '.join(self.guards)} else {self.text})" if self.guards else self.text


class Writer:
    """Writes trees as lines of Python; its state is what it has written, and the local variables that hold values."""

    def __init__(self, *, variables: dict[str, str], prefix: str) -> None:
        self.variables = variables
        self.prefix = prefix
        self.lines: list[str] = []
        self.constants: dict[str, object] = {}
        self._temporaries = 0

    def assign(self, local: str, node: Node) -> None:
        """Write the line that leaves a feature in a local variable; adding zero rids it of the sign of zero."""
        if node.type != "number" or node.op in {"column", "literal"}:
            text = self._value(node)
        else:
            code = self._operand(node)
            text = _Code(f"{code.text} + 0.0", code.guards).value()
        self.lines.append(f"{local} = {text}")

    def _value(self, node: Node) -> str:
        return self._loose(node) if node.op in _LOOSE and not _on_own_line(node) else self._operand(node).value()

    def _operand(self, node: Node) -> _Code:
        if node.op == "is_null":
            return _Code(self._loose(node))
        if not _on_own_line(node):
            return self._bind(self._loose(node)) if node.op in _LOOSE else self._tight(node)
        local = self._temporary()
        text = self._loose(node) if node.op in _LOOSE else self._tight(node).value()
        self.lines.append(f"{local} = {text}")
        return _Code(local, (f"{local} is None",))

    def _named(self, node: Node) -> _Code:
        """Give an operand whose text may be repeated."""
        code = self._operand(node)
        if code.text.isidentifier() or node.op == "literal":
            return code
        bound = self._bind(code.text)
        return _Code(bound.text, (*code.guards, *bound.guards))

    def _bind(self, text: str) -> _Code:
        local = self._temporary()
        return _Code(local, (f"({local} := {text}) is None",))

    # Operations that are text once their guards are passed

    def _tight(self, node: Node) -> _Code:
        if node.op == "column":
            local = self.variables[str(node.value)]
            return _Code(local, (f"{local} is None",))
        if node.op == "literal":
            return _Code(self._constant(node.value))
        if node.op == "in":
            code = self._operand(node.args[0])
            return _Code(f"({code.text} in {self._slot(frozenset(it.value for it in node.args[1:]))})", code.guards)
        if node.op == "nullif":
            code = self._named(node.args[0])
            return _Code(code.text, (*code.guards, f"{code.text} == {self._value(node.args[1])}"))
        if node.op in {"least", "greatest"}:
            return self._extreme(node)
        return self._strict(node)

    def _strict(self, node: Node) -> _Code:
        if node.op in _STRICT_NAMED:
            template, codes = _STRICT_NAMED[node.op], [self._named(arg) for arg in node.args]
        else:
            template, codes = _STRICT[node.op], [self._operand(arg) for arg in node.args]
        if node.op == "div" and (node.args[1].op != "literal" or node.args[1].value == 0.0):
            codes[1] = self._divisor(codes[1])
        table = self._slot(_TO_LOWER) if node.op == "lower" else ""
        return _Code(template.format(*(code.text for code in codes), table=table), _merge(codes))

    def _divisor(self, code: _Code) -> _Code:
        """Guard against zero, and where the divisor is a plain name against None in the same test."""
        if code.text.isidentifier():
            others = tuple(guard for guard in code.guards if guard != f"{code.text} is None")
            return _Code(code.text, (*others, f"not {code.text}"))
        local = self._temporary()
        return _Code(local, (*code.guards, f"not ({local} := {code.text})"))

    def _extreme(self, node: Node) -> _Code:
        sign = "<=" if node.op == "least" else ">="
        codes = [self._named(arg) for arg in node.args]
        first, second = codes[0].text, codes[1].text
        text = f"({first} if {first} {sign} {second} else {second})"
        for code in codes[2:]:
            local = self._temporary()
            text = f"({local} if ({local} := {text}) {sign} {code.text} else {code.text})"
        return _Code(text, _merge(codes))

    # Operations that look at NULL themselves

    def _loose(self, node: Node) -> str:
        if node.op == "null":
            return "None"
        if node.op == "is_null":
            return f"({' or '.join(self._operand(node.args[0]).guards) or 'False'})"
        if node.op == "coalesce":
            return self._coalesce(node)
        return self._case(node) if node.op == "case" else self._connective(node)

    def _coalesce(self, node: Node) -> str:
        text = "None"
        for code in reversed([self._operand(arg) for arg in node.args]):
            text = f"({text} if {' or '.join(code.guards)} else {code.text})" if code.guards else code.text
        return text

    def _case(self, node: Node) -> str:
        pairs = len(node.args) // 2
        arms = [f"{self._value(node.args[2 * i + 1])} if {self._condition(node.args[2 * i])}" for i in range(pairs)]
        otherwise = self._value(node.args[-1]) if len(node.args) % 2 else "None"
        return f"({' else '.join((*arms, otherwise))})"

    def _connective(self, node: Node) -> str:
        decides, otherwise = ("False", "True") if node.op == "and" else ("True", "False")
        parts = [(self._temporary(), self._value(arg)) for arg in node.args]
        decided = " or ".join(f"({local} := {value}) is {decides}" for local, value in parts)
        unknown = " or ".join(f"{local} is None" for local, _ in parts)
        return f"({decides} if {decided} else None if {unknown} else {otherwise})"

    def _condition(self, node: Node) -> str:
        """Write a test that holds where the node is TRUE, neither FALSE nor NULL."""
        if node.op in {"and", "or"} and not _on_own_line(node):
            return f"({f' {node.op} '.join(self._condition(arg) for arg in node.args)})"
        code = self._operand(node)
        return f"({' and '.join((*(f'not ({guard})' for guard in code.guards), code.text))})"

    # Names

    def _constant(self, value: Scalar | None) -> str:
        if isinstance(value, bool):
            return str(value)
        if isinstance(value, float):
            return repr(value) if value >= 0 else f"({value!r})"
        return self._slot(value)

    def _slot(self, value: object) -> str:
        name = f"{self.prefix}k{len(self.constants)}"
        self.constants[name] = value
        return name

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"{self.prefix}t{self._temporaries - 1}"


def _on_own_line(node: Node) -> bool:
    return node.height % _LEVELS_PER_LINE == 0


def _merge(codes: Iterable[_Code]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(guard for code in codes for guard in code.guards))
