from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest
import sqlglot
from hypothesis import example, given
from hypothesis import strategies as st
from sqlglot import expressions as sql
from tests.core.expression_cases import COLUMNS, Source, bits, nasty_rows, random_expressions

from obligor.core.closures import Writer
from obligor.core.errors import ExpressionError, TapeError
from obligor.core.expressions import (
    Expression,
    border_number,
    border_source,
    closure_source,
    compile_expressions,
    define_function,
    dependency_levels,
    dependency_order,
    inputs_of,
    parse_expression,
    parse_features,
)
from obligor.core.grammar import MAX_NESTING
from obligor.core.syntax import Node, walk

PIECES = r"""a b whole t d p AND OR NOT IN BETWEEN IS NULL CASE WHEN THEN ELSE END TRUE LEAST( COALESCE( full_months(
( ) , + - * / = < 1 0.5 'x' DATE '2020-02-29' -- /* ; " ' ${ {{ @ ALL :: $1 \ é"""
WORDS = st.sampled_from([*PIECES.split(), "\u2028", "\x00"])


class TestLaws:
    @given(st.text())
    @example("(" * 10_000)
    @example("-" * 10_000)
    @example("- " * 999 + "a")
    @example("NOT " * 999 + "p")
    @example("CASE WHEN " * 999)
    @example("a" + " + a" * 999)
    @example("'" * 9_999)
    @example("1" * 9_999)
    @example("1e999999999")
    @example("\ud800")
    def test_any_text_is_an_expression_or_refused(self, source: str) -> None:
        accept_or_refuse(source)

    @given(st.lists(WORDS, max_size=30).map(" ".join))
    def test_any_mix_of_words_is_an_expression_or_refused(self, source: str) -> None:
        accept_or_refuse(source)

    @given(st.randoms(use_true_random=False))
    def test_no_row_makes_a_feature_raise_or_give_what_is_not_finite(self, random) -> None:  # noqa: ANN001 - Hypothesis's own
        expressions = random_expressions(random, count=3)
        compiled = compile_expressions(expressions)
        for row in nasty_rows(random, count=20):
            for name, value in compiled(row).items():
                kinds = {"number": float, "text": str, "date": date, "bool": bool}
                assert value is None or type(value) is kinds[expressions[name].type]
                if isinstance(value, float):
                    assert math.isfinite(value)
                    assert math.copysign(1.0, value) == 1.0 or value != 0.0

    @given(st.floats() | st.integers() | st.decimals())
    def test_the_border_lets_nothing_through_that_could_overflow(self, value: float | Decimal) -> None:
        clean = border_number(value)
        assert clean is None or clean == 0.0 or 1e-15 <= abs(clean) <= 1e15
        assert bits(border_number(clean)) == bits(clean)

    @given(st.randoms(use_true_random=False))
    def test_values_stay_within_the_bounds_of_their_node(self, random) -> None:  # noqa: ANN001 - Hypothesis's own
        for name, expression in random_expressions(random, count=3).items():
            compiled = compile_expressions({name: expression})
            for row in nasty_rows(random, count=20):
                value = compiled(row)[name]
                if isinstance(value, float) and value:
                    lowest, highest, _ = expression.tree.magnitude
                    assert lowest * 0.999 <= abs(value) <= highest * 1.001


def accept_or_refuse(source: str) -> None:
    try:
        expression = parse_expression(source, columns=COLUMNS)
    except ExpressionError:
        pass
    else:
        assert compile_expressions({"x": expression})(dict.fromkeys(COLUMNS)).keys() == {"x"}


def evaluate(source: str, **row: object) -> object:
    expression = parse_expression(source, columns={**COLUMNS, "year": "number"})
    return compile_expressions({"x": expression})({**dict.fromkeys((*COLUMNS, "year")), **row})["x"]


