"""Commands for what people may ask of their data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, json_option, show

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

_application = click.option("--application", help="What the client calls an application, instead of SUBJECT.")


def _about(command: Callable[..., None]) -> Callable[..., None]:
    return click.argument("subject", required=False)(_application(command))


@click.group()
def privacy() -> None:
    """Do what people may ask of their data; each is recorded in the audit log.

    SUBJECT is the identifier of a person, as the applications give it.
    """


@privacy.command()
@_about
@click.option(
    "--account-closed",
    type=click.DateTime(["%Y-%m-%d"]),
    help="When their account was closed, where a rule keeps evidence of identity from then.",
)
@click.option("--out", type=FILE, help="A file for the signed certificate, instead of printing it.")
def erase(subject: str | None, *, application: str | None, account_closed: datetime | None, out: Path | None) -> None:
    """Destroy the keys of SUBJECT, so that nobody reads what is kept of it, and print a signed certificate."""
    from obligor.bootstrap.privacy import erase as erased

    closed = None if account_closed is None else account_closed.date()
    _write(erased(subject, application=application, account_closed=closed).encode(), out)


@privacy.command()
@_about
@click.option("--out", type=FILE, help="A file to write it to, instead of printing it.")
def export(subject: str | None, *, application: str | None, out: Path | None) -> None:
    """Print all that is kept of SUBJECT, in the clear, for the person whom it is about."""
    from obligor.bootstrap.privacy import export as exported

    _write(exported(subject, application=application).encode(), out)


@privacy.command()
@_about
@click.option("--because", required=True, help="Why, such as the number of a case; name nobody.")
@json_option
def hold(subject: str | None, *, application: str | None, because: str, as_json: bool) -> None:
    """Place a legal hold: SUBJECT is not erased until it is released."""
    from obligor.bootstrap.privacy import hold as held

    show(held(subject, application=application, because=because), quiet=False, as_json=as_json)


@privacy.command()
@_about
@json_option
def release(subject: str | None, *, application: str | None, as_json: bool) -> None:
    """Release the legal hold on SUBJECT."""
    from obligor.bootstrap.privacy import release as released

    show(released(subject, application=application), quiet=False, as_json=as_json)


def _write(text: bytes, out: Path | None) -> None:
    from obligor.files import whole_file

    if out is None:
        click.echo(text, nl=False)
        return
    with whole_file(out.absolute()) as partial:
        partial.write_bytes(text)
