"""The command that screens a name against a list."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, list_kind_option, show

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.screening.lists import ListKind


@click.command()
@click.argument("name")
@list_kind_option
@click.option("--born", help="The birth date: 1970-01-31, 1970-01 or 1970.")
@click.option(
    "--list",
    "path",
    type=click.Path(path_type=Path),
    help="SDN.XML, SDN.CSV with ALT.CSV beside it, a folder that holds one of them, or targets.simple.csv; "
    "without it the one that was loaded.",
)
@click.option(
    "--published",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day of a list that does not say it itself; without a day a list counts as too old.",
)
@click.option("--threshold", type=click.FloatRange(0, 1, min_open=True), help="The score from which an entry is a hit.")
@json_option
def screen(
    name: str,
    *,
    born: str | None,
    kind: ListKind | None,
    path: Path | None,
    published: datetime | None,
    threshold: float | None,
    as_json: bool,
) -> None:
    """Screen NAME against a list, and say what it hit, why, and against which list.

    A NAME of - is read from standard input, for who would not have it in the history of a shell.
    Exit 1 where there is a hit, or where there is none and the list is too old to rely on.
    """
    from obligor.bootstrap.screening import screen_name

    day = published.date() if published else None
    name = sys.stdin.readline().strip() if name == "-" else name
    screened = screen_name(name, born=born, kind=kind or "sanctions", path=path, published=day, threshold=threshold)
    show(screened, quiet=False, as_json=as_json)
    if screened.screening.hits or screened.screening.stale:
        sys.exit(1)