class TestMeaning:
    @pytest.mark.parametrize(
        ("source", "row", "expected"),
        [
            ("a / b", {"a": 7, "b": 2}, 3.5),
            ("a / b", {"a": 1, "b": 0}, None),
            ("a / b", {"a": 1, "b": -0.0}, None),
            ("a / (b - b)", {"a": 1, "b": 3}, None),
            ("1 / 0", {}, None),
            ("a / NULLIF(b, 0)", {"a": 1, "b": 4}, 0.25),
            ("a + b", {"a": math.inf, "b": 1}, None),
            ("a + b", {"a": math.nan, "b": 1}, None),
            ("a", {"a": 2e15}, None),
            ("a", {"a": 1e-16}, 0.0),
            ("0.1 + 0.2 = 0.3", {}, False),
            ("-a * 0", {"a": 3}, 0.0),
            ("a - b - 1", {"a": 5, "b": 2}, 2.0),
            ("a - (b - 1)", {"a": 5, "b": 2}, 4.0),
            ("a + b * 2", {"a": 1, "b": 3}, 7.0),
            ("LEAST(a, b)", {"a": 1}, None),
            ("GREATEST(a, b, 2)", {"a": 1, "b": 3}, 3.0),
            ("COALESCE(a, b, 0)", {"b": 4}, 4.0),
            ("NULLIF(a, b)", {"a": 4}, 4.0),
            ("FLOOR(a)", {"a": -2.5}, -3.0),
            ("CEIL(a)", {"a": -0.5}, 0.0),
            ("ABS(a)", {"a": -2}, 2.0),
            ("LOWER(t)", {"t": "CAR İ ÉÀ"}, "car İ ÉÀ"),
            ("TRIM(t)", {"t": "  \tx\u00a0 "}, "\tx\u00a0"),
            ("full_months(d, e)", {"d": date(2021, 2, 1), "e": date(2021, 1, 31)}, 0.0),
            ("full_months(d, e)", {"d": date(2021, 2, 28), "e": date(2021, 1, 31)}, 0.0),
            ("full_months(d, e)", {"d": date(2021, 3, 31), "e": date(2021, 1, 31)}, 2.0),
            ("full_months(d, e)", {"d": date(2021, 1, 31), "e": date(2021, 2, 1)}, -1.0),
            ("days_between(d, DATE '2020-02-28')", {"d": date(2020, 3, 1)}, 2.0),
            ("YEAR(d) * 100 + MONTH(d)", {"d": date(1900, 2, 28)}, 190002.0),
            ("year + 1", {"year": 1999}, 2000.0),
            ("CASE WHEN a > 1 THEN 'x' END", {}, None),
            ("CASE WHEN NOT a > 1 THEN 'x' ELSE 'y' END", {}, "y"),
            ("CASE WHEN a > 1 THEN NULL ELSE a END", {"a": 1}, 1.0),
            ("p AND q", {"p": False}, False),
            ("p AND q", {"p": True}, None),
            ("p OR q", {"q": True}, True),
            ("p OR q", {"q": False}, None),
            ("a IN (1, -2)", {"a": -2}, True),
            ("a NOT IN (1, 2)", {}, None),
            ("t IN ('O''Brien')", {"t": "O'Brien"}, True),
            ("a BETWEEN 1 AND b", {"a": 0.5}, False),
            ("a NOT BETWEEN 1 AND 2", {"a": 3}, True),
            ("a BETWEEN 1 AND 2 AND p", {"a": 1, "p": True}, True),
            ("a IS NOT NULL", {"a": math.nan}, False),
            ("(a < b) IS NULL", {"a": 1}, True),
            ("p = (a > 1)", {"p": True, "a": 2}, True),
            ('"Odd ""na``me" * 2', {'Odd "na``me': 4}, 8.0),
        ],
    )
    def test_one_meaning(self, source: str, row: dict[str, object], expected: object) -> None:
        assert bits(evaluate(source, **row)) == bits(expected)

    def test_numbers_of_any_kind_enter_as_the_same_double(self) -> None:
        for value in (2, 2.0, Decimal(2), np.float64(2), np.float32(2), np.int64(2)):
            assert bits(evaluate("a", a=value)) == bits(2.0)
        assert evaluate("a", a=10**400) is None
        assert evaluate("a", a=Decimal("1e400")) is None

    @pytest.mark.parametrize(
        ("source", "row", "message"),
        [
            ("a", {"a": "12"}, "column 'a': expected a number, got str"),
            ("a", {"a": True}, "column 'a': expected a number, got bool"),
            ("a", {"a": np.True_}, "column 'a': expected a number, got bool"),
            ("t = 'x'", {"t": 1}, "column 't': expected a text, got int"),
            ("p", {"p": 1}, "column 'p': expected a bool, got int"),
            ("d", {"d": datetime(2020, 1, 1)}, "column 'd': expected a date, got datetime"),  # noqa: DTZ001 - the point
        ],
    )
    def test_a_value_of_another_type_is_refused(self, source: str, row: dict[str, object], message: str) -> None:
        with pytest.raises(TapeError, match=message):
            evaluate(source, **row)

    def test_an_application_without_a_column_is_refused(self) -> None:
        compiled = compile_expressions({"x": parse_expression("a + b", columns=COLUMNS)})
        with pytest.raises(TapeError, match="the application has no column 'b'"):
            compiled({"a": 1.0})

    def test_nothing_that_an_author_wrote_reaches_the_generated_source(self) -> None:
        columns = {"__import__('os')": "number", "t": "text"}
        source = """CASE WHEN "__import__('os')" > 1.5 AND t IN ('exit()', 'é') THEN '"; exit()' END"""
        expression = parse_expression(source, columns=columns)
        border = border_source(inputs_of({"x": expression}))
        closure = closure_source({"x": expression}, variables=border.variables, prefix="card_")
        text = "\n".join((*border.lines, *closure.lines))
        assert "import" not in text
        assert "exit" not in text
        assert closure.variables == {"x": "card_f0"}
        lines = (*border.lines, *closure.lines, "return card_f0")
        compiled = define_function(lines, constants={**border.constants, **closure.constants})
        assert compiled({"__import__('os')": 2, "t": "é"}) == '"; exit()'


