"""Commands about less discriminatory alternatives: what the search of a run found, and which card a person chose."""

from __future__ import annotations

from pathlib import Path

import click

from obligor.cli.options import FILE, FOLDER


@click.command()
@click.argument("evidence", type=FOLDER)
@click.option(
    "--choose", "name", help="The card that is taken, by its name in the list; 'the card' for that of the run."
)
@click.option("--by", help="Who chose it.")
@click.option("--because", help="Why.")
@click.option(
    "--record",
    type=FILE,
    default=Path("choices.json"),
    show_default=True,
    help="The file that the choice is added to.",
)
def alternatives(evidence: Path, name: str | None, by: str | None, because: str | None, record: Path) -> None:
    """List the less discriminatory cards that the run in EVIDENCE found, or record which card is used, and why."""
    from datetime import UTC, datetime

    from obligor.governance.choices import lines_of, record_choice, searched_in

    if name is None and by is None and because is None:
        click.echo("\n".join(lines_of(searched_in(evidence))))
        return
    if name is None or by is None or because is None:
        raise click.UsageError("--choose, --by and --because go together: a choice names who made it, and why")
    record_choice(evidence, name=name, by=by, because=because, at=datetime.now(UTC), record=record)
    click.echo(f"{record}: {name}, chosen by {by}")
