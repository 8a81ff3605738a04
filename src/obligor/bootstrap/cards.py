"""Builds what makes, scores and explains cards."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from obligor.core.errors import CardError, EditError, InvalidInputError, UnavailableError
from obligor.files import disk_trouble, reading, whole_file
from obligor.settings import Settings, read_author, read_settings, switch_telemetry_off

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import DataFrame

    from obligor.core.contract import Contract
    from obligor.core.edits import Edits
    from obligor.core.scorecard import Scorecard
    from obligor.governance.tracking import Tracker
    from obligor.ingestion.sources import Source
    from obligor.pipeline.changes import BinTables, CardChange
    from obligor.pipeline.summaries import RunSummary
    from obligor.progress import Progress
    from obligor.serving.scoring.batch import BatchResult
    from obligor.serving.scoring.explaining import Explained


def run_tape(
    tape: str,
    *,
    contract: Path,
    out: Path,
    edits: Path | None = None,
    carry_edits: bool = False,
    progress: Progress,
) -> RunSummary:
    """Make a card with its evidence from a tape; ``edits`` is a file of edits of its bins by hand."""
    by_hand = None if edits is None else load_edits(edits)
    return _run(tape, _allowed(contract), out=out, edits=by_hand, carry=carry_edits, progress=progress)


def _allowed(path: Path) -> Contract:
    """Read a contract that takes nothing from where an active rule pack forbids it."""
    from obligor.bootstrap.law import refuse_forbidden_sources
    from obligor.ingestion.contract_file import load_contract

    contract = load_contract(path)
    refuse_forbidden_sources(os.environ, contract.columns, contract.histories)
    return contract


def _refuse_to_lose_edits(out: Path) -> None:
    """Refuse to put a run in the place of one whose bins a person edited: the edits would be gone, with their reasons."""
    kept = out / "edits.json"
    if kept.is_file():
        raise InvalidInputError(
            f"{out}: holds bins that were edited by hand, which a new run would lose",
            hint=f"--edits {kept} keeps them; --out with another folder leaves them where they are",
        )


def _run(
    tape: str,
    contract: Contract,
    *,
    out: Path,
    edits: Edits | None = None,
    carry: bool = False,
    progress: Progress,
) -> RunSummary:
    from obligor.pipeline.main_job import run_main_job

    if edits is None:
        _refuse_to_lose_edits(out)
    settings = _settings()
    with _workshop(settings) as work:
        return run_main_job(
            open_source(tape, settings),
            contract=contract,
            out=out.absolute(),
            work=work,
            settings=settings,
            tracker=_tracker(settings),
            progress=progress,
            edits=edits,
            carry=carry,
        )


def show_bins(run: Path, characteristic: str | None) -> BinTables:
    """Show the bins of a run, of one characteristic or of all."""
    from obligor.pipeline.editing import show_bins as shown

    return shown(run.absolute(), characteristic)


def edit_bins(
    run: Path,
    characteristic: str,
    change: Mapping[str, object],
    *,
    author: str | None,
    reason: str,
    draft: str = "",
    out: Path | None = None,
    progress: Progress,
) -> CardChange:
    """Edit the bins of a run by hand, fit again, and tell what changed; ``change`` is plain data."""
    from datetime import UTC, datetime

    from obligor.core.rebinning import parse_change
    from obligor.pipeline.editing import Wish, edit_run

    settings = _settings()
    wish = Wish(
        characteristic,
        parse_change(change),
        read_author(os.environ) if author is None else author,
        reason,
        datetime.now(UTC).replace(microsecond=0),
        draft,
    )
    with _workshop(settings) as work:
        return edit_run(
            run.absolute(),
            wish,
            out=None if out is None else out.absolute(),
            work=work,
            settings=settings,
            tracker=_tracker(settings),
            progress=progress,
        )


def run_demo(out: Path, *, applications: int, seed: int, progress: Progress) -> RunSummary:
    """Make a card with its evidence from the simulated lender."""
    from obligor.ingestion.contract_file import load_contract

    shipped = files("obligor.ingestion") / "simulated-lender.yaml"
    with _workshop(_settings()) as work, as_file(shipped) as path:
        contract = _with_what_is_here(load_contract(path), progress)
        simulate_tape(work / "tape", applications=applications, seed=seed, progress=progress)
        return _run(str(work / "tape"), contract, out=out, progress=progress)


def _with_what_is_here(contract: Contract, progress: Progress) -> Contract:
    """Leave the challengers out of the demo where their libraries are not there; a lender's own contract is refused."""
    from obligor.core.clauses import Challengers
    from obligor.models.challengers import challengers_of

    try:
        challengers_of(contract.challengers)
    except UnavailableError as error:
        with progress.step(f"leaving out the challengers: {error}"):
            return contract.model_copy(update={"challengers": Challengers()})
    return contract