class TestLimits:
    def test_the_smallest_difference_of_two_columns_is_within_its_bounds(self) -> None:
        row = {"a": math.nextafter(1e-15, 1.0), "b": 1e-15, "whole": 0}
        for source in ("a - b", "a - b + whole", "(a - b) - (b - a)"):
            lowest, _, _ = parse_expression(source, columns=COLUMNS).tree.magnitude
            difference = evaluate(source, **row)
            assert isinstance(difference, float)
            assert 0.0 < lowest <= difference

    def test_a_product_of_nineteen_columns_is_accepted_and_of_twenty_refused(self) -> None:
        assert evaluate(" * ".join(["a"] * 19), a=1e15) == pytest.approx(1e285)
        with pytest.raises(ExpressionError, match="beyond what numbers hold") as refusal:
            evaluate(" * ".join(["a"] * 21))
        assert "divide before multiplying" in str(refusal.value)

    def test_a_sum_of_ninety_columns_is_accepted(self) -> None:
        assert evaluate(" + ".join(["a"] * 90), a=0.5) == 45.0

    def test_the_deepest_nesting_that_is_accepted_computes(self) -> None:
        assert evaluate("(" * MAX_NESTING + "a" + ")" * MAX_NESTING, a=1) == 1.0
        deep = "a"
        for _ in range(MAX_NESTING):
            deep = f"COALESCE({deep} + 1, 0)"
        assert evaluate(deep, a=0) == MAX_NESTING
        with pytest.raises(ExpressionError, match=f"nested more than {MAX_NESTING} deep"):
            evaluate(f"({deep})")

    def test_least_of_least_of_least_is_refused_before_it_grows_out_of_hand(self) -> None:
        deep = "a"
        for _ in range(12):
            deep = f"LEAST({deep}, b)"
        with pytest.raises(ExpressionError, match="too large; split it into several features"):
            evaluate(deep)


