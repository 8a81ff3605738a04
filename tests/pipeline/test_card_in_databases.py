"""On real tapes a card gives the same everywhere: every row, every bin, every reason, in a batch and in each engine."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow.parquet as pq
import pytest

from obligor.bootstrap import card_as_python, load_card, run_tape, score_frame, score_tape
from obligor.core.card_sql import card_select
from obligor.core.dialects import Dialect, quote, type_sql
from obligor.core.snapshot import requests_for
from obligor.ingestion.snapshots import in_place
from obligor.ingestion.sources import LocalSource
from obligor.preprocessing.engine import connect
from obligor.preprocessing.tape import read_tape
from obligor.progress import Silence

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from obligor.core.scorecard import Scorecard

TAPES = {
    "lendingclub-2007-2011": "lendingclub_2007_2011/LoanStats3a_2007_2011.csv.gz",
    "uci-taiwan": "uci_taiwan_credit_card/default_of_credit_card_clients.csv.gz",
}
CARDS = [(name, recipe) for name in TAPES for recipe in ("classical", "smooth")]
REASONS = ("reason_1", "reason_2", "reason_3", "reason_4")
pytestmark = pytest.mark.datasets


@dataclass(frozen=True)
class Scored:
    """A card of a real tape, the tape as values, and what a batch says of every row, in their order."""

    card: Scorecard
    path: Path
    values: Path
    """A Parquet file: the place of each row, and the columns of the card."""
    shown: tuple[str, ...]
    batch: list[tuple[Any, ...]]

    def query(self, dialect: Dialect, relation: str) -> str:
        """Write the SELECT of what the batch says, in the order of the rows."""
        listed = ", ".join(quote(it, dialect) for it in self.shown)
        return f"SELECT {listed} FROM ({card_select(self.card, table=relation, dialect=dialect)}) q"


@pytest.fixture(scope="module", params=CARDS, ids="-".join)
def scored(
    request: pytest.FixtureRequest, datasets: Path, contracts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Scored:
    name, recipe = request.param
    folder, tape = tmp_path_factory.mktemp(name), datasets / TAPES[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBLIGOR_DATA", str(folder / "data"))
        patch.setenv("OBLIGOR_MLFLOW_URI", "off")
        (folder / "c.yaml").write_text((contracts / f"{name}.yaml").read_text() + f"\nmodel: {{recipe: {recipe}}}\n")
        run_tape(str(tape), contract=folder / "c.yaml", out=folder / "out", progress=Silence())
        path = folder / "out" / "scorecard.json"
        score_tape(str(tape), card=path, out=folder / "s.parquet", reasons=4, bins=True, progress=Silence())
    card = load_card(path)
    with (
        in_place(LocalSource(tape), requests_for(card.applications, card.histories)) as snapshot,
        connect(folder / "engine") as db,
    ):
        read_tape(db, snapshot, applications=card.applications, histories={})
        db.execute(f"COPY (SELECT * FROM applications ORDER BY _row) TO '{folder / 'values.parquet'}'")
    shown = ("score_thousandths", "pd", "band", *(f"bin_{it.feature}" for it in card.characteristics), *REASONS)
    found = pq.read_table(folder / "s.parquet").select(list(shown))
    return Scored(card, path, folder / "values.parquet", shown, rows_of(found.columns))


def rows_of(columns: list[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def test_duckdb_says_what_the_batch_says(scored: Scored, tmp_path: Path) -> None:
    with connect(tmp_path) as db:
        query = scored.query(Dialect.DUCKDB, f"(SELECT * FROM read_parquet('{scored.values}'))")
        assert db.sql(query).fetchall() == scored.batch


def test_postgres_says_what_the_batch_says(scored: Scored, postgres_url: str) -> None:
    columns = scored.card.applications.columns
    typed = ", ".join(
        f"{quote(it, Dialect.POSTGRES)} {type_sql(each.type, Dialect.POSTGRES)}" for it, each in columns.items()
    )
    held = pq.read_table(scored.values, columns=["_row", *columns])
    with psycopg.connect(postgres_url, autocommit=True) as postgres, postgres.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS tape; CREATE TABLE tape (place INT, {typed}); SET jit = off")
        with cursor.copy("COPY tape FROM STDIN") as copy:
            for row in rows_of(held.columns):
                copy.write_row(row)
        query = scored.query(Dialect.POSTGRES, "(SELECT * FROM tape ORDER BY place) t")
        assert cursor.execute(query).fetchall() == scored.batch


@pytest.mark.spark
@pytest.mark.timeout(900)  # twice forty thousand rows of long SQL, where others share the machine
def test_spark_says_what_the_batch_says_by_sql_and_by_columns(scored: Scored, spark: SparkSession) -> None:
    tape = spark.read.parquet(str(scored.values)).coalesce(1)
    tape.createOrReplaceTempView("tape")
    inside = spark.sql(scored.query(Dialect.SPARK, "tape")).toArrow()
    assert rows_of(inside.columns) == scored.batch
    columnar = score_frame(tape, card=scored.path).select(*(quote(it, Dialect.SPARK) for it in scored.shown)).toArrow()
    assert rows_of(columnar.columns) == scored.batch


def test_a_python_file_that_needs_nothing_says_what_the_batch_says(scored: Scored, tmp_path: Path) -> None:
    card_as_python(scored.path, reasons=4, out=tmp_path / "scorer.py")
    held = pq.read_table(scored.values, columns=list(scored.card.applications.columns)).to_pylist()
    with (tmp_path / "tape.jsonl").open("w") as out:
        out.writelines(json.dumps(row, default=date.isoformat) + "\n" for row in held)
    with (tmp_path / "tape.jsonl").open() as given:
        command = [sys.executable, "-I", "-S", str(tmp_path / "scorer.py")]
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=True)
    for line, row in zip(done.stdout.splitlines(), scored.batch, strict=True):
        said = json.loads(line)
        reasons = [it["code"] for it in said["reasons"]]
        answer = (said["score_thousandths"], said["pd"], said["band"], *said["bins"].values(), *reasons)
        assert (*answer, *[None] * (4 - len(reasons))) == row