def score_tape(
    tape: str,
    *,
    card: Path,
    out: Path,
    reasons: int = 0,
    points: bool = False,
    bins: bool = False,
    progress: Progress,
) -> BatchResult:
    """Score every application of a tape, with so many reasons and, if wanted, points and bins of every characteristic."""
    from obligor.serving.scoring.batch import score_source
    from obligor.serving.scoring.columnar import Wanted

    settings = _settings()
    loaded = load_card(card)
    with _workshop(settings) as work:
        return score_source(
            open_source(tape, settings),
            card=loaded,
            out=out.absolute(),
            work=work,
            settings=settings,
            wanted=Wanted(reasons, points, bins),
            progress=progress,
        )


def score_frame(
    frame: DataFrame, *, card: Path, reasons: int = 4, points: bool = False, bins: bool = True
) -> DataFrame:
    """Score every row of a Spark frame where it lies, with the columns of `score_tape` and those of cells it cannot read.

    Spark's workers need Obligor too. Columns are found by name; nothing but a look at their types runs before the
    answer is read.
    """
    try:
        from obligor.adapters.spark import arrow_schema, map_batches
    except ImportError as error:
        raise UnavailableError("scoring a Spark frame needs PySpark", hint="install obligor[spark]") from error
    from obligor.serving.scoring.columnar import Wanted
    from obligor.serving.scoring.frames import frame_scorer

    scorer = frame_scorer(load_card(card), Wanted(reasons, points, bins))
    scorer.check(arrow_schema(frame, scorer.columns))
    return map_batches(frame, scorer, columns=scorer.columns, schema=scorer.schema)


def card_as_sql(card: Path, *, dialect: str, table: str, reasons: int, out: Path | None) -> str:
    """Write a card as one SELECT over a table, whose name may be qualified by dots."""
    from obligor.core.card_sql import card_select
    from obligor.core.dialects import Dialect, quote

    parts = table.split(".")
    if not all(parts):
        raise InvalidInputError(f"--table: got '{table}'; wanted a name, or several joined by dots")
    engine = Dialect(dialect)
    named = ".".join(quote(part, engine) for part in parts)
    text = card_select(load_card(card), table=named, dialect=engine, reasons=reasons) + ";\n"
    _write(text, out)
    return text


def card_as_python(card: Path, *, reasons: int, out: Path | None) -> str:
    """Write a card as one Python file that needs nothing but Python."""
    from obligor.serving.scoring.card_python import card_module

    text = card_module(load_card(card), reasons=reasons)
    _write(text, out)
    return text


def explain_decision(application: str, *, card: Path, reasons: int, changes: int, html: Path | None) -> Explained:
    """Score and explain one application, from a JSON file or standard input (-), and write the page where one is wanted."""
    from obligor.serving.scoring.explaining import explain_application

    told = explain_application(_application(application), load_card(card), most_reasons=reasons, most_changes=changes)
    if html is not None:
        try:
            from obligor.governance.explained import render_explanation

            page = render_explanation(told.explanation.to_plain())
        except ImportError as error:
            raise UnavailableError("a page needs a template engine", hint="install obligor[train]") from error
        with whole_file(html.absolute()) as partial:
            partial.write_text(page, encoding="utf-8")
    return told