REFUSED = {
    "": "the expression is empty",
    "   ": "the expression is empty",
    "__import__('os').system('x')": "character 17",
    "__import__('os')": "there is no function __import__",
    "(SELECT 1)": "there is no column 'SELECT'",
    "a IN (SELECT a FROM x)": "there is no column 'SELECT'",
    "EXISTS (SELECT 1)": "there is no function EXISTS",
    "(" * 10_000 + "a" + ")" * 10_000: "20001 characters",
    "(" * 999 + "a" + ")" * 999: "nested more than 32 deep",
    "+".join("a" * 1_500): "2999 words and signs",
    "@a": "character 1",
    "ALL a": "there is no column 'ALL'",
    "ALL(a)": "there is no function ALL",
    "IFNULL(a, 1)": "there is no function IFNULL",
    "NVL(a, 1)": "there is no function NVL",
    "IF(p, 1, 2)": "there is no function IF",
    "CAST(a AS INT)": "there is no function CAST",
    "a::int": "character 2",
    "LN(a)": "there is no function LN",
    "ROUND(a, 2)": "there is no function ROUND",
    "UPPER(t)": "there is no function UPPER",
    "POWER(a, 2)": "there is no function POWER",
    "RANDOM()": "there is no function RANDOM",
    "NOW()": "there is no function NOW",
    "SUM(a)": "there is no function SUM",
    "a OVER ()": "should have ended",
    "a == 1": "character 3",
    "a % 2": "character 3",
    "a || b": "character 3",
    "a; DROP TABLE x": "character 2",
    "a -- b": "character 3",
    "a /* b */": "character 3",
    "a # b": "character 3",
    "{{ a }}": "character 1",
    "{% if a %}": "character 1",
    "$1": "character 1",
    ":a": "character 1",
    "?": "character 1",
    "a.b": "character 2",
    "x.a": "character 2",
    "a[1]": "character 2",
    "`a`": "character 1",
    "*": r"character 1 \('\*'\): expected a value",
    "+a": "expected a value",
    "a\u00a0+ b": "character 2",
    "a\u2028+ b": "character 2",
    "é": "character 1",
    "'a' 'b'": "should have ended",
    "t LIKE 'a%'": "should have ended",
    "a FROM x": "should have ended",
    "a AS b": "should have ended",
    "a, b": "should have ended",
    "12abc": "character 1",
    "0x1F": "character 1",
    "1_000": "character 1",
    "1.2.3": "character 1",
    "1e400": "a size from 1e-15 to 1e15",
    "1e-400": "a size from 1e-15 to 1e15",
    "1e16": "a size from 1e-15 to 1e15",
    "'a\\b'": "no control character, backslash",
    "'a\nb'": "no control character, backslash",
    "'${x}'": "no control character, backslash",
    "'open": "character 1",
    '"open': "character 1",
    '"missing"': "there is no column 'missing'",
    "A": "there is no column 'A'",
    "DATE '2021-02-29'": "a date is DATE 'YYYY-MM-DD'",
    "DATE '2021-2-9'": "a date is DATE 'YYYY-MM-DD'",
    "DATE 'infinity'": "a date is DATE 'YYYY-MM-DD'",
    "INTERVAL '1' DAY": "there is no column 'INTERVAL'",
    "NULL": "NULL stands only after THEN or ELSE",
    "a = NULL": "NULL stands only after THEN or ELSE",
    "a IN (1, NULL)": "NULL stands only after THEN or ELSE",
    "COALESCE(a, NULL)": "NULL stands only after THEN or ELSE",
    "CASE WHEN NULL THEN 1 END": "NULL stands only after THEN or ELSE",
    "CASE WHEN p THEN NULL END": "every value of this CASE is NULL",
    "CASE a WHEN 1 THEN 2 END": "only CASE WHEN condition THEN value",
    "CASE WHEN a THEN 1 END": "WHEN needs bool here, got number",
    "CASE WHEN p THEN 1 ELSE 'x' END": "CASE needs number here, got text",
    "CASE WHEN p THEN 1": "expected END",
    "a IN (b)": "IN takes literals only",
    "a IN ()": "expected a value",
    "a IN (1, 'x')": "IN needs number here, got text",
    "p IN (TRUE)": "IN needs number or text or date here, got bool",
    "a < b < 1": "should have ended",
    "a = b = p": "should have ended",
    "a IS NULL IS NULL": "should have ended",
    "a IS TRUE": "expected NULL",
    "a NOT 1": "expected BETWEEN or IN after NOT",
    "t < 'a'": "< needs number or date here, got text",
    "t BETWEEN 'a' AND 'b'": "BETWEEN needs number or date here, got text",
    "LEAST(t, u)": "LEAST needs number or date here, got text",
    "LEAST(a)": "LEAST takes 2 or more arguments, got 1",
    "LEAST()": "LEAST needs an argument",
    "ABS(a, b)": "ABS takes 1 arguments, got 2",
    "ABS a": "there is no column 'ABS'",
    "p = 1": "= needs bool here, got number",
    "TRUE + 1": r"\+ needs number here, got bool",
    "d - e": "- needs number here, got date",
    "d = '2020-01-01'": "= needs date here, got text",
    "COALESCE(a, 'x')": "COALESCE needs number here, got text",
    "NOT a": "NOT needs bool here, got number",
    "p AND a": "AND needs bool here, got number",
    "-p": "- needs number here, got bool",
    "(a": r"expected \)",
    "a)": "should have ended",
    "a +": "the end of the expression: expected a value",
}


