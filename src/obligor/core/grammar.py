"""The grammar of the feature language: from a line of SQL to a checked tree, or to one clear refusal.

The language is closed by construction. A lexer knows a handful of tokens, a recursive descent a handful of forms, and
nothing else exists: there is no comment, subquery, cast, parameter or unknown function that would have to be found and
refused. (A general SQL parser accepts ``@x`` as ABS, drops the ALL of ``ALL x``, and overflows its stack on deep
nesting; the tests hold this grammar equal to one on everything that both accept.)
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from obligor.core.errors import ExpressionError
from obligor.core.syntax import LARGEST, SMALLEST, UNIT, ColumnType, Node, literal, magnitude_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_LENGTH: Final = 10_000
MAX_TOKENS: Final = 2_000
MAX_NESTING: Final = 32
MAX_HEIGHT: Final = 100
MAX_WEIGHT: Final = 5_000

_COMPARISONS: Final = {"=": "eq", "<>": "ne", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_KEYWORDS: Final = frozenset(
    ("AND", "OR", "NOT", "BETWEEN", "IN", "IS", "NULL", "CASE", "WHEN", "THEN", "ELSE", "END", "TRUE", "FALSE")
)
_TOKEN: Final = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.]))
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<symbol><>|!=|<=|>=|=(?!=)|-(?!-)|/(?!\*)|[<>+*(),])""",
    re.VERBOSE,
)
_UNSAFE_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]|\$\{")
_ALLOWED: Final = (
    "allowed are columns, numbers, 'text', DATE 'YYYY-MM-DD', TRUE, FALSE, + - * /, = <> < <= > >=, BETWEEN, IN, "
    "AND, OR, NOT, IS NULL, CASE WHEN, and the functions "
)


class Token(NamedTuple):
    """A piece of the source and where it began."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class _Function:
    """What a function takes and gives; ``gives=None`` is the type of its arguments."""

    op: str
    accepts: tuple[ColumnType, ...]
    gives: ColumnType | None
    fewest: int
    most: int
    copies: int = 1


_ANY: Final[tuple[ColumnType, ...]] = ("number", "text", "date", "bool")
_ORDERED: Final[tuple[ColumnType, ...]] = ("number", "date")
_FUNCTIONS: Final[Mapping[str, _Function]] = {
    "ABS": _Function("abs", ("number",), None, 1, 1),
    "CEIL": _Function("ceil", ("number",), None, 1, 1, copies=3),
    "COALESCE": _Function("coalesce", _ANY, None, 2, 100),
    "DAYS_BETWEEN": _Function("days_between", ("date",), "number", 2, 2),
    "FLOOR": _Function("floor", ("number",), None, 1, 1, copies=3),
    "FULL_MONTHS": _Function("full_months", ("date",), "number", 2, 2, copies=3),
    "GREATEST": _Function("greatest", _ORDERED, None, 2, 100, copies=2),
    "LEAST": _Function("least", _ORDERED, None, 2, 100, copies=2),
    "LOWER": _Function("lower", ("text",), None, 1, 1),
    "MONTH": _Function("month", ("date",), "number", 1, 1),
    "NULLIF": _Function("nullif", _ANY, None, 2, 2),
    "TRIM": _Function("trim", ("text",), None, 1, 1),
    "YEAR": _Function("year", ("date",), "number", 1, 1),
}
ALLOWED: Final = _ALLOWED + ", ".join(_FUNCTIONS)


def parse(source: str, *, leaves: Mapping[str, Node]) -> Node:
    """Give the checked tree of an expression over named leaves, or raise ExpressionError."""
    try:
        return _Parser(source, leaves=leaves).parse()
    except RecursionError:  # the limits below come first; this is the last line
        raise ExpressionError("the expression is nested too deeply", hint="split it into several features") from None


def tokens(source: str) -> tuple[Token, ...]:
    """Cut a source into tokens, refusing everything that is not one of the language's."""
    if len(source) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(source)} characters, at most {MAX_LENGTH} are allowed")
    found = tuple(token for token in _scan(source) if token.kind != "blank")
    if len(found) > MAX_TOKENS:
        raise ExpressionError(f"the expression has {len(found)} words and signs, at most {MAX_TOKENS} are allowed")
    return found


