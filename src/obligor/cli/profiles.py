"""Commands that show and change the compliance profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, json_option, show

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def profile() -> None:
    """Show and change the compliance profile; a change is proposed by one person and approved by another."""


@profile.command("show")
@json_option
def show_profile(*, as_json: bool) -> None:
    """Show the profile in force, and every change that was proposed or approved."""
    from obligor.bootstrap.profiles import show_profile as shown

    show(shown(), quiet=False, as_json=as_json)


@profile.command()
@click.argument("file", type=FILE)
@click.option("--because", required=True, help="Why it is to change; it stands in the audit log's record.")
@json_option
def propose(file: Path, *, because: str, as_json: bool) -> None:
    """Propose the profile in FILE; turning a gate down needs an instant at which that ends (expires_at)."""
    from obligor.bootstrap.profiles import propose_profile

    show(propose_profile(file, because=because), quiet=False, as_json=as_json)


@profile.command()
@click.argument("change_id", metavar="ID")
@json_option
def approve(change_id: str, *, as_json: bool) -> None:
    """Approve the proposal ID, which another person made; running services take the profile up without a restart."""
    from obligor.bootstrap.profiles import approve_profile

    show(approve_profile(change_id), quiet=False, as_json=as_json)
