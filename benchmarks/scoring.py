"""Scoring a Parquet tape of 50 columns into Parquet, with score, PD, band and four reasons, beside OptBinning on a frame.

OptBinning starts from a frame in memory, writes nothing and gives no reasons; its score and its PD are two calls.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.data import synthetic
from benchmarks.measuring import Measured, measure

ROWS, QUICK_ROWS = 1_000_000, 200_000
FITTED_ROWS = 60_000
CHARACTERISTICS = 20
ROW_GROUP = 131_072


def run(*, quick: bool) -> dict[str, object]:
    """Measure both in processes of their own; ``quick`` takes a fifth of the rows, and not ten times as many."""
    rows = QUICK_ROWS if quick else ROWS
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        os.environ |= {"OBLIGOR_DATA": str(folder / "data"), "OBLIGOR_MLFLOW_URI": "off"}
        names = _make_card(folder)
        _write_tape(folder / "one.parquet", rows, times=1)
        ours = measure(partial(_ready, folder / "one.parquet", folder), _score)
        inside = measure(partial(_ready, folder / "one.parquet", folder), _score_in_duckdb)
        many: Measured | None = None
        if not quick:
            _write_tape(folder / "ten.parquet", rows, times=10)
            many = measure(partial(_ready, folder / "ten.parquet", folder), _score)
        score, pd = (
            measure(partial(_prepare_theirs, rows, names, call), _theirs) for call in ("score", "predict_proba")
        )
    print(f"{rows:,} rows x 50 columns, {len(names)} characteristics")
    print(f"{'obligor':<26}{ours.seconds:>8.2f} s{ours.extra_mb:>8.0f} MB")
    print(f"{'the card as SQL, DuckDB':<26}{inside.seconds:>8.2f} s{inside.extra_mb:>8.0f} MB")
    if many:
        print(f"{'obligor, ten times':<26}{many.seconds:>8.2f} s{many.extra_mb:>8.0f} MB")
    print(f"{'optbinning score':<26}{score.seconds:>8.2f} s{score.extra_mb:>8.0f} MB")
    print(f"{'optbinning predict_proba':<26}{pd.seconds:>8.2f} s{pd.extra_mb:>8.0f} MB")
    return {
        "rows": rows,
        "characteristics": len(names),
        "rows_per_s": round(rows / ours.seconds),
        "optbinning_rows_per_s": round(rows / (score.seconds + pd.seconds)),
        "ratio_vs_optbinning": round((score.seconds + pd.seconds) / ours.seconds, 2),
        "ratio_vs_optbinning_score_alone": round(score.seconds / ours.seconds, 2),
        "duckdb_sql_rows_per_s": round(rows / inside.seconds),
        "peak_mb_1m": None if quick else round(ours.extra_mb, 1),
        "peak_mb_10m": None if many is None else round(many.extra_mb, 1),
        "rows_per_s_10m": None if many is None else round(10 * rows / many.seconds),
    }


def _make_card(folder: Path) -> list[str]:
    """Make a card by the main job, and name its characteristics."""
    from obligor.bootstrap import load_card, run_tape
    from obligor.progress import Silence

    x, bad = synthetic(FITTED_ROWS)
    x.assign(loan_id=[f"L{at}" for at in range(len(x))], bad=bad).to_parquet(folder / "train.parquet")
    said = {
        "schema": "obligor/contract/1",
        "name": "synthetic",
        "applications": {
            "columns": {
                "loan_id": {"type": "text", "role": "identifier"},
                **{name: {"type": "number" if name[0] == "n" else "text", "role": "predictor"} for name in x},
                "bad": {"type": "number", "role": "outcome"},
            }
        },
        "outcome": {"window_months": 12, "status": {"column": "bad", "good": [0], "bad": [1]}},
        "split": {"random": {}},
        "model": {"max_characteristics": CHARACTERISTICS},
    }
    contract = folder / "contract.yaml"
    contract.write_text(yaml.safe_dump(said, sort_keys=False))
    run_tape(str(folder / "train.parquet"), contract=contract, out=folder / "out", progress=Silence())
    return [it.feature for it in load_card(folder / "out" / "scorecard.json").characteristics]


def _write_tape(path: Path, rows: int, *, times: int) -> None:
    x, _ = synthetic(rows)
    table = pa.Table.from_pandas(x.assign(loan_id=[f"L{at}" for at in range(rows)]), preserve_index=False)
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(times):
            writer.write_table(table, row_group_size=ROW_GROUP)


def _ready(tape: Path, folder: Path) -> tuple[Path, Path]:
    import obligor.serving.scoring.batch  # noqa: F401  a service has imported it

    return tape, folder


def _score(given: object) -> None:
    from obligor.bootstrap import score_tape
    from obligor.progress import Silence

    tape, folder = given
    score_tape(
        str(tape), card=folder / "out" / "scorecard.json", out=folder / "s.parquet", reasons=4, progress=Silence()
    )


def _score_in_duckdb(given: object) -> None:
    import duckdb

    from obligor.bootstrap import load_card
    from obligor.core.card_sql import card_select
    from obligor.core.dialects import Dialect

    tape, folder = given
    query = card_select(
        load_card(folder / "out" / "scorecard.json"), table=f"read_parquet('{tape}')", dialect=Dialect.DUCKDB
    )
    with duckdb.connect(config={"threads": 2}) as db:
        db.execute("SET enable_progress_bar = false")
        db.execute(f"COPY ({query}) TO '{folder / 'sql.parquet'}' (COMPRESSION zstd)")


def _prepare_theirs(rows: int, names: list[str], call: str) -> object:
    from benchmarks.peers import optbinning_card

    x, bad = synthetic(FITTED_ROWS)
    card = optbinning_card(x[names], bad)
    frame = synthetic(rows)[0][names]
    getattr(card, call)(frame.head(1000))
    return card, call, frame


def _theirs(given: object) -> None:
    card, call, frame = given
    getattr(card, call)(frame)
