"""Commands that give clients API keys and take them away."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, show, telling
from obligor.cli.proposals import because_option
from obligor.security.api_keys import (
    MOST_DAYS,
    MOST_OVERLAP_HOURS,
    SCOPES,
    USUAL_DAYS,
    USUAL_OVERLAP_HOURS,
    USUAL_SCOPES,
)

if TYPE_CHECKING:
    from obligor.bootstrap.keys import Shown
    from obligor.bootstrap.proposals import Proposed

days_option = click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=USUAL_DAYS, show_default=True, help="How long the key opens."
)


@click.group()
def keys() -> None:
    """Give clients of the service API keys, and take them away; each is recorded in the audit log."""


@keys.command()
@click.argument("client")
@click.option("--name", default="", help="What you call the key, such as the system that uses it.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=USUAL_SCOPES,
    show_default=True,
    help="What it opens; may be given several times.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="From where alone it opens, such as 10.0.0.0/8; may be given several times. From anywhere where none is given.",
)
@days_option
@because_option
@json_option
def create(
    client: str,
    *,
    name: str,
    scopes: tuple[str, ...],
    networks: tuple[str, ...],
    days: int,
    because: str,
    as_json: bool,
) -> None:
    """Make a key for CLIENT and print it, this once: nothing but a hash of it is kept.

    It takes two people once there are two administrators.
    """
    from obligor.bootstrap.keys import create_key

    lasts = timedelta(days=days)
    made = create_key(client, name=name, scopes=scopes, networks=networks, lasts=lasts, because=because)
    _show_once(made, as_json=as_json)


@keys.command("list")
@json_option
def list_keys(*, as_json: bool) -> None:
    """Show every key there is and was, by client."""
    from obligor.bootstrap.keys import list_keys as listed

    show(listed(), quiet=False, as_json=as_json)


@keys.command()
@click.argument("key_id")
@json_option
def revoke(key_id: str, *, as_json: bool) -> None:
    """Revoke the key KEY_ID: running services refuse it at once, or within half a minute where no notice reaches them."""
    from obligor.bootstrap.keys import revoke_key

    show(revoke_key(key_id), quiet=False, as_json=as_json)


@keys.command()
@click.argument("key_id", required=False)
@click.option("--data", is_flag=True, help="Instead of an API key: the key that wraps the keys of personal data.")
@click.option(
    "--overlap",
    type=click.IntRange(0, MOST_OVERLAP_HOURS),
    default=USUAL_OVERLAP_HOURS,
    show_default=True,
    help="Hours for which the old key opens as well.",
)
@days_option
@because_option
@json_option
def rotate(key_id: str | None, *, data: bool, overlap: int, days: int, because: str, as_json: bool) -> None:
    """Make a key that takes the place of KEY_ID, with its client, name, scopes and networks, and print it, this once.

    With --data instead: wrap the keys of all personal data by a new key, while the service goes on, and retire the old
    one. Killed in the middle, it goes on where it was when it is run again.

    It takes two people once there are two administrators.
    """
    from obligor.bootstrap.keys import rotate_key

    if data == (key_id is not None):
        raise click.UsageError("wanted either KEY_ID or --data")
    if key_id is None:
        from obligor.bootstrap.privacy import rotate_data_keys

        with telling(quiet=as_json) as progress:
            told = rotate_data_keys(progress, because=because)
        show(told, quiet=False, as_json=as_json)
        return

    made = rotate_key(key_id, lasts=timedelta(days=days), overlap=timedelta(hours=overlap), because=because)
    _show_once(made, as_json=as_json)


def _show_once(shown: Shown | Proposed, *, as_json: bool) -> None:
    """Print a key alone on standard output, so that it can go into a file or a vault, and the rest beside it."""
    if as_json:
        show(shown, quiet=False, as_json=True)
        return
    if key := shown.to_plain().get("key"):
        click.echo(key)
    for line in shown.lines():
        click.echo(line, err=True)
