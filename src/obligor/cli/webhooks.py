"""Commands that say where the systems of clients are told of events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from obligor.cli.options import json_option, show
from obligor.core.event_types import EVENT_TYPES
from obligor.security.webhooks import SIGNATURES

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.bootstrap.webhooks import ShownEndpoint
    from obligor.security.webhooks import Signature

_MOST_HOURS = 24 * 90
_TIMES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


@click.group()
def webhooks() -> None:
    """Tell the systems of clients of decisions, signed; each change is recorded in the audit log."""


@webhooks.command()
@click.argument("client")
@click.argument("url")
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice(EVENT_TYPES),
    default=EVENT_TYPES,
    show_default=True,
    help="What it is told of; may be given several times.",
)
@click.option(
    "--signature",
    type=click.Choice(SIGNATURES),
    default="hmac",
    show_default=True,
    help="hmac: by a secret that both sides have; ed25519: by a key whose public half the receiver verifies by.",
)
@json_option
def add(client: str, url: str, *, events: tuple[str, ...], signature: Signature, as_json: bool) -> None:
    """Tell CLIENT of events at URL from now on, and print what verifies them, a secret or a public key, this once."""
    from obligor.bootstrap.webhooks import add_endpoint

    _show_once(add_endpoint(client, url, event_types=events, signature=signature), as_json=as_json)


@webhooks.command("list")
@json_option
def list_endpoints(*, as_json: bool) -> None:
    """Show every endpoint, with what waits for it and what was given up."""
    from obligor.bootstrap.webhooks import list_endpoints as listed

    show(listed(), quiet=False, as_json=as_json)


@webhooks.command()
@click.argument("endpoint_id")
@json_option
def test(endpoint_id: str, *, as_json: bool) -> None:
    """Send ENDPOINT_ID a signed message of type webhook.test; exit 1 where it is not taken."""
    from obligor.bootstrap.webhooks import try_endpoint

    show(try_endpoint(endpoint_id), quiet=False, as_json=as_json)


@webhooks.command()
@click.argument("endpoint_id")
@json_option
def disable(endpoint_id: str, *, as_json: bool) -> None:
    """End ENDPOINT_ID for ever: nothing more is sent there, and what waited is given up in time."""
    from obligor.bootstrap.webhooks import disable_endpoint

    show(disable_endpoint(endpoint_id), quiet=False, as_json=as_json)


@webhooks.command()
@click.argument("endpoint_id")
@json_option
def enable(endpoint_id: str, *, as_json: bool) -> None:
    """Go on with ENDPOINT_ID, which is gone: its receiver answered 410. What waited there is sent."""
    from obligor.bootstrap.webhooks import enable_endpoint

    show(enable_endpoint(endpoint_id), quiet=False, as_json=as_json)


@webhooks.command()
@click.argument("endpoint_id")
@click.option(
    "--overlap",
    type=click.IntRange(0, _MOST_HOURS),
    default=24,
    show_default=True,
    help="Hours for which the secret before signs as well.",
)
@click.option("--signature", type=click.Choice(SIGNATURES), help="How the new one signs.  [default: as the one before]")
@json_option
def rotate(endpoint_id: str, *, overlap: int, signature: Signature | None, as_json: bool) -> None:
    """Make a new secret or key for ENDPOINT_ID, and print what verifies it, this once."""
    from obligor.bootstrap.webhooks import rotate_secret

    _show_once(rotate_secret(endpoint_id, overlap=timedelta(hours=overlap), signature=signature), as_json=as_json)


@webhooks.command()
@json_option
def dead(*, as_json: bool) -> None:
    """Show the events that were given up."""
    from obligor.bootstrap.webhooks import list_dead

    show(list_dead(), quiet=False, as_json=as_json)


@webhooks.command()
@click.argument("endpoint_id")
@click.option("--from", "since", type=_TIMES, help="Events from this time on (UTC), those that were taken too.")
@click.option("--to", "until", type=_TIMES, help="Events before this time (UTC), those that were taken too.")
@json_option
def replay(endpoint_id: str, *, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Send ENDPOINT_ID the events again that were given up, or all those of a span of time."""
    from obligor.bootstrap.webhooks import replay_events

    show(replay_events(endpoint_id, since=since, until=until), quiet=False, as_json=as_json)


def _show_once(shown: ShownEndpoint, *, as_json: bool) -> None:
    """Print a secret or a public key alone on standard output, so that it can go into a vault, and the rest beside it."""
    if as_json:
        show(shown, quiet=False, as_json=True)
        return
    click.echo(shown.to_plain()[shown.shows])
    for line in shown.lines():
        click.echo(line, err=True)