@pytest.mark.parametrize("source", REFUSED, ids=lambda it: repr(it[:30]))
def test_what_is_outside_the_language_is_refused_with_one_clear_message(source: str) -> None:
    with pytest.raises(ExpressionError, match=REFUSED[source]):
        parse_expression(source, columns=COLUMNS)


def test_a_refusal_says_where_and_what_is_allowed() -> None:
    with pytest.raises(ExpressionError) as refusal:
        parse_expression("loan / anual_income", columns={"loan": "number", "annual_income": "number"})
    assert str(refusal.value).startswith(
        "at character 8 ('anual_income'): there is no column 'anual_income'\n"
        "Hint: did you mean annual_income; allowed are"
    )


class TestFeaturesOfFeatures:
    def test_each_comes_after_those_it_reads(self) -> None:
        features = parse_features({"z": "y * y", "y": "a + 1", "n": "b"}, columns=COLUMNS)
        assert list(features) == ["z", "y", "n"]
        assert dependency_order(features) == ("y", "n", "z")
        assert dependency_levels(features) == (("y", "n"), ("z",))
        assert inputs_of(features) == {"a": "number", "b": "number"}
        assert compile_expressions(features)({"a": 2, "b": 1}) == {"z": 9.0, "y": 3.0, "n": 1.0}

    def test_a_circle_is_named(self) -> None:
        with pytest.raises(ExpressionError, match=r"in a circle: (x -> y -> x|y -> x -> y)"):
            parse_features({"x": "y + 1", "y": "x + 1"}, columns=COLUMNS)
        with pytest.raises(ExpressionError, match=r"in a circle: x -> x"):
            parse_features({"x": "x + 1"}, columns=COLUMNS)
        one, other = parse_expression("y", columns={"y": "number"}), parse_expression("x", columns={"x": "number"})
        with pytest.raises(ExpressionError, match=r"in a circle"):
            dependency_order({"x": one, "y": other})

    def test_a_feature_that_bears_the_name_of_a_column_is_refused(self) -> None:
        with pytest.raises(ExpressionError, match="feature 'a': there is a column of this name"):
            parse_features({"a": "b"}, columns=COLUMNS)

    def test_a_refusal_names_the_feature(self) -> None:
        with pytest.raises(ExpressionError, match="feature 'x': at character 1"):
            parse_features({"x": "nothing"}, columns=COLUMNS)
        with pytest.raises(ExpressionError, match="feature 'x': character 1"):
            parse_features({"x": "@"}, columns=COLUMNS)

    def test_the_range_of_a_feature_counts_in_those_that_read_it(self) -> None:
        product = " * ".join(["a"] * 15)
        with pytest.raises(ExpressionError, match=r"feature 'y': .*beyond what numbers hold"):
            parse_features({"x": product, "y": "x * x"}, columns=COLUMNS)

    def test_a_feature_is_not_taken_for_a_column_of_smaller_range(self) -> None:
        wide = parse_expression("a * a", columns=COLUMNS)
        naive = parse_expression("x * 2", columns={"x": "number"})
        with pytest.raises(ExpressionError, match="takes 'x' for a column, but its values range further"):
            compile_expressions({"x": wide, "y": naive})

    def test_a_feature_is_not_taken_for_another_type(self) -> None:
        text, number = parse_expression("t", columns=COLUMNS), parse_expression("x", columns={"x": "number"})
        with pytest.raises(ExpressionError, match="reads 'x' as number, but it is text"):
            compile_expressions({"x": text, "y": number})

    def test_features_agree_on_the_type_of_a_column(self) -> None:
        one, other = (parse_expression("a", columns={"a": kind}) for kind in ("text", "number"))
        with pytest.raises(ExpressionError, match="feature 'y' reads column 'a' as number, others do not"):
            compile_expressions({"x": one, "y": other})


