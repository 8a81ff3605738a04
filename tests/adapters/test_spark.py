"""Spark says of every application what a batch and the scorer in process say, by generated SQL and by the columnar scorer."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.core.expression_cases import (
    COLUMNS,
    differences,
    evaluate_in_python,
    random_expressions,
    seeded,
)
from tests.core.expression_cases import nasty_rows as expression_rows
from tests.core.test_card_sql import KINDS, ODD, nasty_rows, odd_card
from tests.models.test_smooth import card_of, frame, offered

from obligor.bootstrap import score_frame, score_tape
from obligor.core.card_sql import card_select
from obligor.core.dialects import Dialect, emit_select
from obligor.core.errors import InvalidInputError, TapeError
from obligor.core.expressions import parse_features
from obligor.core.reasons import compile_reasons
from obligor.core.scorer import compile_card
from obligor.models.smooth import fit_smooth_card
from obligor.progress import Silence

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from tests.conftest import LenderRun

    from obligor.core.scorecard import Scorecard

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

NAMES = (ODD[3], *ODD[:3])
ARROW = {"number": pa.float64(), "text": pa.string(), "date": pa.date32(), "bool": pa.bool_()}


@pytest.fixture(scope="module")
def odd() -> Scorecard:
    return odd_card()


def tape_of(card: Scorecard, names: tuple[str, ...], *, count: int = 600) -> pa.Table:
    rows = nasty_rows(card, names, count=count)
    columns = [[row[at] for row in rows] for at in range(len(names))]
    kinds = KINDS.values()
    arrays = [pa.array(it, ARROW[kind], from_pandas=False) for it, kind in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=list(names))


def one_by_one(card: Scorecard, table: pa.Table, *, reasons: int) -> dict[Any, tuple[Any, ...]]:
    scorer, explainer = compile_card(card), compile_reasons(card)
    found = {}
    for row in table.to_pylist():
        one = scorer.score({name: row[name] for name in scorer.inputs})
        said = [it.code for it in explainer.explain(one.bins, most=reasons)]
        said += [None] * (reasons - len(said))
        found[row[table.column_names[0]]] = (one.score / 1000, one.score, one.pd, one.band, *one.bins, *said)
    return found


def on_disk(spark: SparkSession, table: pa.Table, folder: Path) -> DataFrame:
    """A frame in a file: what is in memory Spark may compute while it plans, by other code."""
    pq.write_table(table, folder / "frame.parquet")
    return spark.read.parquet(str(folder / "frame.parquet"))


def by_identifier(frame: DataFrame) -> dict[Any, tuple[Any, ...]]:
    return {row[0]: tuple(row[1:]) for row in frame.collect()}


def in_batch(path: Path, card: Path, **wanted: Any) -> dict[Any, tuple[Any, ...]]:
    out = path.with_suffix(".scored")
    score_tape(str(path), card=card, out=out, progress=Silence(), **wanted)
    return {row[0]: row[1:] for row in zip(*(it.to_pylist() for it in pq.read_table(out).columns), strict=True)}


@pytest.fixture
def card_file(odd: Scorecard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    (tmp_path / "card.json").write_bytes(odd.to_json())
    return tmp_path / "card.json"


# --- generated SQL -----------------------------------------------------------------------------------------------


def test_the_card_as_sql_scores_every_row_as_one_application_is(
    spark: SparkSession, odd: Scorecard, tmp_path: Path
) -> None:
    columns, rows = frame(6000)
    paired = card_of(fit_smooth_card(offered(), columns, rows), rows)
    for card, names in ((paired, tuple(KINDS)), (odd, NAMES)):
        table = tape_of(card, names)
        on_disk(spark, table, tmp_path).createOrReplaceTempView("tape")
        query = card_select(card, table="tape", dialect=Dialect.SPARK, reasons=6)
        assert by_identifier(spark.sql(query)) == one_by_one(card, table, reasons=6)


def test_compiled_sql_gives_the_same(spark: SparkSession, odd: Scorecard, tmp_path: Path) -> None:
    """Spark compiles queries where it is not told otherwise, as the other tests do to save time."""
    table = tape_of(odd, NAMES, count=100)
    other = spark.newSession()
    other.conf.set("spark.sql.codegen.wholeStage", "true")
    other.conf.set("spark.sql.codegen.factoryMode", "CODEGEN_ONLY")
    on_disk(other, table, tmp_path).createOrReplaceTempView("tape")
    query = card_select(odd, table="tape", dialect=Dialect.SPARK, reasons=4)
    assert by_identifier(other.sql(query)) == one_by_one(odd, table, reasons=4)


def test_expressions_give_the_bits_of_python(spark: SparkSession, tmp_path: Path) -> None:
    rows = expression_rows(seeded(42), count=200)
    kinds = {name: pa.int64() if name == "whole" else ARROW[kind] for name, kind in COLUMNS.items()}
    arrays = [pa.array([row[name] for row in rows], kind, from_pandas=False) for name, kind in kinds.items()]
    table = pa.table([pa.array(range(len(rows))), *arrays], names=["id", *kinds])
    on_disk(spark, table, tmp_path).createOrReplaceTempView("nasty")
    for seed in range(2):
        expressions = random_expressions(seeded(seed), count=60, depth=5)
        query = emit_select(expressions, table="nasty", dialect=Dialect.SPARK, inputs=COLUMNS, passthrough=["id"])
        found = by_identifier(spark.sql(query))
        got = [found[at] for at in range(len(rows))]
        assert differences(evaluate_in_python(expressions, rows), got, names=list(expressions)) == []


def test_a_number_too_large_for_sparks_integers_is_rounded_all_the_same(spark: SparkSession) -> None:
    expressions = parse_features(
        {"down": "FLOOR(a * b)", "up": "CEIL(a * b)", "twice": "FLOOR(CEIL(a * b) / 3)"}, columns=COLUMNS
    )
    rows = [
        {"id": at, "a": a, "b": b} for at, (a, b) in enumerate([(1e15, -1e15), (2.5, 1.0), (-2.5, 1.0), (None, 1.0)])
    ]
    spark.createDataFrame(rows, "id INT, a DOUBLE, b DOUBLE").createOrReplaceTempView("nasty")
    query = emit_select(expressions, table="nasty", dialect=Dialect.SPARK, inputs=COLUMNS, passthrough=["id"])
    got = [found for _, found in sorted(by_identifier(spark.sql(query)).items())]
    assert differences(evaluate_in_python(expressions, rows), got, names=list(expressions)) == []


def test_sql_over_a_table_that_lacks_a_column_names_it(spark: SparkSession, odd: Scorecard) -> None:
    from pyspark.errors import AnalysisException

    spark.createDataFrame(tape_of(odd, NAMES, count=1).drop_columns([ODD[1]])).createOrReplaceTempView("tape")
    with pytest.raises(AnalysisException, match=ODD[1]):
        spark.sql(card_select(odd, table="tape", dialect=Dialect.SPARK))


# --- the columnar scorer -----------------------------------------------------------------------------------------


def test_a_frame_is_scored_as_a_batch_is_whatever_its_order_and_partitions(
    spark: SparkSession, odd: Scorecard, card_file: Path, tmp_path: Path
) -> None:
    table = tape_of(odd, NAMES, count=2000)
    pq.write_table(table, tmp_path / "tape.parquet")
    from pyspark.sql.functions import lit

    wanted = in_batch(tmp_path / "tape.parquet", card_file, reasons=6, bins=True, points=True)
    frame = spark.createDataFrame(table)
    turned = frame.select(*(f"`{name.replace('`', '``')}`" for name in NAMES[::-1])).repartition(7)
    for given in (frame, turned.withColumn("other.column", lit(1))):
        scored = score_frame(given, card=card_file, reasons=6, points=True)
        assert {key: row[:-1] for key, row in by_identifier(scored).items()} == wanted
        assert scored.columns[-1] == "unreadable"
    bins = [name for name in scored.columns if name.startswith("bin_")]
    assert bins == [f"bin_{it.feature}" for it in odd.characteristics]


def test_text_is_read_as_a_tape_s_is_and_what_cannot_be_read_is_named(
    spark: SparkSession, odd: Scorecard, card_file: Path, tmp_path: Path
) -> None:
    plain = tape_of(odd, NAMES, count=400)
    texts = [None if it is None else repr(it) for it in plain[ODD[0]].to_pylist()]
    texts[3:7] = ["1e400", "12 thousand", "none", " 1.5 "]
    table = plain.set_column(plain.column_names.index(ODD[0]), ODD[0], pa.array(texts))
    pq.write_table(table, tmp_path / "tape.parquet")
    scored = by_identifier(score_frame(spark.createDataFrame(table), card=card_file, reasons=2, bins=False))
    assert {key: row[:-1] for key, row in scored.items()} == in_batch(tmp_path / "tape.parquet", card_file, reasons=2)
    ids = plain[NAMES[0]].to_pylist()
    assert scored[ids[3]][-1] == scored[ids[4]][-1] == [ODD[0]]
    assert scored[ids[5]][-1] is scored[ids[6]][-1] is None


def test_a_frame_that_does_not_fit_is_refused_before_any_row_is_read(
    spark: SparkSession, odd: Scorecard, card_file: Path
) -> None:
    table = tape_of(odd, NAMES, count=3)
    lacking = spark.createDataFrame(table.drop_columns([ODD[1]]))
    with pytest.raises(TapeError, match=f"the frame has the column '{ODD[1]}' 0 times"):
        score_frame(lacking, card=card_file)
    capital = spark.createDataFrame(table.rename_columns([NAMES[0], ODD[0].upper(), *ODD[1:3]]))
    with pytest.raises(TapeError, match="has the column 'select \"' 0 times"):
        score_frame(capital, card=card_file)
    twice = spark.createDataFrame(table).toDF("a", "b", "c", "d").toDF(NAMES[0], *ODD[:2], ODD[1])
    with pytest.raises(TapeError, match="2 times"):
        score_frame(twice.withColumnsRenamed({}), card=card_file)
    days = pa.array([date(2020, 1, 1)] * 3)
    dated = spark.createDataFrame(table.set_column(1, ODD[0], days))
    with pytest.raises(TapeError, match=f"column '{ODD[0]}' holds DATE in the file; wanted .* a number"):
        score_frame(dated, card=card_file)


def test_a_frame_without_rows_gives_none(spark: SparkSession, odd: Scorecard, card_file: Path) -> None:
    empty = spark.createDataFrame(tape_of(odd, NAMES, count=1)).filter("false")
    assert score_frame(empty, card=card_file).collect() == []


def test_a_card_that_reads_a_history_is_refused(spark: SparkSession, lender_run: LenderRun) -> None:
    with pytest.raises(InvalidInputError, match="reads the history"):
        score_frame(spark.range(1), card=lender_run.out / "scorecard.json")
