"""Commands by which a person answers applicants who asked for a review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, show, since_option, until_option

if TYPE_CHECKING:
    from datetime import datetime


@click.group()
def reviews() -> None:
    """Answer applicants who asked that a person looks at a decision."""


@reviews.command("list")
@json_option
def list_reviews(*, as_json: bool) -> None:
    """Show the reviews that wait for an answer, the one that is due first first; never what the applicant wrote."""
    from obligor.bootstrap.reviews import list_reviews as listed

    show(listed(), quiet=False, as_json=as_json)


@reviews.command()
@click.argument("review_id")
@click.option("--outcome", type=click.Choice(("approve", "decline")), help="What you decide.")
@click.option("--factor", "factors", multiple=True, help="What you looked at, in words for the applicant; up to four.")
@click.option("--again", is_flag=True, help="Decide on the application again, as the applicant corrected it.")
@json_option
def decide(review_id: str, *, outcome: str | None, factors: tuple[str, ...], again: bool, as_json: bool) -> None:
    """Record what you found of REVIEW_ID; the first decision stays as it was.

    Who put the release in force by which it was decided cannot review it. OBLIGOR_AUTHOR names you.
    """
    from obligor.bootstrap.reviews import decide_review

    if again == (outcome is not None):
        raise click.UsageError("wanted either --outcome or --again")
    show(decide_review(review_id, outcome=outcome, factors=factors), quiet=False, as_json=as_json)


@reviews.command()
@since_option
@until_option
@json_option
def report(*, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Count the reviews that were decided in a time: what came of them, by whom, who always upholds, and how fast."""
    from obligor.bootstrap.conduct import REVIEWS, report_on

    show(report_on(REVIEWS, since=since, until=until), quiet=False, as_json=as_json)