def names_read(source: str) -> frozenset[str]:
    """Give every name in a source that can be a column; what is followed by a parenthesis is a function."""
    cut = tokens(source)
    following = (*cut[1:], Token("end", "", len(source)))
    return frozenset(
        unquote(token) for token, after in zip(cut, following, strict=True) if _is_name(token) and after.text != "("
    )


def unquote(token: Token) -> str:
    """Give the name that a word or a quoted name stands for."""
    return token.text[1:-1].replace('""', '"') if token.kind == "quoted" else token.text


def quote_name(name: str) -> str:
    """Write a name as the language reads it: as it stands where that is a word of its own, else in quotes."""
    try:
        tokens = list(_scan(name))
    except ExpressionError:
        tokens = []
    plain = len(tokens) == 1 and tokens[0].kind == "word" and _is_name(tokens[0])
    return name if plain else '"' + name.replace('"', '""') + '"'


def _scan(source: str) -> Iterator[Token]:
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"{_place(source, at)} is not part of the feature language; {ALLOWED}")
        yield Token(match.lastgroup, match.group(), at)
        at = match.end()


def _place(source: str, at: int) -> str:
    shown = source[at : at + 20]
    return f"character {at + 1} ({shown!r})" if shown else "the end of the expression"


def _is_name(token: Token) -> bool:
    return token.kind == "quoted" or (token.kind == "word" and token.text.upper() not in _KEYWORDS)


