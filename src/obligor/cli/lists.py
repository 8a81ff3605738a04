"""Commands that load lists of names, and tell which were loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, list_kind_option, show

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.screening.lists import ListKind


@click.group()
def lists() -> None:
    """Load the lists that applicants are screened against; each one is recorded in the audit log."""


@lists.command("load")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@list_kind_option
@click.option(
    "--published",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day of a list that does not say it itself.",
)
@click.option("--older", is_flag=True, help="An older day than that of the list in force is meant.")
@json_option
def load(path: Path, *, kind: ListKind | None, published: datetime | None, older: bool, as_json: bool) -> None:
    """Put the list of FILE in force, in running services at once.

    FILE is SDN.XML, SDN.CSV, or a folder that holds one of them, of OFAC; or targets.simple.csv of OpenSanctions, with --kind.
    """
    from obligor.bootstrap.lists import load as loaded

    day = published.date() if published else None
    show(loaded(path, kind=kind, published=day, older=older), quiet=False, as_json=as_json)


@lists.command("list")
@json_option
def list_lists(*, as_json: bool) -> None:
    """Show the lists that were loaded, the last first."""
    from obligor.bootstrap.lists import known

    show(known(), quiet=False, as_json=as_json)
