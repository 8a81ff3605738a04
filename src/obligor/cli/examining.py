"""Commands that look a store over, and make its decisions again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from obligor.cli.audit import acknowledged_option
from obligor.cli.options import FILE, json_option, quiet_option, show, telling

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID


@click.command()
@click.option(
    "--strict", is_flag=True, help="Make every decision again, and not a sample; what somebody should look at counts."
)
@click.option("--canary", type=FILE, help="A file of strings, one a line, that may stand nowhere but in records.")
@click.option("--key", help="The public key of the log, name+id+base64; by default that of this deployment.")
@acknowledged_option
@quiet_option
@json_option
def doctor(
    *, strict: bool, canary: Path | None, key: str | None, known: tuple[int, ...], quiet: bool, as_json: bool
) -> None:
    """Check what must hold in the store of the decision service, whatever happened to it; exit 1 where something does not.

    Nothing is written. It may run beside the service, and on a copy of the store.
    """
    from obligor.bootstrap.examining import examine_store

    with telling(quiet=quiet or as_json) as progress:
        examination = examine_store(strict=strict, canary=canary, key=key, known=known, progress=progress)
    show(examination, quiet=quiet and examination.sound, as_json=as_json)
    if not examination.sound:
        sys.exit(1)


@click.command()
@click.argument("decision_id", type=click.UUID, required=False)
@click.option("--all", "every", is_flag=True, help="Make every decision again.")
@quiet_option
@json_option
def replay(decision_id: UUID | None, *, every: bool, quiet: bool, as_json: bool) -> None:
    """Make DECISION_ID again from its record and the card, policy and profile it pins; exit 1 where anything differs.

    Values are told of scores, PDs, bands, cut-offs and outcomes alone; of other fields that differ only the name.
    """
    from obligor.bootstrap.examining import remake_all, remake_decision

    if every == (decision_id is not None):
        raise click.UsageError("wanted a DECISION_ID or --all, and one of them")
    with telling(quiet=quiet or as_json) as progress:
        remade = (
            remake_all(progress=progress) if decision_id is None else remake_decision(decision_id, progress=progress)
        )
    show(remade, quiet=quiet and remade.same, as_json=as_json)
    if not remade.same:
        sys.exit(1)
