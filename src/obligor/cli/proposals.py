"""Commands for what takes two people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, show, since_option, until_option

if TYPE_CHECKING:
    from datetime import datetime

because_option = click.option(
    "--because",
    default="",
    help="Why, for the person who is asked to agree, such as the number of a case; name nobody.",
)


@click.group()
def proposals() -> None:
    """See what waits for a second person, agree to it, or take it back; each step is recorded in the audit log.

    What takes two people is proposed by the command that orders it. Once another person has agreed, the same command, given
    again by the first, carries it out.
    """


@proposals.command("list")
@json_option
def list_proposals(*, as_json: bool) -> None:
    """Show what waits for somebody with your roles, with all that it says, and for 30 days what was withdrawn or expired."""
    from obligor.bootstrap.proposals import list_proposals as listed

    show(listed(), quiet=False, as_json=as_json)


@proposals.command()
@click.argument("proposal_id")
@json_option
def agree(proposal_id: str, *, as_json: bool) -> None:
    """Agree to the proposal PROPOSAL_ID, which another person made; it takes the permission of what was proposed."""
    from obligor.bootstrap.proposals import agree_to

    show(agree_to(proposal_id), quiet=False, as_json=as_json)


@proposals.command()
@click.argument("proposal_id")
@click.option("--because", required=True, help="Why it is taken back; name nobody.")
@json_option
def withdraw(proposal_id: str, *, because: str, as_json: bool) -> None:
    """Take back the proposal PROPOSAL_ID, which one made oneself: nobody agrees to it any more, and it is not done."""
    from obligor.bootstrap.proposals import withdraw as withdrawn

    show(withdrawn(proposal_id, because=because), quiet=False, as_json=as_json)


@proposals.command()
@since_option
@until_option
@json_option
def report(*, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Count what people agreed to in a time: who to whose, who always to the same person's, and how fast."""
    from obligor.bootstrap.conduct import AGREEMENTS, report_on

    show(report_on(AGREEMENTS, since=since, until=until), quiet=False, as_json=as_json)
