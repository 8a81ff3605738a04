"""A batch gives each application the score of the one-by-one scorer, in the order of the tape, whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.models.worlds import World, make_world

from obligor.core.columnar import principal_reasons
from obligor.core.columns import Table
from obligor.core.errors import InvalidInputError, SourceError, TapeError, UnavailableError
from obligor.core.reasons import compile_reasons, shortfalls_of
from obligor.core.scorecard import parse_card
from obligor.core.scorer import compile_card
from obligor.ingestion import snapshots
from obligor.ingestion.sources import LocalSource
from obligor.progress import Silence
from obligor.serving.scoring import batch, parts
from obligor.serving.scoring.columnar import Wanted
from obligor.serving.scoring.frames import frame_scorer
from obligor.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import LenderRun

    from obligor.core.scorecard import Scorecard


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def frame(world: World) -> pd.DataFrame:
    columns = {name: world.frame.columns[name].copy() for name in ("income", "age_of_file", "housing")}
    frame = pd.DataFrame({"loan": [f"L{at}" for at in range(len(world.rows.bad))], **columns})
    frame.loc[:4, "housing"] = ["boat", None, "own", "rent", "OWN"]
    cuts = [cut for it in world.made.card.characteristics if it.feature == "income" for cut in it.cuts]
    frame.loc[10 : 9 + len(cuts), "income"] = cuts
    frame.loc[30 : 29 + len(cuts), "income"] = np.nextafter(cuts, -np.inf)
    return frame


def score(tape: Path, out: Path, card: Scorecard, **wanted: Any) -> batch.BatchResult:
    settings = read_settings({"OBLIGOR_DATA": str(out.parent / "data"), "OBLIGOR_MLFLOW_URI": "off"})
    work = out.parent / "work"
    work.mkdir(exist_ok=True)
    for left in work.iterdir():
        if left.is_file():
            left.unlink()
    return batch.score_source(
        LocalSource(tape),
        card=card,
        out=out,
        work=work,
        settings=settings,
        progress=Silence(),
        wanted=Wanted(**wanted),
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz"])
def test_a_batch_is_the_one_by_one_scorer_row_by_row(
    form: str, world: World, frame: pd.DataFrame, tmp_path: Path
) -> None:
    card = world.made.card
    tape = tmp_path / f"tape.{form}"
    frame.to_parquet(tape) if form == "parquet" else frame.to_csv(tape, index=False)
    result = score(tape, tmp_path / "s.parquet", card, reasons=3, points=True)
    scored = rows_of(tmp_path / "s.parquet")
    scorer, reasons = compile_card(card), compile_reasons(card)
    assert [row["loan"] for row in scored] == frame["loan"].tolist()
    for row, given in zip(scored, frame.to_dict("records"), strict=True):
        said = {name: None if pd.isna(value) else value for name, value in given.items()}
        one = scorer.score(said)
        assert (row["score_thousandths"], row["pd"], row["band"]) == (one.score, one.pd, one.band)
        assert tuple(row[f"points_{it.feature}"] for it in card.characteristics) == one.points
        found = [it.code for it in reasons.explain(one.bins, most=3)]
        assert [row[f"reason_{at + 1}"] for at in range(3)] == found + [None] * (3 - len(found))
    assert result.rows == len(frame)
    assert sum(result.bands.values()) == len(frame)
    assert result.unseen == {"housing": 2}
    assert result.pd_mean == pytest.approx(np.mean([row["pd"] for row in scored]))


def test_the_order_of_columns_and_other_columns_do_not_matter(
    world: World, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.to_parquet(tmp_path / "one.parquet")
    frame[frame.columns[::-1]].assign(other=1).to_parquet(tmp_path / "other.parquet")
    for name in ("one", "other"):
        score(tmp_path / f"{name}.parquet", tmp_path / f"{name}.out", world.made.card, reasons=4)
    assert (tmp_path / "one.out").read_bytes() == (tmp_path / "other.out").read_bytes()


def test_a_tape_that_lacks_a_column_is_refused_and_leaves_nothing(
    world: World, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.drop(columns="income").rename(columns={"housing": "Housing"}).to_parquet(tmp_path / "tape.parquet")
    with pytest.raises(TapeError, match="not the columns 'income', 'housing'"):
        score(tmp_path / "tape.parquet", tmp_path / "s.parquet", world.made.card)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".parts", "s.parquet"))]


def test_numbers_that_come_as_text_are_read_and_what_cannot_be_read_is_counted(
    world: World, frame: pd.DataFrame, tmp_path: Path
) -> None:
    texts = frame.assign(income=frame["income"].map(lambda it: "" if pd.isna(it) else repr(it)))
    texts.to_parquet(tmp_path / "texts.parquet")
    texts.loc[7:8, "income"] = ["12 thousand", "n/a"]
    texts.to_parquet(tmp_path / "worse.parquet")
    numbers = frame.copy()
    numbers.to_parquet(tmp_path / "numbers.parquet")
    results = {
        name: score(tmp_path / f"{name}.parquet", tmp_path / f"{name}.out", world.made.card)
        for name in ("texts", "worse", "numbers")
    }
    assert (tmp_path / "texts.out").read_bytes() == (tmp_path / "numbers.out").read_bytes()
    assert results["texts"].unreadable == {}
    assert results["worse"].unreadable == {"income": 2}
    assert any("income: 2 cells cannot be read" in line for line in results["worse"].lines())


def test_a_value_that_is_refused_counts_as_one_that_cannot_be_read(
    world: World, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """A batch and the columns of a frame agree on what the doors refuse."""
    columns = world.made.card.applications.columns
    income = columns["income"].model_copy(update={"min": -1e3, "max": 1e12, "beyond": "refuse"})
    limited = Table(columns={**columns, "income": income})
    card = world.made.card.model_copy(update={"applications": limited})
    frame.loc[7:8, "income"] = [-5e3, 1e13]
    frame.to_parquet(tmp_path / "tape.parquet")
    frame.to_csv(tmp_path / "tape.csv", index=False)
    found = [score(tmp_path / f"tape.{it}", tmp_path / f"{it}.out", card) for it in ("parquet", "csv")]
    assert [it.unreadable for it in found] == [{"income": 2}] * 2
    assert (tmp_path / "parquet.out").read_bytes() == (tmp_path / "csv.out").read_bytes()
    missing = frame.assign(income=frame["income"].mask(frame.index.isin([7, 8])))
    missing.to_parquet(tmp_path / "missing.parquet")
    assert score(tmp_path / "missing.parquet", tmp_path / "missing.out", card).unreadable == {}
    assert (tmp_path / "missing.out").read_bytes() == (tmp_path / "parquet.out").read_bytes()
    scorer = frame_scorer(card, Wanted())
    batches = pa.Table.from_pandas(frame[list(scorer.columns)]).to_batches()
    rows = [row for it in scorer(batches) for row in it.to_pylist()]
    assert [row["unreadable"] for row in rows] == [["income"] if at in (7, 8) else None for at in range(len(rows))]
    assert [row["score"] for row in rows] == [row["score"] for row in rows_of(tmp_path / "parquet.out")]
    frame.assign(income=-1e6).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(TapeError, match=r"none of the .* values of 'income' can be read; wanted a number within"):
        score(tmp_path / "none.parquet", tmp_path / "none.out", card)


def test_a_tape_as_the_continent_writes_it_scores_as_any_other(
    world: World, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """The card says how the file that it was made from writes numbers and letters; typed columns are read as they are."""
    applications = world.made.card.applications.model_copy(
        update={"decimal": ",", "thousands": ".", "delimiter": ";", "encoding": "windows-1252"}
    )
    card = world.made.card.model_copy(update={"applications": applications})
    whole = frame.assign(income=frame["income"].round(3), loan="Köln €" + frame["loan"])
    marks = str.maketrans(",.", ".,")
    told = whole.assign(income=whole["income"].map(lambda it: "" if pd.isna(it) else f"{it:,.3f}".translate(marks)))
    told.to_csv(tmp_path / "tape.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    whole.to_parquet(tmp_path / "tape.parquet")
    for form in ("csv", "parquet"):
        assert score(tmp_path / f"tape.{form}", tmp_path / f"{form}.out", card).unreadable == {}
    assert (tmp_path / "csv.out").read_bytes() == (tmp_path / "parquet.out").read_bytes()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_column_that_cannot_be_read_in_any_row_is_refused(
    form: str, world: World, frame: pd.DataFrame, tmp_path: Path
) -> None:
    lost = frame.assign(income=frame["income"].map(lambda it: None if pd.isna(it) else "much"))
    tape = tmp_path / f"tape.{form}"
    write = pd.DataFrame.to_parquet if form == "parquet" else pd.DataFrame.to_csv
    write(lost, tape, index=False)
    count = int(lost["income"].notna().sum())
    with pytest.raises(
        TapeError, match=f"applications: none of the {count} values of 'income' can be read; wanted a n"
    ):
        score(tape, tmp_path / "s.parquet", world.made.card)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".parts", "s.parquet"))]
    lost.loc[lost.index[-1], "income"] = "1000"
    write(lost, tape, index=False)
    assert score(tape, tmp_path / "s.parquet", world.made.card).unreadable["income"] >= count - 1
    write(frame.assign(income=None), tape, index=False)  # nothing that could not be read
    assert score(tape, tmp_path / "s.parquet", world.made.card).unreadable == {}


def test_a_ragged_line_at_the_end_is_told_and_leaves_nothing(world: World, frame: pd.DataFrame, tmp_path: Path) -> None:
    tape = tmp_path / "tape.csv"
    frame.to_csv(tape, index=False)
    tape.write_text(tape.read_text() + "L9,1,2,own,too,many\n")
    with pytest.raises(TapeError, match=f"line {len(frame) + 2}, has . fields; wanted 4"):
        score(tape, tmp_path / "s.parquet", world.made.card)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tape.csv", "work"]


def test_an_empty_tape_is_refused(world: World, frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.head(0).to_parquet(tmp_path / "tape.parquet")
    with pytest.raises(TapeError, match="has no rows"):
        score(tmp_path / "tape.parquet", tmp_path / "s.parquet", world.made.card)


def test_an_interrupted_batch_goes_on_where_it_stopped_and_gives_the_same_file(
    world: World, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame.to_parquet(tmp_path / "tape.parquet", row_group_size=1000)
    card = world.made.card
    monkeypatch.setattr(batch, "PART_ROWS", 1100)
    whole = score(tmp_path / "tape.parquet", tmp_path / "whole.parquet", card, reasons=2)
    add, seen = batch._Tally.add, []

    def falls(self: batch._Tally, rows: pa.RecordBatch) -> pa.Table:
        seen.append(rows.num_rows)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return add(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(batch._Tally, "add", falls)
        with pytest.raises(KeyboardInterrupt):
            score(tmp_path / "tape.parquet", tmp_path / "s.parquet", card, reasons=2)
    assert not (tmp_path / "s.parquet").exists()
    kept = sorted(path.name for path in (tmp_path / ".s.parquet.parts").glob("*.parquet"))
    assert kept == ["00000.parquet", "00001.parquet"]
    counted = []
    with monkeypatch.context() as patch:
        patch.setattr(batch._Tally, "add", lambda self, rows: counted.append(rows.num_rows) or add(self, rows))
        again = score(tmp_path / "tape.parquet", tmp_path / "s.parquet", card, reasons=2)
    assert sum(counted) == len(frame) - 2200
    assert again == replace(whole, out=again.out)
    assert (tmp_path / "s.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not (tmp_path / ".s.parquet.parts").exists()


def test_parts_of_another_tape_are_not_taken_over(
    world: World, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame.to_parquet(tmp_path / "tape.parquet")
    monkeypatch.setattr(batch, "PART_ROWS", 1500)
    with parts.parts_of(tmp_path / "s.parquet", schema=pa.schema([]), plan={"tape": "another"}) as left:
        left.note(0, {"rows": 1500})
        left.path(0).write_bytes(b"what another batch wrote")
        (tmp_path / "kept").mkdir()
        for path in left.folder.iterdir():
            (tmp_path / "kept" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "kept").rename(tmp_path / ".s.parquet.parts")
    assert score(tmp_path / "tape.parquet", tmp_path / "s.parquet", world.made.card).rows == len(frame)
    assert len(rows_of(tmp_path / "s.parquet")) == len(frame)


def test_two_batches_do_not_write_one_output(tmp_path: Path) -> None:
    with (
        parts.parts_of(tmp_path / "s.parquet", schema=pa.schema([]), plan={}),
        pytest.raises(UnavailableError, match="another batch is writing it"),
        parts.parts_of(tmp_path / "s.parquet", schema=pa.schema([]), plan={}),
    ):
        pass


def test_a_tape_that_changes_meanwhile_is_refused(
    world: World, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame.to_csv(tmp_path / "tape.csv", index=False)
    add = batch._Tally.add

    def touched(self: batch._Tally, rows: pa.RecordBatch) -> pa.Table:
        (tmp_path / "tape.csv").write_text("loan\n")
        return add(self, rows)

    monkeypatch.setattr(batch._Tally, "add", touched)
    with pytest.raises(InvalidInputError, match="changed while it was read"):
        score(tmp_path / "tape.csv", tmp_path / "s.parquet", world.made.card)
    assert not (tmp_path / "s.parquet").exists()


def test_a_tape_that_goes_away_meanwhile_or_cannot_be_opened_is_told(
    world: World, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame.to_parquet(tmp_path / "tape.parquet")
    add = batch._Tally.add

    def gone(self: batch._Tally, rows: pa.RecordBatch) -> pa.Table:
        (tmp_path / "tape.parquet").unlink()
        return add(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(batch._Tally, "add", gone)
        with pytest.raises(SourceError, match="changed while it was read"):
            score(tmp_path / "tape.parquet", tmp_path / "s.parquet", world.made.card)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    frame.to_parquet(tmp_path / "tape.parquet")
    monkeypatch.setattr(snapshots, "identify", closed)
    with pytest.raises(SourceError, match=r"tape\.parquet cannot be read: Permission denied"):
        score(tmp_path / "tape.parquet", tmp_path / "s.parquet", world.made.card)


def garbled(path: Path, column: str, *, out: Path, rows: int | None = None) -> None:
    """Write a file with texts that nobody can read in the first rows of a column, or in all of them."""
    table = pq.read_table(path)
    texts = table[column].cast(pa.string()).to_pylist()
    rows = len(texts) if rows is None else rows
    made = pa.array(["much"] * rows + texts[rows:], pa.string())
    pq.write_table(table.set_column(table.column_names.index(column), column, made), out)


def test_cells_that_cannot_be_read_are_counted_where_histories_are_read_too(
    lender_run: LenderRun, tmp_path: Path
) -> None:
    tape = tmp_path / "tape"
    shutil.copytree(lender_run.tape, tape)
    card = parse_card((lender_run.out / "scorecard.json").read_bytes())
    history, terms = next(iter(card.histories.items()))
    own = next(iter(tape.glob(f"{terms.file or history}*")))
    column = terms.event_at
    garbled(tape / "applications.parquet", "annual_income", out=tape / "applications.parquet", rows=1)
    garbled(own, column, out=own, rows=2)
    found = score(tape, tmp_path / "s.parquet", card).unreadable
    assert found == {"annual_income": 1, f"{history}.{column}": 2}
    garbled(own, column, out=own)
    with pytest.raises(TapeError, match=f"{history}: none of the .* values of '{column}' can be read"):
        score(tape, tmp_path / "s.parquet", card)


def test_no_more_reasons_than_there_are_families_and_all_of_any_size_of_points(world: World) -> None:
    card = world.made.card
    large = card.model_copy(
        update={
            "characteristics": tuple(
                it.model_copy(
                    update={
                        "reference": 10**9,
                        "bins": tuple(row.model_copy(update={"points": row.points * 1000}) for row in it.bins),
                    }
                )
                for it in card.characteristics
            )
        }
    )
    for each in (card, large):
        bins = [world.made.card.characteristics[at].points for at in range(len(card.characteristics))]
        codes = [np.arange(40, dtype=np.uint8) % len(points) for points in bins]
        found = principal_reasons(shortfalls_of(each), codes, rows=40, most=20)
        explainer = compile_reasons(each)
        for row in range(40):
            one = [it.code for it in explainer.explain([int(column[row]) for column in codes], most=20)]
            assert [explainer.shortfalls.codes[at] for at in found[row] if at >= 0] == one
