"""Commands by which a lender says what it did beside a decision: a counter-offer, its answer, what an application lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, show

if TYPE_CHECKING:
    from datetime import datetime

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def actions() -> None:
    """Say what was done beside a decision: from there the clocks of its notices run."""


@actions.command()
@click.argument("decision_id")
@click.option("--term", "terms", multiple=True, help="What is offered, as NAME=VALUE of the contract; up to 20.")
@click.option("--rate", type=float, help="What is asked for a year, as a share: 0.085 is 8.5 %.")
@click.option("--offered-on", type=_DAY, required=True, help="The day on which the applicant was notified of it.")
@click.option("--respond-by", type=_DAY, required=True, help="Until when they may take it.")
@json_option
def offer(
    decision_id: str,
    *,
    terms: tuple[str, ...],
    rate: float | None,
    offered_on: datetime,
    respond_by: datetime,
    as_json: bool,
) -> None:
    """Say that other terms were offered in place of the decline of DECISION_ID; they are sealed."""
    from obligor.bootstrap.actions import make_offer

    days = {"offered_on": offered_on.date(), "respond_by": respond_by.date()}
    show(make_offer(decision_id, terms=terms, rate=rate, **days), quiet=False, as_json=as_json)


@actions.command()
@click.argument("decision_id")
@click.option("--accepted/--not-accepted", required=True, default=None, help="Who says nothing has not.")
@click.option("--on", "answered_on", type=_DAY, required=True, help="The day.")
@json_option
def answer(decision_id: str, *, accepted: bool, answered_on: datetime, as_json: bool) -> None:
    """Say whether the counter-offer of DECISION_ID was taken."""
    from obligor.bootstrap.actions import answer_offer

    show(answer_offer(decision_id, accepted=accepted, answered_on=answered_on.date()), quiet=False, as_json=as_json)


@actions.command()
@click.argument("decision_id")
@click.option("--field", "fields", multiple=True, required=True, help="What is missing, by its name in the contract.")
@click.option("--respond-by", type=_DAY, required=True, help="Until when the applicant may bring it.")
@json_option
def incomplete(decision_id: str, *, fields: tuple[str, ...], respond_by: datetime, as_json: bool) -> None:
    """Say that the application of DECISION_ID is incomplete; what it lacks is sealed."""
    from obligor.bootstrap.actions import tell_incomplete

    show(tell_incomplete(decision_id, fields=fields, respond_by=respond_by.date()), quiet=False, as_json=as_json)
