"""Commands that run the decision service, and that say what is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, FOLDER, json_option, quiet_option, show, telling
from obligor.cli.proposals import because_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("run", type=FOLDER, required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on, or a name.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port of REST.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=50051, show_default=True, help="The port of gRPC.")
@click.option("--no-grpc", is_flag=True, help="Serve REST alone.")
@quiet_option
def serve(run: Path | None, *, host: str, port: int, grpc_port: int, no_grpc: bool, quiet: bool) -> None:
    """Serve decisions over REST and gRPC, by the release in force.

    With RUN, the folder of a run, its card and policy are put in force first, unless they are already. A new store without
    RUN begins with a demonstration card. A store without an API key gets one, which is shown once.
    """
    from obligor.bootstrap.doors import Doors
    from obligor.bootstrap.service import serve_decisions

    doors = Doors(host, port, None if no_grpc else grpc_port)
    with telling(quiet=quiet) as progress:
        serve_decisions(run, doors=doors, say=click.echo, progress=progress)


@click.group()
def releases() -> None:
    """Show and change what is in force: a card, its policy and a compliance profile together."""


@releases.command("list")
@json_option
def list_releases(*, as_json: bool) -> None:
    """Show the releases, the newest first."""
    from obligor.bootstrap.releases import list_releases as listed

    show(listed(), quiet=False, as_json=as_json)


@releases.command()
@click.argument("run", type=FOLDER)
@click.option("--profile", type=FILE, help="The compliance profile of the first release; later ones are proposed.")
@because_option
@json_option
def activate(run: Path, *, profile: Path | None, because: str, as_json: bool) -> None:
    """Put the card and the policy of RUN in force; running services take them up without a restart.

    It takes two people once there are two administrators: the first time it is proposed.
    """
    from obligor.bootstrap.releases import activate_release

    show(activate_release(run, profile=profile, because=because), quiet=False, as_json=as_json)


@releases.command()
@click.option("--because", default="", help="Why, for the log; name nobody who applied.")
@json_option
def rollback(*, because: str, as_json: bool) -> None:
    """Put the card and the policy of before back in force, as the next release; the profile in force stays.

    It takes one person, who may have to act at once. Once more, it goes one release further back. Running services take it up
    without a restart.
    """
    from obligor.bootstrap.releases import roll_back_release

    show(roll_back_release(because=because), quiet=False, as_json=as_json)


@releases.command()
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option(
    "--run", type=FOLDER, help="The folder of the run that made its card and policy, where those are gone too."
)
@click.option("--profile", type=FILE, help="Its compliance profile, where that is gone too.")
@click.option("--because", default="", help="Why, for the log; name nobody who applied.")
@json_option
def recover(number: int | None, *, run: Path | None, profile: Path | None, because: str, as_json: bool) -> None:
    """Put back a release that the log tells of and the store lost: release NUMBER, or the last one.

    It comes back as it was signed, or not at all. It takes one person, who may have to act at once.
    """
    from obligor.bootstrap.releases import recover_release

    show(recover_release(number, run=run, profile=profile, because=because), quiet=False, as_json=as_json)
