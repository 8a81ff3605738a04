"""Commands by which a person decides in place of the policy, and by which such decisions are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, show, since_option, until_option

if TYPE_CHECKING:
    from datetime import datetime


@click.group()
def overrides() -> None:
    """Decide in place of the policy, within the authority that it gives you."""


@overrides.command()
@click.argument("decision_id")
@click.option("--outcome", type=click.Choice(("approve", "decline")), required=True, help="What you decide.")
@click.option("--reason", required=True, help="Why: a code of the policy in force.")
@click.option("--rationale", required=True, help="Why, in your own words; it is sealed under the applicant's key.")
@click.option("--factor", "factors", multiple=True, help="What you looked at, in words for the applicant; up to four.")
@json_option
def decide(
    decision_id: str, *, outcome: str, reason: str, rationale: str, factors: tuple[str, ...], as_json: bool
) -> None:
    """Decide on DECISION_ID yourself; the decision stays as it was.

    Beyond the limit of your role it is proposed, and done by the same command once another person, within whose limit it
    lies, has agreed. OBLIGOR_AUTHOR names you.
    """
    from obligor.bootstrap.overrides import override

    done = override(decision_id, outcome=outcome, reason=reason, rationale=rationale, factors=factors)
    show(done, quiet=False, as_json=as_json)


@overrides.command("list")
@json_option
def list_overrides(*, as_json: bool) -> None:
    """Show the newest 200 overrides; never what people wrote."""
    from obligor.bootstrap.overrides import list_overrides as listed

    show(listed(), quiet=False, as_json=as_json)


@overrides.command()
@since_option
@until_option
@json_option
def report(*, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Count the overrides of a time against its decisions: on which side of the cut-off, why, by whom, and how fast."""
    from obligor.bootstrap.conduct import OVERRIDES, report_on

    show(report_on(OVERRIDES, since=since, until=until), quiet=False, as_json=as_json)
