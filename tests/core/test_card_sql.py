"""A card inside a database gives the integers, bins, PDs and reasons of the scorer of one application, row by row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import psycopg
import pytest
import sqlglot
from tests.models.test_smooth import card_of, frame, offered
from tests.models.worlds import make_world

from obligor.core.card_sql import card_select
from obligor.core.dialects import Dialect, quote, type_sql
from obligor.core.errors import InvalidInputError
from obligor.core.reasons import compile_reasons
from obligor.core.scorecard import Scorecard
from obligor.core.scorer import compile_card
from obligor.models.smooth import fit_smooth_card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obligor.core.syntax import ColumnType

ODD = ('select "', "it's 😀", "a\\b`c", "where")
KINDS: dict[str, ColumnType] = {"loan": "text", "income": "number", "age_of_file": "number", "housing": "text"}


def odd_card() -> Scorecard:
    """A card whose columns and levels have names that no engine likes, with codes, caps, families and a feature."""
    plain = make_world().made.card.model_dump(mode="json", by_alias=True)
    names = dict(zip(("income", "age_of_file", "housing", "loan"), ODD, strict=True))
    columns = {names.get(name, name): it for name, it in plain["applications"]["columns"].items()}
    columns[ODD[0]] |= {"missing": ["-7", "none"], "special": {"-8": "was not asked"}}
    columns[ODD[2]] |= {"missing": ["N/A"], "case": "lower", "map": {"flat\\n": "rent", "'own'": "own"}}
    plain["applications"]["columns"] = columns
    for it in plain["characteristics"]:
        it["feature"] = names[it["feature"]]
    income = plain["characteristics"][0]
    assert income["feature"] == ODD[0]
    ordinary = len(income["cuts"]) + 1
    income["specials"] = [-8.0]
    income["bins"].insert(ordinary, income["bins"][0] | {"label": "special -8", "points": -1234})
    twice = {"cuts": [0.5], "specials": [], "bins": [income["bins"][0], income["bins"][1], income["bins"][-1]]}
    plain["characteristics"].append(income | twice | {"feature": "twice", "family": "means", "reference": 300})
    income["family"] = "means"
    plain["features"] = {"twice": {"expression": f'"{ODD[0].replace(chr(34), chr(34) * 2)}" * 2'}}
    plain["caps"] = {ODD[0]: [-2.5, 2.5]}
    return Scorecard.model_validate(plain, strict=False)


def nasty_rows(card: Scorecard, names: tuple[str, ...], *, count: int) -> list[tuple[Any, ...]]:
    random = np.random.default_rng(11)
    loan, income, file, _ = names
    cuts = {it.feature: it.cuts for it in card.characteristics}
    around = [edge for cut in cuts[income] for edge in (cut, math.nextafter(cut, -9e9), math.nextafter(cut, 9e9))]
    numbers = [None, math.nan, math.inf, -math.inf, 5e-324, -0.0, 1e300, -7.0, -8.0, *around, *random.normal(size=20)]
    files = [None, -1.0, math.nan, -0.0, *cuts[file], *random.integers(-1, 40, 10).astype(float)]
    texts = [None, "", "  ", "own", " rent ", "OWN", "family", "boat", "N/A", " N/A", "flat\\n", "'own'", "Rent", "é😀"]
    return [
        (f"{loan[:1]}{at}", *(choices[random.integers(len(choices))] for choices in (numbers, files, texts)))
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def cards() -> dict[str, tuple[Scorecard, tuple[str, ...]]]:
    columns, rows = frame(6000)
    paired = card_of(fit_smooth_card(offered(), columns, rows), rows)
    assert paired.pairs
    plain = tuple(KINDS)
    return {"paired": (paired, plain), "odd": (odd_card(), (ODD[3], *ODD[:3]))}


@pytest.fixture(scope="module")
def postgres(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def answers(
    dialect: Dialect,
    card: Scorecard,
    names: tuple[str, ...],
    rows: list[tuple[Any, ...]],
    postgres: Any,
    *,
    reasons: int,
) -> list[tuple[Any, ...]]:
    typed = ", ".join(
        f"{quote(name, dialect)} {type_sql(kind, dialect)}" for name, kind in zip(names, KINDS.values(), strict=True)
    )
    query = card_select(card, table="tape", dialect=dialect, reasons=reasons)
    if dialect is Dialect.POSTGRES:
        with postgres.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS tape")
            cursor.execute(f"CREATE TABLE tape ({typed})")
            cursor.executemany("INSERT INTO tape VALUES (%s, %s, %s, %s)", rows)
            return cursor.execute(query).fetchall()
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE tape ({typed})")
        db.executemany("INSERT INTO tape VALUES (?, ?, ?, ?)", rows)
        return db.execute(query).fetchall()


@pytest.mark.parametrize("dialect", [Dialect.DUCKDB, Dialect.POSTGRES])
@pytest.mark.parametrize("name", ["paired", "odd"])
def test_every_row_is_scored_as_one_application_is(
    name: str, dialect: Dialect, cards: dict[str, tuple[Scorecard, tuple[str, ...]]], postgres: Any
) -> None:
    card, names = cards[name]
    rows = nasty_rows(card, names, count=600)
    scorer, explainer = compile_card(card), compile_reasons(card)
    found = {row[0]: row for row in answers(dialect, card, names, rows, postgres, reasons=6)}
    assert len(found) == len(rows)
    for given in rows:
        application = {key: value for key, value in zip(names, given, strict=True) if key in scorer.inputs}
        one = scorer.score(application)
        said = [it.code for it in explainer.explain(one.bins, most=6)]
        wanted = (one.score / 1000, one.score, one.pd, one.band, *one.bins, *said, *[None] * (6 - len(said)))
        assert found[given[0]][1:] == wanted, given


def test_the_rows_tell_bins_and_reasons_apart(cards: dict[str, tuple[Scorecard, tuple[str, ...]]]) -> None:
    """The comparison above would mean little if the rows fell into few bins."""
    for card, names in cards.values():
        scorer = compile_card(card)
        rows = nasty_rows(card, names, count=600)
        bins = [
            scorer.score({key: value for key, value in zip(names, row, strict=True) if key in scorer.inputs}).bins
            for row in rows
        ]
        for at, it in enumerate(card.characteristics):
            assert len({row[at] for row in bins}) >= len(it.bins) - 1


@pytest.mark.parametrize("dialect", [Dialect.SPARK, Dialect.SNOWFLAKE, Dialect.BIGQUERY])
def test_other_dialects_can_be_read_by_their_grammar(
    dialect: Dialect, cards: dict[str, tuple[Scorecard, tuple[str, ...]]]
) -> None:
    for card, _ in cards.values():
        (parsed,) = sqlglot.parse(card_select(card, table="tape", dialect=dialect), read=dialect.value)
        assert parsed is not None
        shown = [it.alias_or_name for it in parsed.selects]
        assert {"score_thousandths", "pd", "band", "reason_4"} <= set(shown)


@pytest.mark.parametrize("dialect", Dialect)
def test_names_that_no_engine_likes_are_read_as_they_stand(
    dialect: Dialect, cards: dict[str, tuple[Scorecard, tuple[str, ...]]]
) -> None:
    """Quotes, emoji, backslashes and words of SQL; DuckDB, PostgreSQL and Spark also run them."""
    card, names = cards["odd"]
    query = sqlglot.parse_one(card_select(card, table="tape", dialect=dialect), read=dialect.value)
    first = next(query.find_all(sqlglot.exp.CTE))
    assert {it.name for it in first.find_all(sqlglot.exp.Column)} == set(names)
    shown = [it.alias_or_name for it in query.selects]
    assert {names[0], *(f"bin_{name}" for name in names[1:])} <= set(shown)


@pytest.mark.parametrize("dialect", [Dialect.DUCKDB, Dialect.POSTGRES])
def test_another_order_of_columns_changes_nothing_and_one_that_lacks_is_told(
    dialect: Dialect, cards: dict[str, tuple[Scorecard, tuple[str, ...]]], postgres: Any
) -> None:
    card, names = cards["odd"]
    run = duckdb.connect().execute if dialect is Dialect.DUCKDB else postgres.cursor().execute
    run("DROP TABLE IF EXISTS given; DROP VIEW IF EXISTS turned; DROP VIEW IF EXISTS lacking")
    rows = nasty_rows(card, names, count=50)
    typed = [f"{quote(it, dialect)} {type_sql(kind, dialect)}" for it, kind in zip(names, KINDS.values(), strict=True)]
    run(f"CREATE TABLE given ({', '.join(typed)})")
    marks = "?, ?, ?, ?" if dialect is Dialect.DUCKDB else "%s, %s, %s, %s"
    for row in rows:
        run(f"INSERT INTO given VALUES ({marks})", row)
    listed = [quote(it, dialect) for it in names]
    run(f"CREATE VIEW turned AS SELECT 1 AS other, {', '.join(reversed(listed))} FROM given")
    run(f"CREATE VIEW lacking AS SELECT {', '.join(listed[:-1])} FROM given")
    whole, turned = (
        sorted(run(card_select(card, table=it, dialect=dialect)).fetchall(), key=str) for it in ("given", "turned")
    )
    assert whole == turned
    with pytest.raises((duckdb.BinderException, psycopg.errors.UndefinedColumn)) as caught:
        run(card_select(card, table="lacking", dialect=dialect))
    assert names[-1] in str(caught.value)
    run("DROP VIEW turned; DROP VIEW lacking; DROP TABLE given")


def test_a_number_that_comes_as_text_is_one_where_it_can_be(
    cards: dict[str, tuple[Scorecard, tuple[str, ...]]],
) -> None:
    card, names = cards["odd"]
    listed = ", ".join(quote(it, Dialect.DUCKDB) for it in names)

    def scored(income: str) -> list[tuple[Any, ...]]:
        relation = f"(VALUES ('x', {income}, 3.0, 'own')) AS tape({listed})"
        with duckdb.connect() as db:
            return db.execute(card_select(card, table=relation, dialect=Dialect.DUCKDB)).fetchall()

    assert scored("1.5") == scored("' 1.5'")
    with pytest.raises(duckdb.ConversionException):
        scored("'much'")


def test_a_backslash_stays_one_where_an_engine_reads_it_as_a_mark(
    cards: dict[str, tuple[Scorecard, tuple[str, ...]]],
) -> None:
    card, _ = cards["odd"]
    assert "'flat\\\\n'" in card_select(card, table="tape", dialect=Dialect.SPARK)
    assert "'flat\\n'" in card_select(card, table="tape", dialect=Dialect.POSTGRES)


def test_a_card_over_histories_is_refused_by_the_name_of_its_feature() -> None:
    plain = make_world().made.card.model_dump(mode="json", by_alias=True)
    columns = {
        "loan": {"type": "text"},
        "day": {"type": "date"},
        "amount": {"type": "number"},
    }
    plain["histories"] = {"payments": {"columns": columns, "key": ["loan", "loan"], "event_at": "day"}}
    plain["applications"]["columns"]["applied"] = {"type": "date", "role": ["applied_at"], "required": True}
    plain["features"] = {"paid": {"history": "payments", "aggregate": "sum", "expression": "amount"}}
    plain["characteristics"][0]["feature"] = "paid"
    card = Scorecard.model_validate(plain, strict=False)
    with pytest.raises(InvalidInputError, match="'paid' reads the history 'payments'"):
        card_select(card, table="tape", dialect=Dialect.DUCKDB)


def test_an_identifier_with_the_name_of_a_result_is_refused() -> None:
    plain = make_world().made.card.model_dump(mode="json", by_alias=True)
    plain["applications"]["columns"]["Score"] = {"type": "text", "role": ["identifier"]}
    with pytest.raises(InvalidInputError, match="would be called"):
        card_select(Scorecard.model_validate(plain, strict=False), table="tape", dialect=Dialect.DUCKDB)