class _Parser:
    """A recursive descent over the tokens; its state is where it stands and how deep it is."""

    def __init__(self, source: str, *, leaves: Mapping[str, Node]) -> None:
        self.source = source
        self.leaves = leaves
        self.tokens = tokens(source)
        self.position = 0
        self.nesting = 0

    def parse(self) -> Node:
        if not self.tokens:
            raise ExpressionError("the expression is empty")
        node = self.any_of()
        if self.position < len(self.tokens):
            raise self.refusal(self.here, "the expression should have ended before this")
        return node

    # Moving over the tokens

    @property
    def here(self) -> Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else Token("end", "", len(self.source))

    def refusal(self, token: Token, why: str) -> ExpressionError:
        return ExpressionError(f"at {_place(self.source, token.at)}: {why}")

    def sees(self, *texts: str) -> bool:
        return self.here.kind in {"word", "symbol"} and self.here.text.upper() in texts

    def take(self, *texts: str) -> Token | None:
        if not self.sees(*texts):
            return None
        self.position += 1
        return self.tokens[self.position - 1]

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.refusal(self.here, f"expected {text}")

    def deeper(self, parse: Callable[[], Node]) -> Node:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.refusal(
                self.here, f"nested more than {MAX_NESTING} deep; split the expression into several features"
            )
        node = parse()
        self.nesting -= 1
        return node

    # The grammar, loosest first

    def any_of(self) -> Node:
        return self.chain("OR", self.all_of)

    def all_of(self) -> Node:
        return self.chain("AND", self.negation)

    def chain(self, word: str, part: Callable[[], Node]) -> Node:
        start, parts = self.here, [part()]
        while self.take(word):
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        for node in parts:
            self.require(node, ("bool",), token=start, what=word)
        return self.build(start, word.lower(), "bool", parts)

    def negation(self) -> Node:
        start = self.take("NOT")
        if start is None:
            return self.predicate()
        node = self.deeper(self.negation)
        self.require(node, ("bool",), token=start, what="NOT")
        return self.build(start, "not", "bool", [node])

    def predicate(self) -> Node:
        """Read at most one comparison; engines disagree on what ``a < b IS NULL`` or ``a = b = c`` would be."""
        start, left = self.here, self.sum_of()
        if sign := self.take(*_COMPARISONS):
            return self.comparison(sign, left, right=self.sum_of())
        if self.take("IS"):
            return self.null_test(start, left)
        refused = self.take("NOT")
        if self.take("BETWEEN"):
            node = self.between(start, left)
        elif self.take("IN"):
            node = self.membership(start, left)
        elif refused:
            raise self.refusal(self.here, "expected BETWEEN or IN after NOT")
        else:
            return left
        return self.build(start, "not", "bool", [node]) if refused else node

    def comparison(self, sign: Token, left: Node, *, right: Node) -> Node:
        op = _COMPARISONS[sign.text]
        kinds = _ANY if op in {"eq", "ne"} else _ORDERED
        self.require(left, kinds, token=sign, what=sign.text)
        self.require(right, (left.type,), token=sign, what=sign.text)
        return self.build(sign, op, "bool", [left, right])

    def null_test(self, start: Token, left: Node) -> Node:
        refused = self.take("NOT")
        self.expect("NULL")
        node = self.build(start, "is_null", "bool", [left])
        return self.build(start, "not", "bool", [node]) if refused else node

    def between(self, start: Token, value: Node) -> Node:
        self.require(value, _ORDERED, token=start, what="BETWEEN")
        low = self.sum_of()
        self.expect("AND")
        high = self.sum_of()
        for bound in (low, high):
            self.require(bound, (value.type,), token=start, what="BETWEEN")
        if low.op == high.op == "literal":
            return self.build(start, "between", "bool", [value, low, high])
        above = self.build(start, "ge", "bool", [value, low])
        return self.build(start, "and", "bool", [above, self.build(start, "le", "bool", [value, high])])

    def membership(self, start: Token, value: Node) -> Node:
        self.require(value, ("number", "text", "date"), token=start, what="IN")
        self.expect("(")
        members = self.listed(self.member)
        for member in members:
            self.require(member, (value.type,), token=start, what="IN")
        return self.build(start, "in", "bool", [value, *members])

    def member(self) -> Node:
        start, node = self.here, self.signed()
        if node.op != "literal":
            raise self.refusal(start, "IN takes literals only, and not NULL")
        return node

    def listed(self, part: Callable[[], Node]) -> list[Node]:
        """Read what stands between commas, up to the closing parenthesis."""
        parts = [self.deeper(part)]
        while self.take(","):
            parts.append(self.deeper(part))
        self.expect(")")
        return parts

    def sum_of(self) -> Node:
        return self.arithmetic({"+": "add", "-": "sub"}, self.product_of)

    def product_of(self) -> Node:
        return self.arithmetic({"*": "mul", "/": "div"}, self.signed)

    def arithmetic(self, signs: Mapping[str, str], part: Callable[[], Node]) -> Node:
        left = part()
        while sign := self.take(*signs):
            right = part()
            for node in (left, right):
                self.require(node, ("number",), token=sign, what=sign.text)
            left = self.build(sign, signs[sign.text], "number", [left, right])
        return left

    def signed(self) -> Node:
        sign = self.take("-")
        if sign is None:
            return self.primary()
        node = self.deeper(self.signed)
        self.require(node, ("number",), token=sign, what="-")
        if node.op == "literal" and isinstance(node.value, float):
            return literal(-node.value)
        return self.build(sign, "neg", "number", [node])

    def primary(self) -> Node:
        token = self.here
        if self.take("("):
            node = self.deeper(self.any_of)
            self.expect(")")
            return node
        self.position += 1
        if token.kind == "number":
            return self.number(token)
        if token.kind == "text":
            return literal(self.text(token))
        if self.here.text == "(" and token.kind == "word" and token.text.upper() not in _KEYWORDS:
            return self.call(token)
        if token.kind == "word" and self.here.kind == "text" and token.text.upper() == "DATE":
            return self.date()
        return self.name(token)

    def name(self, token: Token) -> Node:
        if _is_name(token):
            return self.leaf(token)
        word = token.text.upper()
        if word in {"TRUE", "FALSE"}:
            return literal(word == "TRUE")
        if word == "CASE":
            return self.case(token)
        if word == "NULL":
            raise self.refusal(token, "NULL stands only after THEN or ELSE, and in IS NULL")
        raise self.refusal(token, f"expected a value; {ALLOWED}")

    def leaf(self, token: Token) -> Node:
        name = unquote(token)
        if name in self.leaves:
            return self.leaves[name]
        near = difflib.get_close_matches(name, self.leaves, n=3, cutoff=0.6)
        known = near or sorted(self.leaves)[:10]
        hint = ("did you mean " if near else "columns are ") + ", ".join(known) if known else "no column is known here"
        message = f"at {_place(self.source, token.at)}: there is no column {name[:80]!r}"
        raise ExpressionError(message, hint=f"{hint}; {ALLOWED}")

    def number(self, token: Token) -> Node:
        exact = Decimal(token.text)
        if exact != 0 and not Decimal(SMALLEST) <= exact <= Decimal(LARGEST):
            raise self.refusal(token, "a number is 0 or has a size from 1e-15 to 1e15")
        return literal(float(token.text))

    def text(self, token: Token) -> str:
        value = token.text[1:-1].replace("''", "'")
        if _UNSAFE_TEXT.search(value):
            raise self.refusal(token, "text in quotes holds no control character, backslash or ${")
        return value

    def date(self) -> Node:
        token = self.here
        self.position += 1
        try:
            if re.fullmatch(r"'[0-9]{4}-[0-9]{2}-[0-9]{2}'", token.text):
                return literal(date.fromisoformat(token.text[1:-1]))
        except ValueError:
            pass
        raise self.refusal(token, "a date is DATE 'YYYY-MM-DD', from 0001-01-01 to 9999-12-31")

    def call(self, token: Token) -> Node:
        function = _FUNCTIONS.get(token.text.upper())
        if function is None:
            raise self.refusal(token, f"there is no function {token.text[:80]}; {ALLOWED}")
        self.expect("(")
        if self.sees(")"):
            raise self.refusal(self.here, f"{token.text} needs an argument")
        arguments = self.listed(self.any_of)
        if not function.fewest <= len(arguments) <= function.most:
            wanted = str(function.fewest) if function.fewest == function.most else f"{function.fewest} or more"
            raise self.refusal(token, f"{token.text} takes {wanted} arguments, got {len(arguments)}")
        self.require(arguments[0], function.accepts, token=token, what=token.text)
        for argument in arguments[1:]:
            self.require(argument, (arguments[0].type,), token=token, what=token.text)
        gives = function.gives or arguments[0].type
        return self.build(token, function.op, gives, arguments, copies=function.copies)

    def case(self, start: Token) -> Node:
        if not self.sees("WHEN"):
            raise self.refusal(self.here, "only CASE WHEN condition THEN value is allowed")
        parts: list[Node | None] = []
        while when := self.take("WHEN"):
            condition = self.deeper(self.any_of)
            self.require(condition, ("bool",), token=when, what="WHEN")
            self.expect("THEN")
            parts += [condition, self.result()]
        if self.take("ELSE"):
            parts.append(self.result())
        self.expect("END")
        results = [*parts[1::2], *(parts[-1:] if len(parts) % 2 else [])]
        given = next((node.type for node in results if node), None)
        if given is None:
            raise self.refusal(start, "every value of this CASE is NULL")
        for node in results:
            if node:
                self.require(node, (given,), token=start, what="CASE")
        return self.build(start, "case", given, [node or Node("null", given) for node in parts])

    def result(self) -> Node | None:
        """Read the value after THEN or ELSE; None is NULL, whose type the other values decide."""
        return None if self.take("NULL") else self.deeper(self.any_of)

    # Checking

    def require(self, node: Node, kinds: Iterable[ColumnType], *, token: Token, what: str) -> None:
        if node.type not in kinds:
            raise self.refusal(token, f"{what} needs {' or '.join(kinds)} here, got {node.type}")

    def build(self, token: Token, op: str, kind: ColumnType, args: list[Node], *, copies: int = 1) -> Node:
        height = 1 + max(node.height for node in args)
        weight = 1 + copies * sum(node.weight for node in args)
        if height > MAX_HEIGHT or weight > MAX_WEIGHT:
            raise self.refusal(token, "the expression is too large; split it into several features")
        size = magnitude_of(op, args) if kind == "number" else UNIT
        if not size.fits:
            at = _place(self.source, token.at)
            raise ExpressionError(
                f"at {at}: this could reach {size.lowest:.0e} or {size.highest:.0e}, beyond what numbers hold",
                hint="divide before multiplying, or take fewer columns",
            )
        return Node(op, kind, tuple(args), magnitude=size, height=height, weight=weight)
