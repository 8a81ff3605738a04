"""The command that writes a notice to an applicant, or says why it would be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, json_option, show

if TYPE_CHECKING:
    from datetime import datetime


@click.command()
@click.argument("decision_id")
@click.option("--template", required=True, help="Which notice, such as us-fed-adverse-action.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Where: FILE.html, or a text in any other file."
)
@click.option("--language", help="The applicant's; without it, that of the lender's reason texts.")
@click.option(
    "--bureau", "bureaus", multiple=True, help="A bureau whose report was used, by its id in particulars.yaml."
)
@click.option("--score", type=FILE, help="The bureau's score that was used, as a YAML file.")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="The day of the notice; without it, today (UTC).")
@json_option
def notice(
    decision_id: str,
    *,
    template: str,
    out: Path,
    language: str | None,
    bureaus: tuple[str, ...],
    score: Path | None,
    on: datetime | None,
    as_json: bool,
) -> None:
    """Write the notice of DECISION_ID by an approved template; one that would be wrong is refused."""
    from obligor.bootstrap.notices import write_notice_of

    day = None if on is None else on.date()
    written = write_notice_of(
        decision_id, template=template, out=out, language=language, bureaus=bureaus, score=score, on=day
    )
    show(written, quiet=False, as_json=as_json)


@click.group()
def notices() -> None:
    """See which notices to applicants are due."""


@notices.command()
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Look at what was decided from this day on; by default 180 days ago.",
)
@json_option
def due(*, since: datetime | None, as_json: bool) -> None:
    """List the notices that are due by the active rule packs and were not written here, the earliest first."""
    from obligor.bootstrap.notices import list_due

    show(list_due(since=None if since is None else since.date()), quiet=False, as_json=as_json)
