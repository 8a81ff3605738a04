"""Commands that show alerts, clear or confirm them, tell what was reported, and screen the decisions of the store again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, quiet_option, show, since_option, telling, until_option

if TYPE_CHECKING:
    from datetime import datetime


@click.group()
def alerts() -> None:
    """Look at applicants who are alike to an entry of the list: clear who is somebody else, and confirm who is not."""


@alerts.command("list")
@json_option
def list_alerts(*, as_json: bool) -> None:
    """Show the alerts that wait, the most alike first, those confirmed, and how far the store was screened."""
    from obligor.bootstrap.alerts import queue

    show(queue(), quiet=False, as_json=as_json)


@alerts.command("show")
@click.argument("alert")
@json_option
def show_one(alert: str, *, as_json: bool) -> None:
    """Show ALERT, and what the list says of the entry."""
    from obligor.bootstrap.alerts import show_alert

    show(show_alert(alert), quiet=False, as_json=as_json)


@alerts.command("clear")
@click.argument("alert")
@click.option("--because", required=True, help="Why it is somebody else, or what the due diligence found.")
@click.option("--days", type=click.IntRange(1, 730), default=365, show_default=True, help="For how long that holds.")
@click.option(
    "--finding",
    type=click.Choice(["somebody-else", "due-diligence"]),
    help="Of a politically exposed person, and always then: it is somebody else, or it is they and due diligence was done.",
)
@json_option
def clear(alert: str, *, because: str, days: int, finding: str | None, as_json: bool) -> None:
    """Clear ALERT; from a score of 0.95 on, or where it was confirmed, propose to, and another person clears it.

    After due diligence on a politically exposed person another person approves, whatever the score.
    """
    from obligor.bootstrap.alerts import clear_alert

    found = finding and finding.replace("-", "_")
    show(clear_alert(alert, because=because, days=days, finding=found), quiet=False, as_json=as_json)


@alerts.command("confirm")
@click.argument("alert")
@click.option("--because", required=True, help="Why it is who applied.")
@json_option
def confirm(alert: str, *, because: str, as_json: bool) -> None:
    """Confirm that ALERT is of who applied, whatever the list says later, and say by when that is to be reported."""
    from obligor.bootstrap.alerts import confirm_alert

    show(confirm_alert(alert, because=because), quiet=False, as_json=as_json)


@alerts.command("reported")
@click.argument("alert")
@click.option("--reference", required=True, help="By which the report is found, such as its number; name nobody.")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Its day; by default today, in Hawaii, or as before.")
@click.option("--because", help="Why this amends what was said before; only then.")
@json_option
def reported(alert: str, *, reference: str, on: datetime | None, because: str | None, as_json: bool) -> None:
    """Record that ALERT, which was confirmed, was reported to OFAC, or amend what was said of that."""
    from obligor.bootstrap.alerts import report_alert

    told = report_alert(alert, reference=reference, on=None if on is None else on.date(), because=because)
    show(told, quiet=False, as_json=as_json)


@alerts.command("yearly-reported")
@click.argument("year", type=int)
@click.argument("alerts", metavar="[ALERT]...", nargs=-1)
@click.option("--reference", required=True, help="By which the report is found, such as its number; name nobody.")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Its day; by default today, in Hawaii, or as before.")
@click.option("--because", help="Why this amends what was said before; only then.")
@json_option
def yearly_reported(
    year: int, alerts: tuple[str, ...], *, reference: str, on: datetime | None, because: str | None, as_json: bool
) -> None:
    """Record that what was blocked on 30 June of YEAR was reported to OFAC, of every confirmed ALERT that the report named.

    Or amend what was said of that; without an ALERT, those named before stay.
    """
    from obligor.bootstrap.alerts import report_year

    day = None if on is None else on.date()
    show(report_year(year, alerts, reference=reference, on=day, because=because), quiet=False, as_json=as_json)


@alerts.command("rescreen")
@quiet_option
@json_option
def rescreen(*, quiet: bool, as_json: bool) -> None:
    """Screen every decision of the store against the list in force; where it was stopped, it goes on."""
    from obligor.bootstrap.alerts import screen_again

    with telling(quiet=quiet or as_json) as progress:
        done = screen_again(progress=progress)
    show(done, quiet=quiet, as_json=as_json)


@alerts.command()
@since_option
@until_option
@json_option
def handled(*, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Count the steps that people took on alerts in a time: by whom, with whom, and how fast."""
    from obligor.bootstrap.conduct import ALERT_STEPS, report_on

    show(report_on(ALERT_STEPS, since=since, until=until), quiet=False, as_json=as_json)
