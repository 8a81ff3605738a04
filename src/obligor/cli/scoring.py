"""Commands that use a card: scoring a tape, writing the card for other engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, json_option, quiet_option, show, telling

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("tape")
@click.option("--card", type=FILE, required=True, help="The scorecard.json of a run.")
@click.option("--out", type=FILE, required=True, help="The Parquet file to write.")
@click.option(
    "--reasons",
    type=click.IntRange(0, 20),
    default=0,
    show_default=True,
    help="Principal reasons for each application.",
)
@click.option("--points", is_flag=True, help="Write the points of every characteristic and pair as well.")
@click.option("--bins", is_flag=True, help="Write the bin of every characteristic as well.")
@quiet_option
@json_option
def score(
    tape: str, card: Path, out: Path, *, reasons: int, points: bool, bins: bool, quiet: bool, as_json: bool
) -> None:
    """Score every application of TAPE: identifiers, score, PD, band, and reasons.

    An interrupted batch goes on where it stopped when the same command is given again.
    """
    from obligor.bootstrap import score_tape

    with telling(quiet=quiet or as_json) as progress:
        summary = score_tape(tape, card=card, out=out, reasons=reasons, points=points, bins=bins, progress=progress)
    show(summary, quiet=quiet, as_json=as_json)


@click.command()
@click.argument("card", type=FILE)
@click.option(
    "--dialect",
    type=click.Choice(["duckdb", "postgres", "spark", "snowflake", "bigquery"]),
    default="duckdb",
    show_default=True,
)
@click.option("--table", default="applications", show_default=True, help="The table to score: name, schema.name, ...")
@click.option("--reasons", type=click.IntRange(0, 20), default=4, show_default=True, help="Principal reasons.")
@click.option("--out", type=FILE, help="The file to write; standard output without it.")
def sql(card: Path, dialect: str, table: str, reasons: int, out: Path | None) -> None:
    """Write CARD, the scorecard.json of a run, as one SELECT that scores a table inside a database."""
    from obligor.bootstrap import card_as_sql

    text = card_as_sql(card, dialect=dialect, table=table, reasons=reasons, out=out)
    if out is None:
        click.echo(text)


@click.command()
@click.argument("card", type=FILE)
@click.option("--reasons", type=click.IntRange(0, 20), default=4, show_default=True, help="Principal reasons.")
@click.option("--out", type=FILE, help="The file to write; standard output without it.")
def python(card: Path, reasons: int, out: Path | None) -> None:
    """Write CARD, the scorecard.json of a run, as one Python file that scores without any package."""
    from obligor.bootstrap import card_as_python

    text = card_as_python(card, reasons=reasons, out=out)
    if out is None:
        click.echo(text, nl=False)