class TestSecondOpinion:
    """On what both accept, the grammar groups operators as sqlglot's parser of SQL does."""

    @given(st.randoms(use_true_random=False), st.booleans())
    def test_operators_bind_as_in_sql(self, random, bare: bool) -> None:  # noqa: ANN001, FBT001 - Hypothesis's own
        source = Source(random).write(random.choice(("number", "bool", "text", "date")), 4)
        if bare:  # without parentheses around operations, precedence decides
            source = " ".join(
                random.choice(("a", "b", "1", "-a", "a", "- -b")) + random.choice(" +-*/") for _ in range(6)
            )
            source = source.rstrip("+-*/ ") + random.choice(
                ("", " < a + 1 OR p AND NOT q", " BETWEEN 1 AND 2 AND p OR q")
            )
        try:
            ours = parse_expression(source, columns=COLUMNS).tree
        except ExpressionError:
            return
        theirs = sqlglot.parse_one(source, read="postgres")
        assert shape(ours) == their_shape(theirs)


ARITHMETIC = {sql.Add: "add", sql.Sub: "sub", sql.Mul: "mul", sql.Div: "div", sql.And: "and", sql.Or: "or"}
COMPARISONS = {sql.EQ: "eq", sql.NEQ: "ne", sql.LT: "lt", sql.LTE: "le", sql.GT: "gt", sql.GTE: "ge"}
BINARY = ARITHMETIC | COMPARISONS


def shape(node: Node) -> str:
    """Our tree as fully grouped text; what is not an operator is only named."""
    if node.op in {"column", "literal"}:
        return "leaf"
    if node.op in BINARY.values():
        left, *rest = (shape(arg) for arg in node.args)
        for right in rest:
            left = f"({left} {node.op} {right})"
        return left
    if node.op in {"neg", "not"}:
        return f"{node.op} {shape(node.args[0])}"
    return "form"


def their_shape(node: sql.Expression) -> str:
    node = node.unnest()
    if type(node) in BINARY:
        return f"({their_shape(node.this)} {BINARY[type(node)]} {their_shape(node.expression)})"
    if isinstance(node, sql.Not) or (isinstance(node, sql.Is) and node.args.get("negate")):
        return f"not {their_shape(node.this) if isinstance(node, sql.Not) else 'form'}"
    if is_constant(node) or isinstance(node, sql.Column):
        return "leaf"
    if isinstance(node, sql.Neg):
        return f"neg {their_shape(node.this)}"
    if isinstance(node, sql.Between) and not (is_constant(node.args["low"]) and is_constant(node.args["high"])):
        value, low, high = (their_shape(it) for it in (node.this, node.args["low"], node.args["high"]))
        return f"(({value} ge {low}) and ({value} le {high}))"
    return "form"


def is_constant(node: sql.Expression) -> bool:
    node = node.unnest()
    return isinstance(node, (sql.Literal, sql.Boolean, sql.Cast)) or (
        isinstance(node, sql.Neg) and is_constant(node.this)
    )


def test_an_expression_keeps_what_was_written_and_what_it_reads() -> None:
    expression = parse_expression("b / NULLIF(a, 0)", columns=COLUMNS)
    assert isinstance(expression, Expression)
    assert (expression.source, expression.type, expression.columns) == ("b / NULLIF(a, 0)", "number", ("a", "b"))
    assert [node.op for node in walk(expression.tree)] == ["div", "column", "nullif", "column", "literal"]
    assert expression == parse_expression("b / NULLIF(a, 0)", columns=COLUMNS)
    assert hash(expression) == hash(parse_expression("b / NULLIF(a, 0)", columns=COLUMNS))


def test_a_ratio_is_one_test_and_one_formula() -> None:
    """What the module's docstring shows is what is written."""
    tree = parse_expression("a / (b + whole)", columns=COLUMNS).tree
    writer = Writer(variables={"a": "r0", "b": "r1", "whole": "r2"}, prefix="")
    writer.assign("f0", tree)
    assert writer.lines == [
        "f0 = (None if r0 is None or r1 is None or r2 is None or not (t0 := (r1 + r2)) else (r0 / t0) + 0.0)"
    ]