def _application(place: str) -> bytes:
    """Read an application, and no more than a byte beyond what one may have."""
    from obligor.core.application import MOST_BYTES

    if place == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with reading(place, wanted="an application as JSON, or -"), Path(place).open("rb") as file:
        return file.read(MOST_BYTES + 1)


def simulate_tape(out: Path, *, applications: int, seed: int, progress: Progress) -> tuple[Path, ...]:
    """Write the tape of the simulated lender."""
    from obligor.ingestion.simulator import simulate_lender, write_lender

    with progress.step(f"simulating {applications:,} applications"), disk_trouble(str(out)):
        return write_lender(simulate_lender(applications=applications, seed=seed), out)


def check_contract(path: Path, *, tape: str | None, progress: Progress) -> list[str]:
    """Check a contract and, where one is given, hold it against a tape."""
    from obligor.pipeline.jobs import check_tape

    contract = _allowed(path)
    lines = [f"{path.name}: sound; {len(contract.columns)} columns, {len(contract.predictors)} predictors"]
    if tape is not None:
        settings = _settings()
        with _workshop(settings) as work:
            source = open_source(tape, settings)
            lines += check_tape(source, contract=contract, work=work, settings=settings, progress=progress)
    return lines


def draft_contract(tape: str) -> str:
    """Propose a contract for a tape."""
    from obligor.pipeline.jobs import draft_from

    settings = _settings()
    with _workshop(settings) as work:
        return draft_from(open_source(tape, settings), work=work, settings=settings, name=_name_of(tape))


def load_card(path: Path) -> Scorecard:
    """Read a card from its file."""
    from obligor.core.scorecard import parse_card

    with reading(path, wanted="the scorecard.json of a run", error=CardError):
        return parse_card(path.read_bytes())


def load_edits(path: Path) -> Edits:
    """Read edits of bins by hand from their file."""
    from obligor.core.edits import parse_edits

    with reading(path, wanted="the edits.json of a run", error=EditError):
        return parse_edits(path.read_bytes())


def open_source(tape: str, settings: Settings) -> Source:
    """Find the source that a tape's address names."""
    scheme = tape.split("://", 1)[0].lower() if "://" in tape else ""
    try:
        if scheme == "s3":
            from obligor.adapters.s3 import S3Source

            return S3Source(tape, endpoint=settings.s3_endpoint)
        if scheme in ("postgresql", "postgres"):
            from obligor.adapters.postgres import PostgresSource

            return PostgresSource(tape)
    except ImportError as error:
        extra = "s3" if scheme == "s3" else "postgres"
        raise UnavailableError(f"a tape at {scheme}:// needs a driver", hint=f"install obligor[{extra}]") from error
    if scheme:
        raise InvalidInputError(f"a tape at {scheme}:// is not known; wanted a path, s3:// or postgresql://")
    from obligor.ingestion.sources import LocalSource

    return LocalSource(Path(tape))


def _write(text: str, out: Path | None) -> None:
    if out is not None:
        with whole_file(out.absolute()) as partial:
            partial.write_text(text, encoding="utf-8")


def _settings() -> Settings:
    switch_telemetry_off(os.environ)
    return read_settings(os.environ)


def _tracker(settings: Settings) -> Tracker:
    if settings.mlflow_uri == "off":
        from obligor.governance.tracking import NoTracker

        return NoTracker()
    try:
        from obligor.adapters.mlflow_tracker import MlflowTracker
    except ImportError as error:
        hint = "install obligor[mlflow], or set OBLIGOR_MLFLOW_URI=off"
        raise UnavailableError("tracking needs MLflow's client", hint=hint) from error
    return MlflowTracker(settings.mlflow_uri, artifacts=settings.data / "mlflow")


@contextmanager
def _workshop(settings: Settings) -> Iterator[Path]:
    """Lend a folder for passing files, on the disk where data are kept."""
    with disk_trouble(str(settings.work)):
        settings.work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="run-", dir=settings.work, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


def _name_of(tape: str) -> str:
    stem = tape.rstrip("/").rsplit("/", 1)[-1].split("?", 1)[0].split(".", 1)[0].lower()
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem).strip("-")
    return name or "tape"
