"""Commands that add people, give them roles, and review who may do what."""

from __future__ import annotations

import click

from obligor.cli.options import json_option, password_typed, show
from obligor.cli.proposals import because_option


@click.group()
def users() -> None:
    """Let people sign in, and no more; each change is recorded in the audit log."""


@users.command("add")
@click.argument("user")
@click.option("--no-password", is_flag=True, help="They sign in at the identity provider, under this subject.")
@because_option
@json_option
def add(user: str, *, no_password: bool, because: str, as_json: bool) -> None:
    """Let USER sign in: with a password that is asked for, or is the one line of standard input. They have no role yet.

    It takes two people once there are two administrators; the password that counts is the one given the second time.
    """
    from obligor.bootstrap.people import add_user

    added = add_user(user, password=None if no_password else password_typed(confirm=True), because=because)
    show(added, quiet=False, as_json=as_json)


@users.command("list")
@json_option
def list_users(*, as_json: bool) -> None:
    """Show everybody who may sign in, or could."""
    from obligor.bootstrap.people import list_users as listed

    show(listed(), quiet=False, as_json=as_json)


@users.command("disable")
@click.argument("user", required=False)
@click.option(
    "--unknown", is_flag=True, help="They sign in at the identity provider, and may never have been added here."
)
@click.option(
    "--stale",
    "days",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Instead of USER: whoever has a password and did not sign in for so long, but who acts and the last administrator.",
)
@json_option
def disable(user: str | None, *, unknown: bool, days: int | None, as_json: bool) -> None:
    """Let USER in no more, wherever they sign in: running services refuse them at once, or within half a minute."""
    from obligor.bootstrap.people import disable_stale, disable_user

    if (user is None) != (days is not None) or (unknown and user is None):
        raise click.UsageError("wanted USER, and --unknown or not, or --stale DAYS")
    show(disable_user(user, unknown=unknown) if user else disable_stale(days or 0), quiet=False, as_json=as_json)


@click.group()
def roles() -> None:
    """Give people roles, by two persons, and take them away."""


@roles.command("grant")
@click.argument("user")
@click.argument("role")
@json_option
def grant(user: str, role: str, *, as_json: bool) -> None:
    """Propose ROLE for USER, or grant it where another person proposed it; nobody does either for themselves."""
    from obligor.bootstrap.people import grant_role

    show(grant_role(user, role), quiet=False, as_json=as_json)


@roles.command("revoke")
@click.argument("user")
@click.argument("role")
@json_option
def revoke(user: str, role: str, *, as_json: bool) -> None:
    """Take ROLE, or the proposal of it, away from USER."""
    from obligor.bootstrap.people import revoke_role

    show(revoke_role(user, role), quiet=False, as_json=as_json)


@click.group()
def access() -> None:
    """Look at who may do what."""


@access.command("review")
@click.option(
    "--csv", "as_csv", is_flag=True, help="Write a table for a spreadsheet; no text in it is taken for a formula."
)
@json_option
def review(*, as_csv: bool, as_json: bool) -> None:
    """Show what each person may do, and what to look at: conflicts, stale accounts, roles that wait or that one person gave."""
    from obligor.bootstrap.people import review_access

    if as_csv and as_json:
        raise click.UsageError("wanted --csv or --json, not both")
    reviewed = review_access()
    if as_csv:
        click.echo(reviewed.to_csv(), nl=False)
    else:
        show(reviewed, quiet=False, as_json=as_json)
