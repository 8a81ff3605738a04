"""The command that explains one decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, json_option, show

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("application")
@click.option("--card", type=FILE, required=True, help="The scorecard.json of a run.")
@click.option("--reasons", type=click.IntRange(0, 20), default=4, show_default=True, help="Principal reasons.")
@click.option(
    "--changes",
    type=click.IntRange(0, 3),
    default=2,
    show_default=True,
    help="Characteristics that may change at once to reach the cut-off.",
)
@click.option("--html", type=FILE, help="A page to write as well.")
@json_option
def explain(application: str, card: Path, *, reasons: int, changes: int, html: Path | None, as_json: bool) -> None:
    """Score APPLICATION and say why: bins, points, contributions, reasons, and what would change it.

    APPLICATION is a JSON file, or - for standard input: an object of the columns that the card reads, null for what is not
    known, and a list of rows for each history. Bins are told, not values.
    """
    from obligor.bootstrap import explain_decision

    told = explain_decision(application, card=card, reasons=reasons, changes=changes, html=html)
    show(told, quiet=False, as_json=as_json)
