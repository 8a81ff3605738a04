"""On real tapes a card gives the same in DuckDB, in PostgreSQL and in a batch: every row, every bin, every reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pyarrow.parquet as pq
import pytest

from obligor.bootstrap import load_card, run_tape, score_tape
from obligor.core.card_sql import card_select
from obligor.core.dialects import Dialect, quote, type_sql
from obligor.core.snapshot import requests_for
from obligor.ingestion.snapshots import in_place
from obligor.ingestion.sources import LocalSource
from obligor.preprocessing.engine import connect
from obligor.preprocessing.tape import read_tape
from obligor.telemetry import Silence

if TYPE_CHECKING:
    from pathlib import Path

TAPES = {
    "lendingclub-2007-2011": "lendingclub_2007_2011/LoanStats3a_2007_2011.csv.gz",
    "uci-taiwan": "uci_taiwan_credit_card/default_of_credit_card_clients.csv.gz",
}
REASONS = ("reason_1", "reason_2", "reason_3", "reason_4")


@pytest.mark.datasets
@pytest.mark.parametrize("recipe", ["classical", "smooth"])
@pytest.mark.parametrize("name", TAPES)
def test_a_real_tape_scores_alike_in_a_batch_and_in_both_databases(
    name: str,
    recipe: str,
    datasets: Path,
    contracts: Path,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_MLFLOW_URI", "off")
    (tmp_path / "c.yaml").write_text((contracts / f"{name}.yaml").read_text() + f"\nmodel: {{recipe: {recipe}}}\n")
    tape = datasets / TAPES[name]
    run_tape(str(tape), contract=tmp_path / "c.yaml", out=tmp_path / "out", progress=Silence())
    path = tmp_path / "out" / "scorecard.json"
    score_tape(str(tape), card=path, out=tmp_path / "s.parquet", reasons=4, progress=Silence())
    batch = pq.read_table(tmp_path / "s.parquet").select(["score_thousandths", "pd", "band", *REASONS]).to_pylist()
    card = load_card(path)
    columns = card.applications.columns
    listed = ", ".join(quote(it, Dialect.DUCKDB) for it in columns)
    with (
        in_place(LocalSource(tape), requests_for(card.applications, card.histories)) as snapshot,
        connect(tmp_path / "engine") as db,
        psycopg.connect(postgres_url, autocommit=True) as postgres,
    ):
        read_tape(db, snapshot, applications=card.applications, histories={})
        wanted = ", ".join(("score_thousandths", "pd", "band", *REASONS))
        query = card_select(card, table="applications", dialect=Dialect.DUCKDB)
        duck = db.cursor().sql(f"SELECT {wanted} FROM ({query})").fetchall()
        assert duck == [tuple(row.values()) for row in batch]
        typed = ", ".join(
            f"{quote(it, Dialect.POSTGRES)} {type_sql(each.type, Dialect.POSTGRES)}" for it, each in columns.items()
        )
        with postgres.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS tape; CREATE TABLE tape (place INT, {typed})")
            with cursor.copy("COPY tape FROM STDIN") as copy:
                for row in db.cursor().sql(f"SELECT _row, {listed} FROM applications LIMIT 5000").fetchall():
                    copy.write_row(row)
            query = card_select(card, table="(SELECT * FROM tape ORDER BY place) t", dialect=Dialect.POSTGRES)
            found = cursor.execute(f"SELECT {wanted} FROM ({query}) q").fetchall()
        assert found == duck[:5000]
