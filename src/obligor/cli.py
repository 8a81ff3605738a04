"""The command line: ``obligor``.

Exit codes: 0 done; 1 a gate was not passed, or something outside did not answer; 2 the input is wrong; 130 interrupted.
Nothing heavy is imported at the top, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from obligor import __version__
from obligor.core.errors import ObligorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obligor.pipeline.summaries import RunSummary
    from obligor.serving.batch import BatchResult
    from obligor.telemetry import Progress

_EXIT = {"invalid": 2, "gate": 1, "unavailable": 1}
_INTERRUPTED = 130
_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_quiet = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="obligor")
def cli() -> None:
    """Credit scorecards a regulator can read, from a loan tape and one contract."""


@cli.command()
@click.option("--out", type=_FOLDER, default=Path("runs/demo"), show_default=True, help="Where the evidence goes.")
@click.option("--applications", type=click.IntRange(min=5000), default=40000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@_quiet
@_json
def demo(out: Path, applications: int, seed: int, *, quiet: bool, as_json: bool) -> None:
    """Run the main job on the simulated lender: a card with its evidence, from nothing."""
    from obligor.bootstrap import run_demo

    with _telling(quiet=quiet or as_json) as progress:
        summary = run_demo(out, applications=applications, seed=seed, progress=progress)
    _show(summary, quiet=quiet, as_json=as_json)


@cli.command()
@click.argument("tape")
@click.option("--contract", "contract_path", type=_FILE, required=True, help="The contract of the portfolio.")
@click.option("--out", type=_FOLDER, required=True, help="Where the evidence goes.")
@_quiet
@_json
def run(tape: str, contract_path: Path, out: Path, *, quiet: bool, as_json: bool) -> None:
    """Make a scorecard with its evidence from TAPE.

    TAPE is a file (CSV, CSV.gz, CSV.zst, Parquet), a folder of them, s3://bucket/key, or postgresql://host/db?table=t.
    """
    from obligor.bootstrap import run_tape

    with _telling(quiet=quiet or as_json) as progress:
        summary = run_tape(tape, contract=contract_path, out=out, progress=progress)
    _show(summary, quiet=quiet, as_json=as_json)


@cli.command()
@click.argument("tape")
@click.option("--card", type=_FILE, required=True, help="The scorecard.json of a run.")
@click.option("--out", type=_FILE, required=True, help="The Parquet file to write.")
@click.option(
    "--reasons",
    type=click.IntRange(0, 20),
    default=0,
    show_default=True,
    help="Principal reasons for each application.",
)
@click.option("--points", is_flag=True, help="Write the points of every characteristic and pair as well.")
@_quiet
@_json
def score(tape: str, card: Path, out: Path, *, reasons: int, points: bool, quiet: bool, as_json: bool) -> None:
    """Score every application of TAPE: identifiers, score, PD, band, and reasons.

    An interrupted batch goes on where it stopped when the same command is given again.
    """
    from obligor.bootstrap import score_tape

    with _telling(quiet=quiet or as_json) as progress:
        summary = score_tape(tape, card=card, out=out, reasons=reasons, points=points, progress=progress)
    _show(summary, quiet=quiet, as_json=as_json)


@cli.command()
@click.argument("card", type=_FILE)
@click.option(
    "--dialect",
    type=click.Choice(["duckdb", "postgres", "spark", "snowflake", "bigquery"]),
    default="duckdb",
    show_default=True,
)
@click.option("--table", default="applications", show_default=True, help="The table to score: name, schema.name, ...")
@click.option("--reasons", type=click.IntRange(0, 20), default=4, show_default=True, help="Principal reasons.")
@click.option("--out", type=_FILE, help="The file to write; standard output without it.")
def sql(card: Path, dialect: str, table: str, reasons: int, out: Path | None) -> None:
    """Write CARD, the scorecard.json of a run, as one SELECT that scores a table inside a database."""
    from obligor.bootstrap import card_as_sql

    text = card_as_sql(card, dialect=dialect, table=table, reasons=reasons, out=out)
    if out is None:
        click.echo(text)


@cli.command()
@click.option("--out", type=_FOLDER, required=True, help="The folder to write the tape to.")
@click.option("--applications", type=click.IntRange(min=1), default=20000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@_quiet
def simulate(out: Path, applications: int, seed: int, *, quiet: bool) -> None:
    """Write the tape of a simulated lender whose true PDs are known."""
    from obligor.bootstrap import simulate_tape

    with _telling(quiet=quiet) as progress:
        written = simulate_tape(out, applications=applications, seed=seed, progress=progress)
    if not quiet:
        click.echo("\n".join(str(path) for path in written))


@cli.group()
def contract() -> None:
    """Check a contract, or draft one from a tape."""


@contract.command()
@click.argument("contract_path", metavar="CONTRACT", type=_FILE)
@click.option("--tape", help="A tape to hold the contract against.")
@_quiet
def check(contract_path: Path, tape: str | None, *, quiet: bool) -> None:
    """Check CONTRACT by itself and, with --tape, against a tape."""
    from obligor.bootstrap import check_contract

    with _telling(quiet=quiet) as progress:
        lines = check_contract(contract_path, tape=tape, progress=progress)
    if not quiet:
        click.echo("\n".join(lines))


@contract.command()
@click.argument("tape")
def draft(tape: str) -> None:
    """Propose a contract for TAPE, as YAML on standard output, for a person to finish."""
    from obligor.bootstrap import draft_contract

    click.echo(draft_contract(tape), nl=False)


@contract.command()
def schema() -> None:
    """Print the JSON Schema of contracts, for editors that complete and check as you type."""
    from obligor.core.contract import Contract

    click.echo(json.dumps(Contract.model_json_schema(), indent=1))


def main() -> None:
    """Run the command line, with errors as messages and exit codes."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("obligor: interrupted; nothing half-written was left", err=True)
        sys.exit(_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ObligorError as error:
        click.echo(f"obligor: {error}", err=True)
        sys.exit(_EXIT[error.kind])
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("OBLIGOR_DEBUG"):
            raise
        # The text of a library's error may quote the data, so that only its kind is told.
        click.echo(f"obligor: failed on a {type(error).__name__}; OBLIGOR_DEBUG=1 shows where", err=True)
        sys.exit(1)


@contextmanager
def _telling(*, quiet: bool) -> Iterator[Progress]:
    from rich.console import Console

    from obligor.telemetry import Bars, Silence

    yield Silence() if quiet else Bars(Console(stderr=True))


def _show(summary: RunSummary | BatchResult, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary.to_plain()))
    elif not quiet:
        click.echo("\n".join(summary.lines()))
